// Sums, means, variances, products, extrema and norms over dimensions.
#include "kernels/reduce.h"

#include <cmath>
#include <limits>

#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

using detail::dim_mask;
using detail::expand_view;
using detail::keep_dims;
using detail::reduced_count;
using detail::reduced_shape;

/// x reduced over `mask` into a new tensor of `dtype`; nothing recorded.
Tensor reduced(const Tensor& x, uint32_t mask, bool keepdim, Reduce f, DType dtype) {
  Tensor y = empty(reduced_shape(x.shape(), mask, keepdim), {dtype, x.device()});
  kernels::reduce(keep_dims(y, mask, x.dim(), keepdim), x, f);
  return y;
}

/// The gradient of a reduction spread over what was reduced.
Tensor spread(const Tensor& g, uint32_t mask, bool keepdim, const Shape& shape) {
  return expand_view(keep_dims(g, mask, shape.size(), keepdim), shape);
}

/// Whether elements become `dtype` before they are added up, not their sum afterwards.
bool converts_first(const Tensor& x, std::optional<DType> dtype) {
  return dtype && compute_type(*dtype) != compute_type(x.dtype());
}

DType sum_type(const Tensor& x, std::optional<DType> dtype) {
  return dtype.value_or(is_floating(x.dtype()) ? x.dtype() : DType::i64);
}

void check_norm_input(const Tensor& x, const char* op) {
  NNM_CHECK(is_floating(x.dtype()), runtime,
            "{}: Expected a floating point or complex tensor as input. Got {}", op,
            detail::scalar_type_name(x.dtype()));
}

}  // namespace

Tensor sum(const Tensor& x, const Dims& dims, bool keepdim, std::optional<DType> dtype) {
  detail::check_defined(x, "sum");
  if (converts_first(x, dtype)) return sum(to(x, *dtype), dims, keepdim, dtype);
  const uint32_t mask = dim_mask(dims, x.dim());
  Tensor y = reduced(x, mask, keepdim, Reduce::sum, sum_type(x, dtype));
  if (!needs_grad({&x})) return y;
  return record(dims.empty() ? "SumBackward0" : "SumBackward1", y, {&x},
                [mask, keepdim](Backward& b) {
                  b.set(0, spread(b.grad(), mask, keepdim, b.input(0).sizes));
                });
}

Tensor mean(const Tensor& x, const Dims& dims, bool keepdim, std::optional<DType> dtype) {
  detail::check_defined(x, "mean");
  const DType type = dtype.value_or(x.dtype());
  NNM_CHECK(is_floating(type), runtime,
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            "complex dtype. Got: {}",
            detail::scalar_type_name(type));
  if (converts_first(x, dtype)) return mean(to(x, type), dims, keepdim, type);
  const uint32_t mask = dim_mask(dims, x.dim());
  const auto n = static_cast<double>(reduced_count(x.shape(), mask));
  // Halves are summed and divided in f32, then rounded once.
  const DType inner = compute_type(type);
  Tensor y = reduced(x, mask, keepdim, Reduce::sum, inner);
  kernels::binary(y, y, detail::ScalarOperand(n, y.shape(), y.device()), Binary::div, inner, 1.0);
  if (inner != type) {
    NoGradGuard no_grad;
    y = to(y, type);
  }
  if (!needs_grad({&x})) return y;
  return record(dims.empty() ? "MeanBackward0" : "MeanBackward1", y, {&x},
                [mask, keepdim, n](Backward& b) {
                  // Divided before it is spread: the smaller of the two.
                  b.set(0, spread(div(b.grad(), Scalar(n)), mask, keepdim, b.input(0).sizes));
                });
}

