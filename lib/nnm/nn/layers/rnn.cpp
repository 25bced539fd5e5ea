// Recurrent layers: the input's part of all steps in one product, then the recurrence.
#include "nnm/nn/layers/rnn.h"

#include <algorithm>
#include <cmath>

#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/init.h"
#include "nnm/ops/autocast.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

/// Start and end states, one tensor for each direction of each layer.
struct RNNBase::States {
  Tensors h, c;
};

void RNNBase::make(const Dimensions& s, int64_t gates) {
  NNM_CHECK(s.dropout >= 0 && s.dropout <= 1, value,
            "dropout should be a number in range [0, 1] representing the probability of an element "
            "being zeroed");
  if (s.dropout > 0 && s.num_layers == 1) {
    warn_once(
        fmt::format("dropout option adds dropout after all but last recurrent layer, so non-zero "
                    "dropout expects num_layers greater than 1, but got dropout={} and "
                    "num_layers={}",
                    python_float(s.dropout), s.num_layers));
  }
  NNM_CHECK(s.input_size > 0, value, "input_size must be greater than zero");
  NNM_CHECK(s.hidden_size > 0, value, "hidden_size must be greater than zero");
  NNM_CHECK(s.num_layers > 0, value, "num_layers must be greater than zero");
  NNM_CHECK(s.proj_size >= 0, value,
            "proj_size should be a positive integer or zero to disable projections");
  NNM_CHECK(s.proj_size < s.hidden_size, value, "proj_size has to be smaller than hidden_size");
  shape_ = s;
  const int64_t rows = gates * s.hidden_size;
  const int64_t state = s.proj_size > 0 ? s.proj_size : s.hidden_size;
  for (int64_t layer = 0; layer < s.num_layers; ++layer) {
    for (const char* suffix : {"", "_reverse"}) {
      if (*suffix && !s.bidirectional) continue;
      auto add = [&](const char* name, const Shape& size) {
        return register_parameter(fmt::format("{}_l{}{}", name, layer, suffix),
                                  new_parameter(size));
      };
      const int64_t width = layer == 0 ? s.input_size : state * (s.bidirectional ? 2 : 1);
      Cell cell;
      cell.w_ih = add("weight_ih", {rows, width});
      cell.w_hh = add("weight_hh", {rows, state});
      if (s.bias) cell.b_ih = add("bias_ih", {rows});
      if (s.bias) cell.b_hh = add("bias_hh", {rows});
      if (s.proj_size > 0) cell.w_hr = add("weight_hr", {s.proj_size, s.hidden_size});
      cells_.push_back(std::move(cell));
    }
  }
  draw_parameters(*this);
}

void RNNBase::reset_parameters(const Streams& streams) {
  const double bound = 1 / std::sqrt(static_cast<double>(shape_.hidden_size));
  for (const auto& slot : parameter_slots()) {
    if (slot->value.defined()) init::uniform_(slot->value, -bound, bound, streams(slot->name));
  }
}

std::string RNNBase::text() const {
  const Dimensions& s = shape_;
  std::string out = fmt::format("{}, {}", s.input_size, s.hidden_size);
  if (s.proj_size != 0) out += fmt::format(", proj_size={}", s.proj_size);
  if (s.num_layers != 1) out += fmt::format(", num_layers={}", s.num_layers);
  if (!s.bias) out += ", bias=False";
  if (s.batch_first) out += ", batch_first=True";
  if (s.dropout != 0) out += ", dropout=" + python_float(s.dropout);
  if (s.bidirectional) out += ", bidirectional=True";
  return out;
}

