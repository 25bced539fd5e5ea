// Dropout: whole elements, whole channels, and the self-normalising kind.
#include "kernels/dropout.h"

#include <cmath>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/gemm.h"

namespace nnm {

namespace {

void check_probability(double p) {
  NNM_CHECK(p >= 0 && p <= 1, value, "dropout probability has to be between 0 and 1, but got {}",
            python_float(p));
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training, Generator* generator) {
  detail::check_defined(x, "dropout");
  check_probability(p);
  if (!training || p == 0 || x.numel() == 0) return x;
  detail::check_floating(x, "bernoulli_scalar_cpu_");
  const Tensor in = detail::dense(x);
  Tensor y = empty_like(in);
  Generator& g = detail::generator_or_default(generator);
  const uint64_t seed = g.seed, offset = x.is_meta() ? 0 : g.advance(x.numel());
  kernels::dropout(y, in, p, seed, offset);
  // PyTorch records the product with the mask.
  const Tensor mask;
  if (!needs_grad({&x})) return y;
  return record("MulBackward0", y, {&x, &mask},
                [p, seed, offset, strides = y.strides()](Backward& b) {
                  const Tensor& g = b.grad();
                  const Tensor dx = empty_strided(g.shape(), strides, g.options());
                  kernels::dropout(dx, detail::with_layout_of(dx, g), p, seed, offset);
                  b.set(0, dx);
                });
}

namespace {

// A number for each channel of x (N, C, …).
Shape channel_shape(const Tensor& x) {
  NNM_CHECK(x.dim() >= 2, runtime, "Feature dropout requires at least 2 dimensions in the input");
  Shape shape = Shape::filled(x.dim(), 1);
  shape[0] = x.shape()[0], shape[1] = x.shape()[1];
  return shape;
}

// Draws a mask of that shape for x.
Tensor self_normalizing(const Tensor& x, const Shape& shape, double p, Generator* generator) {
  if (p == 1) return mul(x, Scalar(0.0));
  constexpr double alpha = 1.7580993408473766;
  const double a = 1 / std::sqrt((alpha * alpha * p + 1) * (1 - p));
  // Ones where an element stays; the others become the value that keeps mean and variance.
  const Tensor keep = mul(dropout(ones(shape, x.options()), p, true, generator), Scalar(1 - p));
  const Tensor shift = add(mul(sub(keep, Scalar(1.0)), Scalar(alpha * a)), Scalar(alpha * a * p));
  return add(mul(x, mul(keep, Scalar(a))), shift);
}

}  // namespace

Tensor feature_dropout(const Tensor& x, double p, bool training, Generator* generator) {
  check_probability(p);
  if (!training || p == 0 || x.numel() == 0) return x;
  return mul(x, dropout(ones(channel_shape(x), x.options()), p, true, generator));
}

Tensor alpha_dropout(const Tensor& x, double p, bool training, Generator* generator) {
  check_probability(p);
  if (!training || p == 0 || x.numel() == 0) return x;
  return self_normalizing(x, x.shape(), p, generator);
}

Tensor feature_alpha_dropout(const Tensor& x, double p, bool training, Generator* generator) {
  check_probability(p);
  if (!training || p == 0 || x.numel() == 0) return x;
  return self_normalizing(x, channel_shape(x), p, generator);
}

namespace {

using Drop = Tensor (*)(const Tensor&, double, bool, Generator*);

// `inplace` writes the result into x, as PyTorch does.
template <Drop F>
Tensor drop_call(const Tensor& x, double p, bool training, bool inplace) {
  if (!inplace || !training || p == 0) return F(x, p, training, nullptr);
  const Tensor mask = F(ones(x.shape(), x.options()), p, true, nullptr);
  return mul_(x, mask);
}

// Channels of (C, H, W) or (N, C, H, W), or of one dimension less.
Tensor dropout1d_call(const Tensor& x, double p, bool training, bool inplace) {
  NNM_CHECK(x.dim() == 2 || x.dim() == 3, runtime,
            "dropout1d: Expected 2D or 3D input, but received a {}D input", x.dim());
  if (x.dim() == 3) return drop_call<feature_dropout>(x, p, training, inplace);
  const Tensor batch = unsqueeze(x, 0);
  return squeeze(drop_call<feature_dropout>(batch, p, training, inplace), 0);
}

template <Drop F>
Tensor alpha_call(const Tensor& x, double p, bool training, bool inplace) {
  Tensor y = F(x, p, training, nullptr);
  if (!inplace) return y;
  copy_(x, y);
  return x;
}

constexpr Function kDropoutFunctions[] = {
    {"dropout(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "zeros elements with probability p and scales the others by 1 / (1 - p)",
     call<drop_call<dropout>>, true},
    {"dropout1d(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "dropout of whole channels of (N, C, L)", call<dropout1d_call>, true},
    {"dropout2d(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "dropout of whole channels of (N, C, H, W)", call<drop_call<feature_dropout>>, true},
    {"dropout3d(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "dropout of whole channels of (N, C, D, H, W)", call<drop_call<feature_dropout>>, true},
    {"alpha_dropout(input: Tensor, p: float = 0.5, training: bool = false, inplace: bool = false)",
     "dropout that keeps mean and variance, for selu", call<alpha_call<alpha_dropout>>, true},
    {"feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = false, inplace: bool = "
     "false)",
     "alpha_dropout of whole channels", call<alpha_call<feature_alpha_dropout>>, true},
};
NNM_REGISTER_FUNCTIONS(kDropoutFunctions);

}  // namespace
}  // namespace nnm