namespace {

/// x - mean over the mask, and the sum of its squares / max(0, n - correction).
struct Moments {
  Tensor centred, variance;
};

Moments moments(const Tensor& x, uint32_t mask, double correction, bool keepdim) {
  NoGradGuard no_grad;
  const DType type = compute_type(x.dtype());
  const auto n = static_cast<double>(reduced_count(x.shape(), mask));
  Tensor mean = reduced(x, mask, true, Reduce::sum, type);
  kernels::binary(mean, mean, detail::ScalarOperand(n, mean.shape(), x.device()), Binary::div, type,
                  1.0);
  Moments m;
  m.centred = detail::empty_pointwise(x, type);
  kernels::binary(m.centred, x, detail::broadcast_view(mean, x.shape()), Binary::add, type, -1.0);
  const Tensor squares = square(m.centred);
  m.variance = reduced(squares, mask, keepdim, Reduce::sum, type);
  const double freedom = std::max(n - correction, 0.0);
  kernels::binary(m.variance, m.variance,
                  detail::ScalarOperand(freedom, m.variance.shape(), x.device()), Binary::div, type,
                  1.0);
  return m;
}

Tensor variance(const char* node, const Tensor& x, const Dims& dims, double correction,
                bool keepdim, bool root) {
  detail::check_defined(x, root ? "std" : "var");
  NNM_CHECK(is_floating(x.dtype()), runtime,
            "std and var only support floating point and complex dtypes");
  const uint32_t mask = dim_mask(dims, x.dim());
  const double freedom =
      std::max(static_cast<double>(reduced_count(x.shape(), mask)) - correction, 0.0);
  Moments m = moments(x, mask, correction, keepdim);
  Tensor y;
  {
    NoGradGuard no_grad;
    y = to(root ? sqrt(m.variance) : m.variance, x.dtype());
  }
  if (!needs_grad({&x})) return y;
  // d var = 2 (x - mean) / freedom; d std = d var / (2 std), and 0 where std is 0.
  return record(node, y, {&x},
                [c = Saved(m.centred), y = root ? Saved::output(y, node) : Saved(), mask, keepdim,
                 freedom](Backward& b) {
                  Tensor g = b.grad();
                  if (y.defined()) {
                    g = masked_fill(div(g, mul(y.get(), Scalar(2.0))), eq(y.get(), Scalar(0)), 0.0);
                  }
                  g = mul(g, 2 / freedom);
                  b.set(0, mul(c.get(), spread(g, mask, keepdim, b.input(0).sizes)));
                });
}

}  // namespace

Tensor var(const Tensor& x, const Dims& dims, double correction, bool keepdim) {
  return variance("VarBackward0", x, dims, correction, keepdim, false);
}
Tensor std(const Tensor& x, const Dims& dims, double correction, bool keepdim) {
  return variance("StdBackward0", x, dims, correction, keepdim, true);
}

namespace {

/// The product of all others of each element along the last dimension of (…, n): products of what
/// stands before and after, so that zeros are no trouble.
Tensor products_of_others(const Tensor& x) {
  const int d = x.dim() - 1;
  const int64_t n = x.shape()[d];
  const Tensor before = ones_like(x), after = ones_like(x);
  for (int64_t i = 1; i < n; ++i) {
    const Tensor b = select(before, d, i), a = select(after, d, n - 1 - i);
    kernels::binary(b, select(before, d, i - 1), select(x, d, i - 1), Binary::mul,
                    compute_type(x.dtype()), 1.0);
    kernels::binary(a, select(after, d, n - i), select(x, d, n - i), Binary::mul,
                    compute_type(x.dtype()), 1.0);
  }
  return mul(before, after);
}

}  // namespace

Tensor prod(const Tensor& x, std::optional<int64_t> dim, bool keepdim, std::optional<DType> dtype) {
  detail::check_defined(x, "prod");
  if (converts_first(x, dtype)) return prod(to(x, *dtype), dim, keepdim, dtype);
  const uint32_t mask = dim ? dim_mask({*dim}, x.dim()) : dim_mask({}, x.dim());
  Tensor y = reduced(x, mask, keepdim && dim, Reduce::prod, sum_type(x, dtype));
  if (!needs_grad({&x})) return y;
  return record(dim ? "ProdBackward1" : "ProdBackward0", y, {&x},
                [x = Saved(x), dim, mask, keepdim](Backward& b) {
                  const Tensor& v = x.get();
                  const Tensor g = spread(b.grad(), mask, keepdim && dim, v.shape());
                  const Tensor others =
                      !dim || v.dim() == 0
                          ? reshape(products_of_others(reshape(v, {-1})), v.shape())
                          : transpose(products_of_others(transpose(v, *dim, -1)), *dim, -1);
                  b.set(0, mul(g, others));
                });
}