// The input as (L, N, width).
Tensor RNNBase::checked_input(const Tensor& x) const {
  NNM_CHECK(x.dim() == 2 || x.dim() == 3, value,
            "{}: Expected input to be 2D or 3D, got {}D instead", type_name(), x.dim());
  const Value given(x.dtype()), own(cells_[0].w_ih->dtype());
  NNM_CHECK(
      x.dtype() == cells_[0].w_ih->dtype() || nnm::detail::autocast_dtype, value,
      "RNN input dtype ({0}) does not match weight dtype ({1}). Convert input: input.to({1}), "
      "or convert model: model.to({0})",
      given.repr(), own.repr());
  NNM_CHECK(x.size(-1) == shape_.input_size, runtime,
            "input.size(-1) must be equal to input_size. Expected {}, got {}", shape_.input_size,
            x.size(-1));
  NNM_CHECK(x.size(shape_.batch_first && x.dim() == 3 ? 1 : 0) > 0, runtime,
            "Expected sequence length to be larger than 0 in RNN");
  if (x.dim() == 2) return unsqueeze(x, 1);
  return shape_.batch_first ? transpose(x, 0, 1) : x;
}

RNNBase::States RNNBase::initial(const Value& hx, const Tensor& x, bool batched, bool cells) const {
  const auto n = static_cast<int64_t>(cells_.size());
  const Shape h_size{n, x.size(1), shape_.proj_size > 0 ? shape_.proj_size : shape_.hidden_size};
  const Shape c_size{n, x.size(1), shape_.hidden_size};
  auto zeros_of = [&x](const Shape& size) { return unbind(zeros(size, x.options())); };
  if (hx.is_none()) return {zeros_of(h_size), cells ? zeros_of(c_size) : Tensors(cells_.size())};
  auto take = [&](const Value& v, const Shape& size, const char* what) {
    Tensor t = v.as<Tensor>();
    NNM_CHECK(t.dim() == (batched ? 3 : 2), runtime,
              "For {} input, hx should also be {}-D but got {}-D tensor",
              batched ? "batched 3-D" : "unbatched 2-D", batched ? 3 : 2, t.dim());
    if (!batched) t = unsqueeze(t, 1);
    NNM_CHECK(t.shape() == size, runtime, "Expected {} size {}, got {}", what,
              Value::tuple(Values(size.begin(), size.end())).repr(), t.shape().str());
    return unbind(t);
  };
  if (!cells) return {take(hx, h_size, "hidden"), Tensors(cells_.size())};
  NNM_CHECK(hx.is_sequence() && hx.items().size() == 2, type,
            "{} takes its states as (h_0, c_0), got {}", type_name(), hx.config_text());
  return {take(hx.items()[0], h_size, "hidden[0]"), take(hx.items()[1], c_size, "hidden[1]")};
}

Value RNNBase::run(const Args& args, RecurrentCell kind) const {
  const bool cells = kind == RecurrentCell::lstm;
  static const Signature signature = Signature::parse("forward(input: Tensor, hx = none)");
  const Values a = forward_args(signature, args);
  const Tensor input = a[0].as<Tensor>();
  const bool batched = input.dim() == 3;
  Tensor x = checked_input(input);
  States states = initial(a[1], x, batched, cells);
  const size_t directions = shape_.bidirectional ? 2 : 1;
  for (size_t first = 0; first < cells_.size(); first += directions) {
    Tensors out;
    for (size_t d = 0; d < directions; ++d) {
      const size_t i = first + d;
      const Cell& cell = cells_[i];
      const Tensors steps = nnm::detail::recurrence(kind, linear(x, cell.w_ih, cell.b_ih),
                                                    {cell.w_hh, cell.b_hh, cell.w_hr}, states.h[i],
                                                    states.c[i], d == 1);
      out.push_back(steps[0]);
      states.h[i] = select(steps[0], 0, d == 1 ? 0 : -1);
      if (cells) states.c[i] = steps[1];
    }
    x = directions == 1 ? out[0] : cat(out, -1);
    const bool last = first + directions == cells_.size();
    if (!last && shape_.dropout > 0) x = dropout(x, shape_.dropout, training());
  }
  auto joined = [batched](const Tensors& parts) {
    const Tensor t = stack(parts);
    return batched ? t : squeeze(t, 1);
  };
  if (!batched) x = squeeze(x, 1);
  else if (shape_.batch_first) x = transpose(x, 0, 1);
  const Value h = joined(states.h);
  return Value::tuple({x, cells ? Value::tuple({h, joined(states.c)}) : h});
}

