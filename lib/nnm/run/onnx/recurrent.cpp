// RNN, LSTM and GRU, layer by layer.
#include "nnm/base/error.h"
#include "nnm/nn/layers/rnn.h"
#include "nnm/ops/ops.h"
#include "nnm/run/onnx/layers.h"

namespace nnm::run::onnx {
namespace {

// ONNX's order of the gates by PyTorch's: LSTM i f g o there is i o f c here, GRU r z n is z r h.
Tensor reordered(const Tensor& t, const Ints& order) {
  const Tensors gates = chunk(t, static_cast<int64_t>(order.size()), 0);
  Tensors out;
  for (const int64_t i : order) out.push_back(gates[static_cast<size_t>(i)]);
  return cat(out, 0);
}

/// What the three have in common, as the graph needs it.
struct Kind {
  const char* op;
  Ints order;
  Attributes attributes;
  bool cells;
};

class Recurrent {
 public:
  template <class Options>
  Recurrent(Builder& g, const LayerCall& c, const Options& o, Kind kind)
      : g_(g),
        layer_(c.layer),
        kind_(std::move(kind)),
        hidden_(o.hidden_size),
        layers_(o.num_layers),
        ways_(o.bidirectional ? 2 : 1),
        bias_(o.bias) {
    const Tensor x = c.args.pos.at(0).as<Tensor>();
    if (x.dim() != 3) unsupported("a recurrent layer of one sequence without a batch");
    const Value first = c.args.pos.size() > 1 ? c.args.pos[1] : Value();
    std::string y = g.of(x);
    if (o.batch_first) y = g.transpose(y, {1, 0, 2});
    const Shape steps{x.size(o.batch_first ? 1 : 0), x.size(o.batch_first ? 0 : 1),
                      ways_ * hidden_};
    for (int64_t l = 0; l < layers_; ++l) y = one(y, l, first, steps);
    if (o.batch_first) y = g.transpose(y, {1, 0, 2});
    g.give(c.output.items()[0].as<Tensor>(), y);
    const Value& last = c.output.items()[1];
    g.give((kind_.cells ? last.items()[0] : last).as<Tensor>(), joined(h_));
    if (kind_.cells) g.give(last.items()[1].as<Tensor>(), joined(c_));
  }

 private:
  std::string joined(const Strings& parts) {
    return parts.size() == 1 ? parts[0] : g_.emit("Concat", parts, {{"axis", int64_t{0}}});
  }
  /// A parameter of both directions.
  Tensor both(const char* name, int64_t l) const {
    Tensors ways;
    for (int64_t w = 0; w < ways_; ++w) {
      const std::string full = fmt::format("{}_l{}{}", name, l, w ? "_reverse" : "");
      ways.push_back(reordered(layer_.get_parameter(full).detach(), kind_.order));
    }
    return stack(ways, 0);
  }
  /// The states that a layer begins with; "" for zeros.
  std::string begin(const Value& all, int64_t l) {
    if (all.is_none()) return "";
    return g_.slice(g_.of(all.as<Tensor>()), {l * ways_}, {(l + 1) * ways_}, {0}, {1});
  }
  std::string one(const std::string& x, int64_t l, const Value& first, const Shape& shape) {
    Strings in{x, g_.constant(both("weight_ih", l)), g_.constant(both("weight_hh", l)),
               bias_ ? g_.constant(cat({both("bias_ih", l), both("bias_hh", l)}, 1)) : "", ""};
    if (kind_.cells) {
      in.push_back(begin(first.is_none() ? Value() : first.items()[0], l));
      in.push_back(begin(first.is_none() ? Value() : first.items()[1], l));
    } else {
      in.push_back(begin(first, l));
    }
    Attributes attributes = kind_.attributes;
    attributes.emplace_back("hidden_size", hidden_);
    if (ways_ == 2) attributes.emplace_back("direction", std::string("bidirectional"));
    const Strings out = g_.emit(kind_.op, in, kind_.cells ? 3 : 2, attributes);
    h_.push_back(out[1]);
    if (kind_.cells) c_.push_back(out[2]);
    return g_.reshape(g_.transpose(out[0], {0, 2, 1, 3}), shape);
  }

  Builder& g_;
  Module& layer_;
  const Kind kind_;
  const int64_t hidden_, layers_, ways_;
  const bool bias_;
  Strings h_, c_;
};

void lstm(Builder& g, const LayerCall& c) {
  const auto& o = dynamic_cast<const nn::LSTM&>(c.layer).options;
  if (o.proj_size > 0) unsupported("an LSTM with projections");
  Recurrent(g, c, o, {"LSTM", {0, 3, 1, 2}, {}, true});
}
void gru(Builder& g, const LayerCall& c) {
  const auto& o = dynamic_cast<const nn::GRU&>(c.layer).options;
  Recurrent(g, c, o, {"GRU", {1, 0, 2}, {{"linear_before_reset", int64_t{1}}}, false});
}
void rnn(Builder& g, const LayerCall& c) {
  const auto& o = dynamic_cast<const nn::RNN&>(c.layer).options;
  if (o.nonlinearity != "tanh") unsupported("an RNN of relu");
  Recurrent(g, c, o, {"RNN", {0}, {}, false});
}

constexpr LayerConversion kRecurrent[] = {
    {is<nn::LSTM>, lstm}, {is<nn::GRU>, gru}, {is<nn::RNN>, rnn}};

}  // namespace

std::span<const LayerConversion> recurrent_layers() { return kRecurrent; }

}  // namespace nnm::run::onnx