namespace {

void check_not_empty(const Tensor& x, uint32_t mask, const char* op) {
  if (x.numel() > 0) return;
  for (int d = 0; d < x.dim(); ++d) {
    NNM_CHECK(!(mask >> d & 1) || x.shape()[d] > 0, index,
              "{}(): Expected reduction dim {} to have non-zero size.", op, d);
  }
}

/// Largest or smallest over the mask; ties share the gradient evenly, as in PyTorch. Where the
/// result is NaN, NaNs are ties if nans_tie, else there are none, and gradients become NaN.
Tensor extreme(const char* node, const Tensor& x, uint32_t mask, bool keepdim, Reduce f,
               bool nans_tie) {
  Tensor y = reduced(x, mask, keepdim, f, x.dtype());
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x},
                [x = Saved(x), y = Saved::output(y, node), mask, keepdim, nans_tie](Backward& b) {
                  const Tensor& v = x.get();
                  Tensor ties = eq(v, spread(y.get(), mask, keepdim, v.shape()));
                  if (nans_tie) ties = logical_or(ties, isnan(v));
                  const Tensor count = reduced(ties, mask, keepdim, Reduce::sum, DType::i64);
                  const Tensor g = div(b.grad(), count);
                  b.set(0, mul(ties, spread(g, mask, keepdim, v.shape())));
                });
}

Tensor extreme_of_all(const char* node, const char* op, const Tensor& x, Reduce f) {
  detail::check_defined(x, op);
  NNM_CHECK(x.numel() > 0, runtime,
            "{}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with the 'dim' argument.",
            op);
  return extreme(node, x, dim_mask({}, x.dim()), false, f, true);
}

std::pair<Tensor, Tensor> extreme_of_dim(const char* node, const char* op, const Tensor& x,
                                         int64_t dim, bool keepdim, bool largest) {
  detail::check_defined(x, op);
  const int d = wrap_dim(dim, x.dim());
  const uint32_t mask = x.dim() ? 1u << d : 0;
  check_not_empty(x, mask, op);
  const Shape shape = reduced_shape(x.shape(), mask, keepdim);
  Tensor values = empty(shape, x.options()), indices = empty(shape, {DType::i64, x.device()});
  kernels::extremum(keep_dims(values, mask, x.dim(), keepdim),
                    keep_dims(indices, mask, x.dim(), keepdim), x, d, largest);
  if (needs_grad({&x})) {
    record(node, values, {&x}, [i = Saved(indices), d, mask, keepdim](Backward& b) {
      const InputMeta& in = b.input(0);
      const int n = in.sizes.size();
      if (n == 0) return b.set(0, b.maybe_grad());
      b.set(0, scatter_add(zeros(in.sizes, {in.dtype, in.device}), d,
                           keep_dims(i.get(), mask, n, keepdim),
                           keep_dims(b.grad(), mask, n, keepdim)));
    });
  }
  return {values, indices};
}

}  // namespace

Tensor max(const Tensor& x) { return extreme_of_all("MaxBackward1", "max", x, Reduce::max); }
Tensor min(const Tensor& x) { return extreme_of_all("MinBackward1", "min", x, Reduce::min); }
std::pair<Tensor, Tensor> max(const Tensor& x, int64_t dim, bool keepdim) {
  return extreme_of_dim("MaxBackward0", "max", x, dim, keepdim, true);
}
std::pair<Tensor, Tensor> min(const Tensor& x, int64_t dim, bool keepdim) {
  return extreme_of_dim("MinBackward0", "min", x, dim, keepdim, false);
}

