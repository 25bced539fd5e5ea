// Multi-head attention.
#include "nnm/nn/layers/attention.h"

#include <cmath>
#include <limits>

#include "nnm/nn/init.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

NonDynamicallyQuantizableLinear::NonDynamicallyQuantizableLinear(const Options& o) : Linear(o) {
  draw_parameters(*this);
}

void NonDynamicallyQuantizableLinear::reset_parameters(const Streams& streams) {
  Linear::reset_parameters(streams);
  if (bias) init::zeros_(*bias);
}

/// The arguments of one forward, with the masks made additive.
struct MultiheadAttention::Call {
  int64_t length, batch;
  bool need_weights, average_weights, is_causal;
  Tensor attn_mask;     // (L, S) or (N heads, L, S)
  Tensor padding_mask;  // (N, S)
};

const Spec<MultiheadAttention::Options>& MultiheadAttention::spec() {
  static const auto s =
      Spec<Options>("MultiheadAttention", "attention of several heads")
          .req(NNM_ARG(embed_dim), "width of queries and outputs", at_least(1))
          .req(NNM_ARG(num_heads), "heads, each of embed_dim / num_heads", at_least(1))
          .opt(NNM_ARG(dropout), "probability of dropping a weight in training", between(0, 1))
          .opt(NNM_ARG(bias), "learn biases of the projections")
          .opt(NNM_ARG(add_bias_kv), "a learnt key and value more")
          .opt(NNM_ARG(add_zero_attn), "a key and value of zeros more")
          .opt(NNM_ARG(kdim), "width of keys; none: embed_dim", at_least(1))
          .opt(NNM_ARG(vdim), "width of values; none: embed_dim", at_least(1))
          .opt(NNM_ARG(batch_first), "inputs are (N, L, E)");
  return s;
}

MultiheadAttention::MultiheadAttention(const Options& o) : options(o) {
  NNM_CHECK(o.embed_dim > 0 && o.num_heads > 0, value,
            "embed_dim and num_heads must be greater than 0, got embed_dim={} and num_heads={} "
            "instead",
            o.embed_dim, o.num_heads);
  NNM_CHECK(o.embed_dim % o.num_heads == 0, assertion, "embed_dim must be divisible by num_heads");
  const int64_t e = o.embed_dim, k = o.kdim.value_or(e), v = o.vdim.value_or(e);
  const bool same = k == e && v == e;
  auto add = [this](const char* name, bool exists, const Shape& size) {
    return register_parameter(name, exists ? new_parameter(size) : Tensor());
  };
  if (same) in_proj_weight = add("in_proj_weight", true, {3 * e, e});
  q_proj_weight = add("q_proj_weight", !same, {e, e});
  k_proj_weight = add("k_proj_weight", !same, {e, k});
  v_proj_weight = add("v_proj_weight", !same, {e, v});
  if (!same) in_proj_weight = add("in_proj_weight", false, {});
  in_proj_bias = add("in_proj_bias", o.bias, {3 * e});
  out_proj = register_module(
      "out_proj", make_ref<NonDynamicallyQuantizableLinear>(Linear::Options{e, e, o.bias}));
  if (o.add_bias_kv) {
    bias_k = add("bias_k", true, {1, 1, e});
    bias_v = add("bias_v", true, {1, 1, e});
  }
  draw_parameters(*this);
}

void MultiheadAttention::reset_parameters(const Streams& streams) {
  const std::pair<const char*, const Parameter*> weights[] = {{"in_proj_weight", &in_proj_weight},
                                                              {"q_proj_weight", &q_proj_weight},
                                                              {"k_proj_weight", &k_proj_weight},
                                                              {"v_proj_weight", &v_proj_weight}};
  for (const auto& [name, p] : weights) {
    if (*p) init::xavier_uniform_(**p, 1, streams(name));
  }
  if (in_proj_bias) init::zeros_(*in_proj_bias);
  if (bias_k) init::xavier_normal_(*bias_k, 1, streams("bias_k"));
  if (bias_v) init::xavier_normal_(*bias_v, 1, streams("bias_v"));
}

Tensors MultiheadAttention::projected(const Tensor& query, const Tensor& key,
                                      const Tensor& value) const {
  if (in_proj_weight && query.is_same(key) && key.is_same(value)) {
    return chunk(linear(query, in_proj_weight, in_proj_bias), 3, -1);
  }
  Tensors weights{q_proj_weight, k_proj_weight, v_proj_weight}, biases(3);
  if (in_proj_weight) weights = chunk(in_proj_weight, 3);
  if (in_proj_bias) biases = chunk(in_proj_bias, 3);
  return {linear(query, weights[0], biases[0]), linear(key, weights[1], biases[1]),
          linear(value, weights[2], biases[2])};
}

