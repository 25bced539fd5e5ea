// nn.MultiheadAttention and the layers of transformers, by the functions that they are made of.
#include "nnm/base/error.h"
#include "nnm/nn/layers/transformer.h"
#include "nnm/ops/ops.h"
#include "nnm/run/onnx/layers.h"

namespace nnm::run::onnx {
namespace {

/// Computes with tensors by functions that become operators.
class Calculation {
 public:
  explicit Calculation(Builder& g) : g_(g) {}

  Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return call("linear", {{"input", x}, {"weight", weight}, {"bias", optional(bias)}});
  }
  Tensor swapped(const Tensor& x, int64_t a, int64_t b) {
    return call("transpose", {{"input", x}, {"dim0", a}, {"dim1", b}});
  }
  Tensor shaped(const Tensor& x, const Ints& shape) {
    return call("reshape",
                {{"input", x}, {"shape", Value::tuple(Values(shape.begin(), shape.end()))}});
  }
  Tensor normed(const Tensor& x, const nn::LayerNorm& n) {
    const Values shape(n.options.normalized_shape.begin(), n.options.normalized_shape.end());
    return call("layer_norm", {{"input", x},
                               {"normalized_shape", Value::list(shape)},
                               {"weight", optional(n.weight)},
                               {"bias", optional(n.bias)},
                               {"eps", n.options.eps.d}});
  }
  Tensor sum(const Tensor& a, const Tensor& b) { return call("add", {{"input", a}, {"other", b}}); }
  Tensor call(const char* function, Items args) {
    return compute(g_, function, std::move(args)).as<Tensor>();
  }

  /// The output alone: (N, L, E) of query, (N, S, …) of key and value where `batch_first`.
  Tensor attention(const nn::MultiheadAttention& m, const Tensors& qkv, const Value& mask) {
    const auto& o = m.options;
    if (o.add_bias_kv || o.add_zero_attn) unsupported("attention with added keys");
    if (qkv[0].dim() != 3) unsupported("attention of one sequence without a batch");
    Tensors heads;
    for (size_t i = 0; i < 3; ++i) {
      const Tensor x = o.batch_first ? qkv[i] : swapped(qkv[i], 0, 1);
      const auto part = static_cast<int64_t>(i);
      const Tensor bias =
          m.in_proj_bias ? narrow(m.in_proj_bias, 0, part * o.embed_dim, o.embed_dim) : Tensor();
      const Tensor y = linear(x, weight(m, part), bias);
      const int64_t width = o.embed_dim / o.num_heads;
      heads.push_back(swapped(shaped(y, {y.size(0), y.size(1), o.num_heads, width}), 1, 2));
    }
    const Tensor y =
        call("scaled_dot_product_attention",
             {{"query", heads[0]}, {"key", heads[1]}, {"value", heads[2]}, {"attn_mask", mask}});
    const Tensor joined = shaped(swapped(y, 1, 2), {y.size(0), y.size(2), o.embed_dim});
    const Tensor out = linear(joined, m.out_proj->weight, m.out_proj->bias);
    return o.batch_first ? out : swapped(out, 0, 1);
  }

 private:
  static Value optional(const Tensor& t) { return t.defined() ? Value(t) : Value(); }
  static Tensor weight(const nn::MultiheadAttention& m, int64_t part) {
    const int64_t e = m.options.embed_dim;
    if (m.in_proj_weight) return narrow(m.in_proj_weight, 0, part * e, e);
    return part == 0 ? m.q_proj_weight : part == 1 ? m.k_proj_weight : m.v_proj_weight;
  }
  Builder& g_;
};

/// The argument by place or name, or none.
Value argument(const Args& args, size_t position, std::string_view name) {
  if (position < args.pos.size()) return args.pos[position];
  for (const auto& [key, value] : args.kw)
    if (key == name) return value;
  return {};
}

/// A mask in which true keeps out, as scaled_dot_product_attention takes it.
Value kept(const Value& mask) {
  if (mask.is_none() || mask.as<Tensor>().dtype() != DType::b8) return mask;
  return logical_not(mask.as<Tensor>());
}

/// Masks do not depend on the inputs, and are of the pairs of places alone.
Value mask_of(Builder& g, const Value& mask, const Value& padding) {
  if (!padding.is_none()) unsupported("a mask of padding");
  if (mask.is_none()) return mask;
  if (g.depends(mask.as<Tensor>())) unsupported("a mask that depends on the inputs");
  if (mask.as<Tensor>().dim() != 2) unsupported("a mask for each head");
  return kept(mask);
}

void multihead(Builder& g, const LayerCall& c) {
  const auto& m = dynamic_cast<const nn::MultiheadAttention&>(c.layer);
  Calculation calculation(g);
  const Value mask =
      mask_of(g, argument(c.args, 5, "attn_mask"), argument(c.args, 3, "key_padding_mask"));
  Tensors qkv;
  constexpr const char* kNames[] = {"query", "key", "value"};
  for (size_t i = 0; i < 3; ++i) qkv.push_back(argument(c.args, i, kNames[i]).as<Tensor>());
  g.give(c.output.items()[0].as<Tensor>(), g.of(calculation.attention(m, qkv, mask)));
}

void encoder_layer(Builder& g, const LayerCall& c) {
  const auto& m = dynamic_cast<const nn::TransformerEncoderLayer&>(c.layer);
  const Value mask =
      mask_of(g, argument(c.args, 1, "src_mask"), argument(c.args, 2, "src_key_padding_mask"));
  Calculation f(g);
  const auto attended = [&](const Tensor& x) { return f.attention(*m.self_attn, {x, x, x}, mask); };
  const auto fed = [&](const Tensor& x) {
    const Tensor wide = f.linear(x, m.linear1->weight, m.linear1->bias);
    const Tensor active = f.call(m.options.activation.c_str(), {{"input", wide}});
    return f.linear(active, m.linear2->weight, m.linear2->bias);
  };
  Tensor x = argument(c.args, 0, "src").as<Tensor>();
  if (m.options.norm_first) {
    x = f.sum(x, attended(f.normed(x, *m.norm1)));
    x = f.sum(x, fed(f.normed(x, *m.norm2)));
  } else {
    x = f.normed(f.sum(x, attended(x)), *m.norm1);
    x = f.normed(f.sum(x, fed(x)), *m.norm2);
  }
  g.give(c.output.as<Tensor>(), g.of(x));
}

constexpr LayerConversion kAttention[] = {{is<nn::MultiheadAttention>, multihead},
                                          {is<nn::TransformerEncoderLayer>, encoder_layer}};

}  // namespace

std::span<const LayerConversion> attention_layers() { return kAttention; }

}  // namespace nnm::run::onnx