namespace {

Tensor extreme_of_dims(const char* node, const char* op, const Tensor& x, const Dims& dims,
                       bool keepdim, Reduce f) {
  detail::check_defined(x, op);
  const uint32_t mask = dim_mask(dims, x.dim());
  if (dims.empty()) {
    NNM_CHECK(x.numel() > 0, runtime,
              "{}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
              "reduction dim with the 'dim' argument.",
              op);
  }
  check_not_empty(x, mask, op);
  return extreme(node, x, mask, keepdim, f, false);
}

Tensor position(const char* op, const Tensor& x, std::optional<int64_t> dim, bool keepdim,
                bool largest) {
  detail::check_defined(x, op);
  NoGradGuard no_grad;
  if (dim) return extreme_of_dim("", op, x, *dim, keepdim, largest).second;
  NNM_CHECK(x.numel() > 0, index,
            "{}(): Expected reduction dim to be specified for input.numel() == 0.", op);
  Tensor i = extreme_of_dim("", op, reshape(x, {-1}), 0, false, largest).second;
  return keepdim ? reshape(i, Shape::filled(x.dim(), 1)) : i;
}

Tensor truth(const Tensor& x, const Dims& dims, bool keepdim, Reduce f) {
  const Tensor is_true = x.dtype() == DType::b8 ? x : ne(x, Scalar(0));
  // As a number, since an empty `all` is true and an empty `any` false.
  const uint32_t mask = dim_mask(dims, x.dim());
  const Reduce op = f == Reduce::max ? Reduce::sum : Reduce::prod;
  const Tensor y = reduced(is_true, mask, keepdim, op, DType::b8);
  return x.dtype() == DType::u8 ? to(y, DType::u8) : y;
}

}  // namespace

Tensor amax(const Tensor& x, const Dims& dims, bool keepdim) {
  return extreme_of_dims("AmaxBackward0", "amax", x, dims, keepdim, Reduce::max);
}
Tensor amin(const Tensor& x, const Dims& dims, bool keepdim) {
  return extreme_of_dims("AminBackward0", "amin", x, dims, keepdim, Reduce::min);
}
Tensor argmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return position("argmax", x, dim, keepdim, true);
}
Tensor argmin(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return position("argmin", x, dim, keepdim, false);
}
Tensor any(const Tensor& x, const Dims& dims, bool keepdim) {
  return truth(x, dims, keepdim, Reduce::max);
}
Tensor all(const Tensor& x, const Dims& dims, bool keepdim) {
  return truth(x, dims, keepdim, Reduce::min);
}

namespace {

/// sum |x|^p to the power 1/p, or its limits; nothing recorded.
Tensor norm_of(const Tensor& x, double p, uint32_t mask, bool keepdim) {
  NoGradGuard no_grad;
  const DType type = compute_type(x.dtype());
  if (p == 0) return reduced(ne(x, Scalar(0)), mask, keepdim, Reduce::sum, x.dtype());
  if (std::isinf(p)) {
    if (p > 0 && reduced_count(x.shape(), mask) == 0) {
      return zeros(reduced_shape(x.shape(), mask, keepdim), x.options());
    }
    return reduced(abs(x), mask, keepdim, p > 0 ? Reduce::max : Reduce::min, x.dtype());
  }
  const Tensor v = to(x, type);
  if (p == 1) return to(reduced(abs(v), mask, keepdim, Reduce::sum, type), x.dtype());
  if (p == 2) return to(sqrt(reduced(square(v), mask, keepdim, Reduce::sum, type)), x.dtype());
  return to(pow(reduced(pow(abs(v), p), mask, keepdim, Reduce::sum, type), 1 / p), x.dtype());
}

/// d|x|_p / dx, which is x |x|^(p-2) / |x|_p^(p-1), and 0 where that is not defined.
Tensor norm_slope(const Tensor& x, const Tensor& y, double p, uint32_t mask) {
  if (p == 0) return zeros_like(x);
  if (p == 1) return sign(x);
  if (p == 2) return masked_fill(div(x, y), eq(y, Scalar(0)), 0.0);
  if (std::isinf(p)) {
    const Tensor ties = eq(abs(x), y);
    return mul(sign(x), div(ties, reduced(ties, mask, true, Reduce::sum, DType::i64)));
  }
  const Tensor ratio = masked_fill(div(abs(x), y), eq(y, Scalar(0)), 0.0);
  const Tensor slope = mul(sign(x), pow(ratio, p - 1));
  return masked_fill(slope, eq(x, Scalar(0)), 0.0);
}

}  // namespace