// (L, N, E) to (N heads, L, E / heads).
Tensor MultiheadAttention::heads(const Tensor& x) const {
  const int64_t batch = x.size(1) * options.num_heads;
  return transpose(reshape(x, {x.size(0), batch, options.embed_dim / options.num_heads}), 0, 1);
}

namespace {

// A boolean mask as minus infinity where it is true.
Tensor additive(const Tensor& mask, DType dtype) {
  if (!mask.defined() || mask.dtype() != DType::b8) return mask;
  return masked_fill(zeros(mask.shape(), {dtype, mask.device()}), mask,
                     -std::numeric_limits<double>::infinity());
}

// One more key that every query sees.
Tensor widened(const Tensor& mask) { return mask.defined() ? pad(mask, {0, 1}) : mask; }

std::string tuple_text(const Shape& s) { return Value::tuple(Values(s.begin(), s.end())).repr(); }

// torch.nn.functional._mha_shape_check, as far as it is about masks, and _canonical_mask.
void check_masks(const Tensor& padding, const Tensor& attn, bool batched) {
  const char* query = batched ? "batched (3-D)" : "unbatched (2-D)";
  NNM_CHECK(
      !padding.defined() || padding.dim() == (batched ? 2 : 1), assertion,
      "For {} `query`, expected `key_padding_mask` to be `None` or {}-D but found {}-D tensor "
      "instead",
      query, batched ? 2 : 1, padding.dim());
  NNM_CHECK(!attn.defined() || attn.dim() == 2 || attn.dim() == 3, assertion,
            "For {} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {}-D tensor "
            "instead",
            query, attn.dim());
  auto check_type = [](const Tensor& mask, const char* name) {
    NNM_CHECK(!mask.defined() || mask.dtype() == DType::b8 || is_floating(mask.dtype()), assertion,
              "only bool and floating types of {} are supported", name);
  };
  check_type(padding, "key_padding_mask");
  check_type(attn, "attn_mask");
}

// The inputs are (L, N, E), the masks those of the call.
void check_lengths(const Tensor& query, const Tensor& key, const Tensor& value, bool separate,
                   int64_t heads, const Tensor& padding, const Tensor& attn) {
  const int64_t length = query.size(0), batch = query.size(1), source = key.size(0);
  if (separate) {
    const Shape k{source, key.size(1)}, v{value.size(0), value.size(1)};
    NNM_CHECK(k == v, assertion, "key's sequence and batch dims {} do not match value's {}", str(k),
              str(v));
  } else {
    NNM_CHECK(key.shape() == value.shape(), assertion, "key shape {} does not match value shape {}",
              str(key.shape()), str(value.shape()));
  }
  if (attn.defined()) {
    const Shape wanted =
        attn.dim() == 2 ? Shape{length, source} : Shape{batch * heads, length, source};
    NNM_CHECK(attn.shape() == wanted, runtime,
              "The shape of the {}D attn_mask is {}, but should be {}.", attn.dim(),
              str(attn.shape()), tuple_text(wanted));
  }
  if (!padding.defined()) return;
  const Shape wanted{batch, source};
  for (int d = 0; d < 2; ++d) {
    NNM_CHECK(padding.size(d) == wanted[d], assertion,
              "Expected key_padded_mask.shape[{}] to be {}, but got {}", d, wanted[d],
              padding.size(d));
  }
}

}  // namespace

void MultiheadAttention::append_columns(Call& c, Tensor& key, Tensor& value) const {
  if (bias_k) {
    key = cat({key, heads(expand(bias_k, {1, c.batch, options.embed_dim}))}, 1);
    value = cat({value, heads(expand(bias_v, {1, c.batch, options.embed_dim}))}, 1);
    c.attn_mask = widened(c.attn_mask);
    c.padding_mask = widened(c.padding_mask);
  }
  if (options.add_zero_attn) {
    const Tensor zero = zeros({key.size(0), 1, key.size(2)}, key.options());
    key = cat({key, zero}, 1);
    value = cat({value, zero}, 1);
    c.attn_mask = widened(c.attn_mask);
    c.padding_mask = widened(c.padding_mask);
  }
}

