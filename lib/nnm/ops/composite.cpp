// Functions that are sums and products of others, and have their gradients from them.
#include <cstdlib>
#include <limits>

#include "nnm/ops/detail.h"
#include "nnm/ops/largest.h"

namespace nnm {

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

Tensor isnan(const Tensor& x) { return ne(x, x); }

Tensor isinf(const Tensor& x) {
  return is_floating(x.dtype()) ? eq(abs(x.detach()), Scalar(kInf)) : ne(x, x);
}

Tensor isfinite(const Tensor& x) {
  return is_floating(x.dtype()) ? lt(abs(x.detach()), Scalar(kInf)) : eq(x, x);
}

Tensor isclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  NNM_CHECK(a.dtype() == b.dtype(), runtime, "{} did not match {}",
            detail::scalar_type_name(a.dtype()), detail::scalar_type_name(b.dtype()));
  NoGradGuard no_grad;
  const Tensor x = is_floating(a.dtype()) ? a : to(a, DType::f64);
  const Tensor y = is_floating(b.dtype()) ? b : to(b, DType::f64);
  const Tensor limit = add(mul(abs(y), Scalar(rtol)), Scalar(atol));
  const Tensor distance = abs(sub(x, y));
  // Infinities are close only where they are equal.
  Tensor close = logical_and(lt(distance, Scalar(kInf)), le(distance, limit));
  close = logical_or(close, eq(a, b));
  return equal_nan ? logical_or(close, logical_and(isnan(a), isnan(b))) : close;
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  return all(isclose(a, b, rtol, atol, equal_nan)).item().i != 0;
}

bool equal(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  return all(eq(a, b)).item().i != 0;
}

Tensor nan_to_num(const Tensor& x, double nan, std::optional<double> posinf,
                  std::optional<double> neginf) {
  if (!is_floating(x.dtype())) return clone(x);
  const double most = detail::largest_finite(x.dtype());
  const Tensor y = masked_fill(x, isnan(x), nan);
  const Tensor z = masked_fill(y, eq(x, Scalar(kInf)), posinf.value_or(most));
  return masked_fill(z, eq(x, Scalar(-kInf)), neginf.value_or(-most));
}

Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  return add(x, mul(a, b), value);
}

Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  return add(x, div(a, b), value);
}

Tensor hypot(const Tensor& a, const Tensor& b) {
  const DType type = detail::float_type(detail::result_type(a, b));
  return sqrt(add(square(to(a, type)), square(to(b, type))));
}

Tensor logaddexp(const Tensor& left, const Tensor& right) {
  const DType type = detail::float_type(detail::result_type(left, right));
  const Tensor a = to(left, type), b = to(right, type);
  // Two infinities of one sign have no distance, and neither have two equal numbers.
  const Tensor apart = neg(abs(masked_fill(sub(a, b), eq(a, b), Scalar(0))));
  return add(maximum(a, b), log1p(exp(apart)));
}

Tensor logit(const Tensor& x, std::optional<double> eps) {
  detail::check_defined(x, "logit");
  if (!is_floating(x.dtype())) return logit(to(x, DType::f32), eps);
  Tensor y;
  {
    const NoGradGuard no_grad;
    const Tensor p = eps ? clamp(x, Scalar(*eps), Scalar(1 - *eps)) : x;
    y = log(div(p, rsub(Scalar(1.0), p)));
  }
  if (!needs_grad({&x})) return y;
  return record("LogitBackward0", y, {&x}, [x = Saved(x), eps](Backward& b) {
    const NoGradGuard no_grad;
    const Tensor& p = x.get();
    const double low = eps.value_or(0), high = 1 - low;
    const Tensor outside = logical_or(lt(p, Scalar(low)), gt(p, Scalar(high)));
    const Tensor slope = div(b.grad(), mul(p, rsub(Scalar(1.0), p)));
    b.set(0, masked_fill(slope, outside, eps ? Scalar(0.0) : Scalar(NAN)));
  });
}

Tensor diff(const Tensor& x, int64_t n, int64_t dim) {
  NNM_CHECK(n >= 0, runtime, "order must be non-negative but got {}", n);
  NNM_CHECK(x.dim() > 0, runtime, "diff expects input to be at least one-dimensional");
  Tensor y = x;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t rest = std::max<int64_t>(y.size(dim) - 1, 0);
    const int64_t first = y.size(dim) - rest;
    const Tensor after = narrow(y, dim, first, rest), before = narrow(y, dim, 0, rest);
    y = x.dtype() == DType::b8 ? logical_xor(after, before) : sub(after, before);
  }
  return n == 0 ? clone(x) : y;
}

Tensor trace(const Tensor& x) {
  NNM_CHECK(x.dim() == 2, runtime, "trace: expected a matrix");
  return sum(diagonal(x));
}