Tensor norm(const Tensor& x, double p, const Dims& dims, bool keepdim) {
  detail::check_defined(x, "norm");
  check_norm_input(x, "linalg.vector_norm");
  const uint32_t mask = dim_mask(dims, x.dim());
  Tensor y = norm_of(x, p, mask, keepdim);
  if (!needs_grad({&x})) return y;
  constexpr const char* kNode = "LinalgVectorNormBackward0";
  return record(kNode, y, {&x},
                [x = Saved(x), y = Saved::output(y, kNode), p, mask, keepdim](Backward& b) {
                  const Tensor& v = x.get();
                  const int n = v.dim();
                  const Tensor slope = norm_slope(v, keep_dims(y.get(), mask, n, keepdim), p, mask);
                  b.set(0, mul(slope, keep_dims(b.grad(), mask, n, keepdim)));
                });
}

Tensor logsumexp(const Tensor& x, const Dims& dims, bool keepdim) {
  detail::check_defined(x, "logsumexp");
  const uint32_t mask = dim_mask(dims, x.dim());
  Tensor y;
  {
    NoGradGuard no_grad;
    const Tensor v = is_floating(x.dtype()) ? x : to(x, DType::f32);
    if (reduced_count(x.shape(), mask) == 0) {
      y = log(reduced(exp(v), mask, keepdim, Reduce::sum, v.dtype()));
    } else {
      Tensor peak = reduced(v, mask, true, Reduce::max, v.dtype());
      peak = masked_fill(peak, eq(abs(peak), Scalar(std::numeric_limits<double>::infinity())), 0.0);
      const Tensor total = reduced(exp(sub(v, peak)), mask, true, Reduce::sum, v.dtype());
      y = reshape(add(log(total), peak), reduced_shape(x.shape(), mask, keepdim));
    }
  }
  if (!needs_grad({&x})) return y;
  constexpr const char* kNode = "LogsumexpBackward0";
  return record(kNode, y, {&x},
                [x = Saved(x), y = Saved::output(y, kNode), mask, keepdim](Backward& b) {
                  const Tensor& v = x.get();
                  const Tensor shares = exp(sub(v, keep_dims(y.get(), mask, v.dim(), keepdim)));
                  b.set(0, mul(shares, keep_dims(b.grad(), mask, v.dim(), keepdim)));
                });
}

Tensor cumsum(const Tensor& x, int64_t dim, std::optional<DType> dtype) {
  detail::check_defined(x, "cumsum");
  const int d = wrap_dim(dim, x.dim());
  Tensor y = detail::empty_pointwise(x, sum_type(x, dtype));
  kernels::cumsum(y, x, d, false);
  if (!needs_grad({&x})) return y;
  return record("CumsumBackward0", y, {&x}, [d](Backward& b) {
    const Tensor& g = b.grad();
    Tensor dx = detail::empty_pointwise(g, g.dtype());
    kernels::cumsum(dx, g, d, true);
    b.set(0, dx);
  });
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int shift = x.dim() - shape.size();
  Dims dims;
  for (int d = 0; d < x.dim(); ++d) {
    if (d < shift || (shape[d - shift] == 1 && x.shape()[d] != 1)) dims.push_back(d);
  }
  if (dims.empty()) return reshape(x, shape);
  Tensor y = sum(x, dims, true);
  return y.shape() == shape ? y : reshape(y, shape);
}

}  // namespace nnm