std::pair<Tensor, Tensor> MultiheadAttention::attend(const Call& c, const Tensor& query,
                                                     const Tensor& key, const Tensor& value) const {
  const int64_t n = c.batch, h = options.num_heads, l = c.length, s = key.size(1);
  const double dropout_p = training() ? options.dropout : 0;
  const Shape q_shape{n, h, l, query.size(2)}, k_shape{n, h, s, query.size(2)};
  Tensor mask = c.attn_mask;  // to (N, heads, L, S) or (L, S)
  if (mask.defined() && mask.dim() == 3) mask = reshape(mask, {n, h, l, s});
  if (c.padding_mask.defined()) {
    const Tensor padding = reshape(c.padding_mask, {n, 1, 1, s});
    mask = mask.defined() ? mask + padding : padding;
  }
  const Tensor q = reshape(query, q_shape), k = reshape(key, k_shape), v = reshape(value, k_shape);
  Tensor out, weights;
  if (c.need_weights) {
    const double scale = std::sqrt(1.0 / static_cast<double>(query.size(2)));
    Tensor scores = matmul(q * scale, transpose(k, -2, -1));
    if (mask.defined()) scores = scores + mask;
    weights = dropout(softmax(scores, -1), dropout_p, training());
    out = matmul(weights, v);
  } else {
    const bool causal = c.is_causal && !c.padding_mask.defined();
    if (mask.defined()) mask = expand(mask, {n, h, l, s});
    out = scaled_dot_product_attention(q, k, v, causal ? Tensor() : mask, dropout_p, causal);
  }
  // (N, heads, L, E / heads) to (L, N, E).
  out = reshape(permute(out, {2, 0, 1, 3}), {l, n, options.embed_dim});
  out = linear(out, out_proj->weight, out_proj->bias);
  if (c.need_weights && c.average_weights) weights = mean(weights, {1});
  return {out, weights};
}

Value MultiheadAttention::forward(const Args& args) {
  static const Signature signature = Signature::parse(
      "forward(query: Tensor, key: Tensor, value: Tensor, key_padding_mask: "
      "Tensor? = none, need_weights: bool = true, attn_mask: Tensor? = none, "
      "average_attn_weights: bool = true, is_causal: bool = false)");
  const Values a = forward_args(signature, args);
  Tensor in[3];
  for (size_t i = 0; i < 3; ++i) in[i] = a[i].as<Tensor>();
  const bool batched = in[0].dim() == 3;
  NNM_CHECK(batched || in[0].dim() == 2, assertion,
            "query should be unbatched 2D or batched 3D tensor but received {}-D query tensor",
            in[0].dim());
  for (const Tensor& t : in) {
    NNM_CHECK(t.dim() == in[0].dim(), assertion,
              "For {} `query`, expected `key` and `value` to be {}-D but found {}-D and {}-D "
              "tensors respectively",
              batched ? "batched (3-D)" : "unbatched (2-D)", in[0].dim(), in[1].dim(), in[2].dim());
  }
  check_masks(Codec<Tensor>::read(a[3]), Codec<Tensor>::read(a[5]), batched);
  NNM_CHECK(in[0].size(-1) == options.embed_dim, assertion,
            "was expecting embedding dimension of {}, but got {}", options.embed_dim,
            in[0].size(-1));
  // Inputs that are one tensor stay one, so that they are projected at once.
  const bool self = in[0].is_same(in[1]) && in[1].is_same(in[2]);
  for (size_t i = 0; i < 3; ++i) {
    if (self && i > 0) in[i] = in[0];
    else if (!batched) in[i] = unsqueeze(in[i], 1);
    else if (options.batch_first) in[i] = transpose(in[i], 0, 1);
  }
  const DType dtype = in[0].dtype();
  Call c{in[0].size(0),
         in[0].size(1),
         a[4].boolean(),
         a[6].boolean(),
         a[7].boolean(),
         additive(Codec<Tensor>::read(a[5]), dtype),
         additive(Codec<Tensor>::read(a[3]), dtype)};
  NNM_CHECK(!c.is_causal || c.attn_mask.defined(), runtime,
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask.");
  if (c.padding_mask.defined() && !batched) c.padding_mask = unsqueeze(c.padding_mask, 0);
  check_lengths(in[0], in[1], in[2], !in_proj_weight, options.num_heads, c.padding_mask,
                c.attn_mask);
  const Tensors qkv = projected(in[0], in[1], in[2]);
  Tensor key = heads(qkv[1]), value = heads(qkv[2]);
  append_columns(c, key, value);
  auto [out, weights] = attend(c, heads(qkv[0]), key, value);
  if (!batched) {
    out = squeeze(out, 1);
    if (weights.defined()) weights = squeeze(weights, 0);
  } else if (options.batch_first) {
    out = transpose(out, 0, 1);
  }
  return Value::tuple({out, weights});
}

NNM_REGISTER(Module, MultiheadAttention);

}  // namespace nnm::nn
