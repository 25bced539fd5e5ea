// Recurrent cells; their gates stand in the order of the layers' in rnn.cpp.
#include "nnm/nn/layers/rnn_cell.h"

#include <cmath>

#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/init.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

void RNNCellBase::make(int64_t input_size, int64_t hidden_size, bool bias, int64_t gates) {
  input_size_ = input_size;
  hidden_size_ = hidden_size;
  const int64_t rows = gates * hidden_size;
  weight_ih = register_parameter("weight_ih", new_parameter({rows, input_size}));
  weight_hh = register_parameter("weight_hh", new_parameter({rows, hidden_size}));
  if (bias) bias_ih = register_parameter("bias_ih", new_parameter({rows}));
  if (bias) bias_hh = register_parameter("bias_hh", new_parameter({rows}));
  draw_parameters(*this);
}

void RNNCellBase::reset_parameters(const Streams& streams) {
  const double bound = hidden_size_ > 0 ? 1 / std::sqrt(static_cast<double>(hidden_size_)) : 0;
  for (const auto& slot : parameter_slots())
    if (slot->value.defined()) init::uniform_(slot->value, -bound, bound, streams(slot->name));
}

std::string RNNCellBase::text() const {
  return fmt::format("{}, {}{}", input_size_, hidden_size_, bias_ih ? "" : ", bias=False");
}

Tensor RNNCellBase::Step::result(const Tensor& state) const {
  return batched ? state : squeeze(state, 0);
}

RNNCellBase::Step RNNCellBase::checked(const Args& args, size_t states) const {
  static const Signature signature = Signature::parse("forward(input: Tensor, hx = none)");
  const Values a = forward_args(signature, args);
  Tensor x = a[0].as<Tensor>();
  NNM_CHECK(x.dim() == 1 || x.dim() == 2, value,
            "{}: Expected input to be 1D or 2D, got {}D instead", type_name(), x.dim());
  const bool batched = x.dim() == 2;
  if (!batched) x = unsqueeze(x, 0);
  NNM_CHECK(x.size(1) == input_size_, runtime,
            "input has inconsistent input_size: got {} expected {}", x.size(1), input_size_);
  const Shape size{x.size(0), hidden_size_};
  Step out{x, {}, batched};
  if (a[1].is_none()) {
    for (size_t i = 0; i < states; ++i) out.states.push_back(zeros(size, x.options()));
    return out;
  }
  Values given = {a[1]};
  if (states > 1) {
    NNM_CHECK(a[1].is_sequence() && a[1].items().size() == states, type,
              "{} takes its states as (h_0, c_0), got {}", type_name(), a[1].config_text());
    given = a[1].items();
  }
  for (size_t i = 0; i < states; ++i) {
    const std::string name = states > 1 ? fmt::format("hx[{}]", i) : "hidden";
    Tensor t = given[i].as<Tensor>();
    NNM_CHECK(t.dim() == 1 || t.dim() == 2, value,
              "{}: Expected {} to be 1D or 2D, got {}D instead", type_name(), name, t.dim());
    if (!batched && t.dim() == 1) t = unsqueeze(t, 0);
    NNM_CHECK(t.dim() == 2 && t.size(0) == x.size(0), runtime,
              "Input batch size {} doesn't match hidden{} batch size {}", x.size(0), i, t.size(0));
    NNM_CHECK(t.size(1) == hidden_size_, runtime,
              "hidden{} has inconsistent hidden_size: got {}, expected {}", i, t.size(1),
              hidden_size_);
    out.states.push_back(std::move(t));
  }
  return out;
}

Tensor RNNCellBase::from_input(const Step& s) const { return linear(s.input, weight_ih, bias_ih); }
Tensor RNNCellBase::from_state(const Step& s) const {
  return linear(s.states[0], weight_hh, bias_hh);
}

namespace {

template <class Options>
Spec<Options> cell_spec(const char* name, const char* doc,
                        const char* hidden_size = "features of the state") {
  return Spec<Options>(name, doc)
      .req(NNM_ARG(input_size), "features of the input", at_least(0))
      .req(NNM_ARG(hidden_size), hidden_size, at_least(0))
      .opt(NNM_ARG(bias), "learn biases");
}

}  // namespace

const Spec<RNNCell::Options>& RNNCell::spec() {
  static const auto s = cell_spec<Options>("RNNCell", "a step of simple recurrence")
                            .opt(NNM_ARG(nonlinearity), "of the step", one_of({"tanh", "relu"}));
  return s;
}

RNNCell::RNNCell(const Options& o) : options(o) { make(o.input_size, o.hidden_size, o.bias, 1); }

Value RNNCell::forward(const Args& args) {
  NNM_CHECK(options.nonlinearity == "tanh" || options.nonlinearity == "relu", runtime,
            "Unknown nonlinearity: {}", options.nonlinearity);
  const Step s = checked(args, 1);
  const Tensor sum = from_input(s) + from_state(s);
  return s.result(options.nonlinearity == "relu" ? relu(sum) : tanh(sum));
}

std::string RNNCell::extra_repr() const {
  return text() + (options.nonlinearity == "tanh" ? "" : ", nonlinearity=" + options.nonlinearity);
}

NNM_REGISTER(Module, RNNCell);

const Spec<GatedCellOptions>& LSTMCell::spec() {
  static const auto s =
      cell_spec<Options>("LSTMCell", "a step of long short-term memory", "features of the cell");
  return s;
}

LSTMCell::LSTMCell(const Options& o) : options(o) { make(o.input_size, o.hidden_size, o.bias, 4); }

Value LSTMCell::forward(const Args& args) {
  const Step s = checked(args, 2);
  const Tensors g = chunk(from_input(s) + from_state(s), 4, -1);
  const Tensor c = sigmoid(g[1]) * s.states[1] + sigmoid(g[0]) * tanh(g[2]);
  return Value::tuple({s.result(sigmoid(g[3]) * tanh(c)), s.result(c)});
}

NNM_REGISTER(Module, LSTMCell);

const Spec<GatedCellOptions>& GRUCell::spec() {
  static const auto s = cell_spec<Options>("GRUCell", "a step of gated recurrence");
  return s;
}

GRUCell::GRUCell(const Options& o) : options(o) { make(o.input_size, o.hidden_size, o.bias, 3); }

Value GRUCell::forward(const Args& args) {
  const Step s = checked(args, 1);
  const Tensors x = chunk(from_input(s), 3, -1), h = chunk(from_state(s), 3, -1);
  const Tensor candidate = tanh(x[2] + sigmoid(x[0] + h[0]) * h[2]);
  return s.result(candidate + sigmoid(x[1] + h[1]) * (s.states[0] - candidate));
}

NNM_REGISTER(Module, GRUCell);

}  // namespace nnm::nn