const Spec<RNN::Options>& RNN::spec() {
  static const auto s = Spec<Options>("RNN", "simple recurrence over a sequence")
                            .req(NNM_ARG(input_size), "features of the input", at_least(1))
                            .req(NNM_ARG(hidden_size), "features of the state", at_least(1))
                            .opt(NNM_ARG(num_layers), "layers on top of each other", at_least(1))
                            .opt(NNM_ARG(nonlinearity), "of each step", one_of({"tanh", "relu"}))
                            .opt(NNM_ARG(bias), "learn biases")
                            .opt(NNM_ARG(batch_first), "inputs are (N, L, features)")
                            .opt(NNM_ARG(dropout), "between layers", between(0, 1))
                            .opt(NNM_ARG(bidirectional), "run backwards, too");
  return s;
}

RNN::RNN(const Options& o) : options(o) {
  NNM_CHECK(o.nonlinearity == "tanh" || o.nonlinearity == "relu", value,
            "Unknown nonlinearity '{}'. Select from 'tanh' or 'relu'.", o.nonlinearity);
  make({o.input_size, o.hidden_size, o.num_layers, o.bias, o.batch_first, o.dropout,
        o.bidirectional},
       1);
}

Value RNN::forward(const Args& args) {
  return run(args,
             options.nonlinearity == "relu" ? RecurrentCell::rnn_relu : RecurrentCell::rnn_tanh);
}

NNM_REGISTER(Module, RNN);

const Spec<LSTM::Options>& LSTM::spec() {
  static const auto s =
      Spec<Options>("LSTM", "long short-term memory over a sequence")
          .req(NNM_ARG(input_size), "features of the input", at_least(1))
          .req(NNM_ARG(hidden_size), "features of the cell", at_least(1))
          .opt(NNM_ARG(num_layers), "layers on top of each other", at_least(1))
          .opt(NNM_ARG(bias), "learn biases")
          .opt(NNM_ARG(batch_first), "inputs are (N, L, features)")
          .opt(NNM_ARG(dropout), "between layers", between(0, 1))
          .opt(NNM_ARG(bidirectional), "run backwards, too")
          .opt(NNM_ARG(proj_size), "features of the projected state; 0: none", at_least(0));
  return s;
}

LSTM::LSTM(const Options& o) : options(o) {
  make({o.input_size, o.hidden_size, o.num_layers, o.bias, o.batch_first, o.dropout,
        o.bidirectional, o.proj_size},
       4);
}

Value LSTM::forward(const Args& args) { return run(args, RecurrentCell::lstm); }

NNM_REGISTER(Module, LSTM);

const Spec<GRU::Options>& GRU::spec() {
  static const auto s = Spec<Options>("GRU", "gated recurrence over a sequence")
                            .req(NNM_ARG(input_size), "features of the input", at_least(1))
                            .req(NNM_ARG(hidden_size), "features of the state", at_least(1))
                            .opt(NNM_ARG(num_layers), "layers on top of each other", at_least(1))
                            .opt(NNM_ARG(bias), "learn biases")
                            .opt(NNM_ARG(batch_first), "inputs are (N, L, features)")
                            .opt(NNM_ARG(dropout), "between layers", between(0, 1))
                            .opt(NNM_ARG(bidirectional), "run backwards, too");
  return s;
}

GRU::GRU(const Options& o) : options(o) {
  make({o.input_size, o.hidden_size, o.num_layers, o.bias, o.batch_first, o.dropout,
        o.bidirectional},
       3);
}

Value GRU::forward(const Args& args) { return run(args, RecurrentCell::gru); }

NNM_REGISTER(Module, GRU);

}  // namespace nnm::nn