Tensor diag(const Tensor& x, int64_t offset) {
  NNM_CHECK(x.dim() == 1 || x.dim() == 2, runtime, "diag(): Supports 1D or 2D tensors. Got {}D",
            x.dim());
  if (x.dim() == 2) return clone(diagonal(x, offset));
  const int64_t n = x.numel() + std::abs(offset);
  Tensor y = zeros({n, n}, x.options());
  copy_(diagonal(y, offset), x.detach());
  if (!needs_grad({&x})) return y;
  return record("DiagEmbedBackward0", y, {&x},
                [offset](Backward& b) { b.set(0, diagonal(b.grad(), offset)); });
}

std::pair<Tensor, Tensor> var_mean(const Tensor& x, const Dims& dims, double correction,
                                   bool keepdim) {
  return {var(x, dims, correction, keepdim), mean(x, dims, keepdim)};
}

std::pair<Tensor, Tensor> std_mean(const Tensor& x, const Dims& dims, double correction,
                                   bool keepdim) {
  return {std(x, dims, correction, keepdim), mean(x, dims, keepdim)};
}

Tensor nansum(const Tensor& x, const Dims& dims, bool keepdim) {
  return sum(masked_fill(x, isnan(x), 0), dims, keepdim);
}

Tensor nanmean(const Tensor& x, const Dims& dims, bool keepdim) {
  return div(nansum(x, dims, keepdim), sum(eq(x, x), dims, keepdim));
}

namespace {

/// How many images (C, H, W) x (…, C, H, W) holds.
int64_t count_images(const Tensor& x) {
  int64_t count = 1;
  for (int d = 0; d < x.dim() - 3; ++d) count *= x.shape()[d];
  return count;
}

}  // namespace

Tensor pixel_shuffle(const Tensor& x, int64_t r) {
  NNM_CHECK(x.dim() >= 3, runtime,
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with {} "
            "dimension(s)",
            x.dim());
  NNM_CHECK(r > 0, runtime, "pixel_shuffle expects a positive upscale_factor, but got {}", r);
  const int64_t c = x.size(-3), h = x.size(-2), w = x.size(-1);
  NNM_CHECK(c % (r * r) == 0, runtime,
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            "of upscale_factor, but input.size(-3)={} is not divisible by {}",
            c, r * r);
  const int64_t out = c / (r * r);
  Shape shape = x.shape();
  shape[x.dim() - 3] = out;
  shape[x.dim() - 2] = h * r;
  shape[x.dim() - 1] = w * r;
  const Tensor split = reshape(x, {count_images(x), out, r, r, h, w});
  return reshape(permute(split, {0, 1, 4, 2, 5, 3}), shape);
}

Tensor pixel_unshuffle(const Tensor& x, int64_t r) {
  NNM_CHECK(x.dim() >= 3, runtime,
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with {} "
            "dimension(s)",
            x.dim());
  NNM_CHECK(r > 0, runtime, "pixel_unshuffle expects a positive downscale_factor, but got {}", r);
  const int64_t c = x.size(-3), h = x.size(-2), w = x.size(-1);
  NNM_CHECK(h % r == 0, runtime,
            "pixel_unshuffle expects height to be divisible by downscale_factor, but "
            "input.size(-2)={} is not divisible by {}",
            h, r);
  NNM_CHECK(w % r == 0, runtime,
            "pixel_unshuffle expects width to be divisible by downscale_factor, but "
            "input.size(-1)={} is not divisible by {}",
            w, r);
  Shape shape = x.shape();
  shape[x.dim() - 3] = c * r * r;
  shape[x.dim() - 2] = h / r;
  shape[x.dim() - 1] = w / r;
  const Tensor split = reshape(x, {count_images(x), c, h / r, r, w / r, r});
  return reshape(permute(split, {0, 1, 3, 5, 2, 4}), shape);
}

Tensors meshgrid(const Tensors& tensors, const std::string& indexing) {
  NNM_CHECK(!tensors.empty(), runtime, "meshgrid expects a non-empty TensorList");
  NNM_CHECK(indexing == "ij" || indexing == "xy", runtime,
            "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: {}", indexing);
  const int n = static_cast<int>(tensors.size());
  Shape shape;
  for (const Tensor& t : tensors) {
    NNM_CHECK(t.dim() <= 1, runtime,
              "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {}",
              t.shape().str());
    shape.push_back(t.numel());
  }
  Tensors out;
  for (int i = 0; i < n; ++i) {
    Shape own = Shape::filled(n, 1);
    own[i] = shape[i];
    const Tensor grid = expand(reshape(tensors[static_cast<size_t>(i)], own), shape);
    out.push_back(indexing == "xy" && n >= 2 ? transpose(grid, 0, 1) : grid);
  }
  return out;
}

}  // namespace nnm
