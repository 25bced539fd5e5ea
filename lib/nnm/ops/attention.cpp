// Scaled dot-product attention: fused, or step by step where the mask itself needs a gradient.
#include "kernels/attention.h"

#include <cmath>
#include <limits>

#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"

namespace nnm {

namespace {

void check_operands(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                    double dropout_p, bool causal) {
  NNM_CHECK(q.dtype() == k.dtype() && q.dtype() == v.dtype(), runtime,
            "Expected query, key, and value to have the same dtype, but got query.dtype: {} "
            "key.dtype: {} and value.dtype: {} instead.",
            detail::c_type_name(q.dtype()), detail::c_type_name(k.dtype()),
            detail::c_type_name(v.dtype()));
  detail::check_same_device(q, k);
  detail::check_same_device(q, v);
  NNM_CHECK(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2, runtime,
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            "{} key.dim: {} and value.dim: {} instead.",
            q.dim(), k.dim(), v.dim());
  detail::check_floating(q, "scaled_dot_product_attention");
  NNM_CHECK(dropout_p >= 0 && dropout_p <= 1, runtime,
            "dropout probability has to be between 0 and 1, but got {}", python_float(dropout_p));
  NNM_CHECK(!mask.defined() || !causal, runtime,
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True");
  NNM_CHECK(!mask.defined() || mask.dtype() == DType::b8 || is_floating(mask.dtype()), runtime,
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            "attn_mask.dtype: {} and  query.dtype: {} instead.",
            detail::c_type_name(mask.dtype()), detail::c_type_name(q.dtype()));
  NNM_CHECK(q.size(-1) == k.size(-1), runtime,
            "scaled_dot_product_attention: query and key must have the same last dimension, but "
            "got {} and {}",
            q.shape().str(), k.shape().str());
  NNM_CHECK(k.size(-2) == v.size(-2), runtime,
            "scaled_dot_product_attention: key and value must have as many rows, but got {} and {}",
            k.shape().str(), v.shape().str());
}

// A view of four dimensions of one of two to four, without history.
View as_heads(const Tensor& x) {
  View v = x;
  const int add = 4 - v.ndim;
  for (int d = 3; d >= 0; --d) {
    v.size[d] = d < add ? 1 : v.size[d - add];
    v.stride[d] = d < add ? 0 : v.stride[d - add];
  }
  v.ndim = 4;
  return v;
}

// The mask over (B, H, L, S), its strides 0 where it is broadcast.
View mask_view(const Tensor& mask, const Shape& batch, int64_t queries, int64_t keys) {
  if (!mask.defined()) return {};
  Shape shape = batch;
  shape.push_back(queries);
  shape.push_back(keys);
  while (shape.size() < 4) shape.insert(0, 1);
  NNM_CHECK(broadcast_shapes(mask.shape(), shape) == shape, runtime,
            "The expanded size of attn_mask {} does not match {}", mask.shape().str(), shape.str());
  return detail::broadcast_view(mask, shape);
}

// The result lies as (B, L, H, E) in memory, so that heads join without a copy.
Tensor empty_heads(const Shape& batch, int64_t queries, int64_t width, TensorOptions options) {
  Shape shape = batch;
  shape.push_back(queries);
  shape.push_back(width);
  if (batch.size() != 2) return empty(shape, options);
  const int64_t h = batch[1];
  return empty_strided(shape, {queries * h * width, width, h * width, 1}, options);
}

Tensor empty_gradient(const Tensor& x) {
  return x.is_dense() ? empty_like(x) : empty(x.shape(), x.options());
}

// q, k, v of two to four dimensions, their leading dimensions alike.
Tensor fused(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
             const Attention& p) {
  const Shape batch = detail::leading(q, 2);
  const int64_t queries = q.size(-2), keys = k.size(-2), n = batch.numel();
  Tensor out = empty_heads(batch, queries, v.size(-1), q.options());
  const DType stats = q.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const View vq = as_heads(q);
  const Tensor lse = empty({vq.size[0], vq.size[1], queries}, {stats, q.device()});
  count_flops(2 * n * queries * keys * (q.size(-1) + v.size(-1)));
  kernels::attention(as_heads(out), lse, vq, as_heads(k), as_heads(v),
                     mask_view(mask, batch, queries, keys), p);
  if (!needs_grad({&q, &k, &v})) return out;
  constexpr const char* kNode = "ScaledDotProductFlashAttentionForCpuBackward0";
  return record(
      kNode, out, {&q, &k, &v},
      [q = Saved(q), k = Saved(k), v = Saved(v), mask = Saved(mask),
       out = Saved::output(out, kNode), lse, batch, p](Backward& b) {
        const Tensor &tq = q.get(), &tk = k.get(), &tv = v.get();
        const Tensor dq = empty_gradient(tq), dk = empty_gradient(tk), dv = empty_gradient(tv);
        const int64_t queries = tq.size(-2), keys = tk.size(-2);
        // Of a sum's gradient all elements are one, which the fast kernels do not take.
        const Tensor g = detail::dense(b.grad());
        // Scores again, then a product each for dV, dP, dQ and dK.
        count_flops(2 * batch.numel() * queries * keys * (3 * tq.size(-1) + 2 * tv.size(-1)));
        kernels::attention_backward(
            as_heads(dq), as_heads(dk), as_heads(dv), as_heads(g), as_heads(out.get()), lse,
            as_heads(tq), as_heads(tk), as_heads(tv),
            mask.defined() ? mask_view(mask.get(), batch, queries, keys) : View{}, p);
        b.set(0, dq);
        b.set(1, dk);
        b.set(2, dv);
      });
}

// The same by single operations.
Tensor composed(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                const Attention& p) {
  Tensor scores = mul(matmul(q, transpose(k, -2, -1)), Scalar(p.scale));
  const double inf = std::numeric_limits<double>::infinity();
  if (p.causal) {
    const Tensor seen = tril(ones({q.size(-2), k.size(-2)}, {DType::b8, q.device()}));
    scores = masked_fill(scores, logical_not(seen), Scalar(-inf));
  }
  if (mask.defined()) scores = add(scores, mask);
  return matmul(dropout(softmax(scores, -1), p.dropout_p, true), v);
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& attn_mask, double dropout_p, bool is_causal,
                                    std::optional<double> scale) {
  detail::check_defined(query, "scaled_dot_product_attention");
  detail::check_defined(key, "scaled_dot_product_attention");
  detail::check_defined(value, "scaled_dot_product_attention");
  Tensor q = autocast_short(query), k = autocast_short(key), v = autocast_short(value);
  check_operands(q, k, v, attn_mask, dropout_p, is_causal);
  const bool boolean = attn_mask.defined() && attn_mask.dtype() == DType::b8;
  const Tensor mask = attn_mask.defined() && !boolean ? to(attn_mask, q.dtype()) : attn_mask;
  const Shape batch = broadcast_shapes(
      broadcast_shapes(detail::leading(q, 2), detail::leading(k, 2)), detail::leading(v, 2));
  q = detail::with_leading(q, batch);
  k = detail::with_leading(k, batch);
  v = detail::with_leading(v, batch);
  Attention p;
  p.scale = scale.value_or(1 / std::sqrt(static_cast<double>(q.size(-1))));
  p.causal = is_causal;
  p.dropout_p = dropout_p;
  // Blocks of heads without width have no size to divide by.
  const bool flat = q.size(-1) == 0 || v.size(-1) == 0;
  if (batch.size() > 2 || needs_grad({&mask}) || flat) {
    if (!mask.defined()) return composed(q, k, v, mask, p);
    if (!boolean) return composed(q, k, v, mask, p);
    const double inf = std::numeric_limits<double>::infinity();
    const Tensor bias =
        masked_fill(zeros(mask.shape(), q.options()), logical_not(mask), Scalar(-inf));
    return composed(q, k, v, bias, p);
  }
  if (dropout_p > 0 && !q.is_meta()) {
    Generator& g = default_generator();
    p.seed = g.seed;
    p.offset = g.advance(batch.numel() * q.size(-2) * k.size(-2));
  }
  return fused(q, k, v, mask, p);
}

namespace {

Tensor attention_call(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                      double dropout_p, bool is_causal, std::optional<double> scale,
                      bool enable_gqa) {
  if (!enable_gqa) return scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal, scale);
  NNM_CHECK(
      q.dim() >= 3 && k.dim() >= 3 && v.dim() >= 3 && k.size(-3) > 0 && v.size(-3) > 0 &&
          q.size(-3) % k.size(-3) == 0 && q.size(-3) % v.size(-3) == 0,
      runtime,
      "Number of heads in key and value must divide the number of heads in query, but got {}, "
      "{} and {}",
      q.shape().str(), k.shape().str(), v.shape().str());
  const auto repeated = [&](const Tensor& x) {
    return repeat_interleave(x, q.size(-3) / x.size(-3), x.dim() - 3);
  };
  return scaled_dot_product_attention(q, repeated(k), repeated(v), mask, dropout_p, is_causal,
                                      scale);
}

constexpr Function kAttentionFunctions[] = {
    {"scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor? = "
     "none, dropout_p: float = 0.0, is_causal: bool = false, scale: float? = none, enable_gqa: "
     "bool "
     "= false)",
     "softmax(query keyᵀ scale + attn_mask) value", call<attention_call>},
};
NNM_REGISTER_FUNCTIONS(kAttentionFunctions);

}  // namespace
}  // namespace nnm
