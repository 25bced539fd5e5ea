// Dropout: whole elements, whole channels, and the self-normalising kind.
#include "nnm/ops/dropout.h"

#include <cmath>

#include "kernels/dropout.h"
#include "nnm/base/warn_once.h"
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

/// What a draw makes of x: x factor + shift, without a shift where that is undefined.
struct Change {
  Tensor factor, shift;
};

Change drawn(const Tensor& x, const Shape& shape, double p, bool self_normalizing,
             Generator* generator) {
  const Tensor mask = dropout(ones(shape, x.options()), p, true, generator);
  if (!self_normalizing) return {mask, {}};
  constexpr double alpha = 1.7580993408473766;
  const double a = 1 / std::sqrt((alpha * alpha * p + 1) * (1 - p));
  // Ones where an element stays; the others become the value that keeps mean and variance.
  const Tensor keep = mul(mask, Scalar(1 - p));
  const Tensor shift = add(mul(sub(keep, Scalar(1.0)), Scalar(alpha * a)), Scalar(alpha * a * p));
  return {mul(keep, Scalar(a)), shift};
}

Tensor changed(const Tensor& x, const Change& by) {
  const Tensor y = mul(x, by.factor);
  return by.shift.defined() ? add(y, by.shift) : y;
}

const Tensor& change_(const Tensor& x, const Change& by) {
  mul_(x, by.factor);
  return by.shift.defined() ? add_(x, by.shift) : x;
}

// A number for each channel of x (N, C, …), or of x (C, …).
Shape channel_shape(const Tensor& x, bool batched = true) {
  NNM_CHECK(x.dim() >= (batched ? 2 : 1), runtime,
            "Feature dropout requires at least 2 dimensions in the input");
  Shape shape = Shape::filled(x.dim(), 1);
  shape[0] = x.shape()[0];
  if (batched) shape[1] = x.shape()[1];
  return shape;
}

bool is_identity(const Tensor& x, double p, bool training) {
  check_probability(p);
  return !training || p == 0 || x.numel() == 0;
}

Tensor all_zero(const Tensor& x) { return mul(x, Scalar(0.0)); }

}  // namespace

Tensor feature_dropout(const Tensor& x, double p, bool training, Generator* generator) {
  if (is_identity(x, p, training)) return x;
  return changed(x, drawn(x, channel_shape(x), p, false, generator));
}

Tensor alpha_dropout(const Tensor& x, double p, bool training, Generator* generator) {
  if (is_identity(x, p, training)) return x;
  return p == 1 ? all_zero(x) : changed(x, drawn(x, x.shape(), p, true, generator));
}

Tensor feature_alpha_dropout(const Tensor& x, double p, bool training, Generator* generator) {
  if (is_identity(x, p, training)) return x;
  return p == 1 ? all_zero(x) : changed(x, drawn(x, channel_shape(x), p, true, generator));
}

namespace {

constexpr const char* kDeprecated =
    "dropout{}d: Received a {}-D input to dropout{}d, which is deprecated and will result in an "
    "error in a future release. To retain the behavior and silence this warning, please use "
    "dropout instead. Note that dropout{}d exists to provide channel-wise dropout on inputs with "
    "{} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. {}D or {}D "
    "inputs).";

// Whether x has a batch in front of its channels, as F.dropout1d, dropout2d, dropout3d see it.
bool has_batch(const Tensor& x, int spatial) {
  const int rank = x.dim(), least = spatial + 1;
  const bool fits = rank == least || rank == least + 1;
  NNM_CHECK(fits || spatial > 1, runtime,
            "dropout1d: Expected 2D or 3D input, but received a {}D input. Note that dropout1d "
            "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel "
            "dimension, and an optional batch dimension (i.e. 2D or 3D inputs).",
            rank);
  if (!fits)
    warn_once(fmt::format(fmt::runtime(kDeprecated), spatial, rank, spatial, spatial, spatial,
                          least, least + 1));
  if (spatial == 2 && rank == 3) {
    warn_once(
        "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
        "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
        "dim. This behavior will change in a future release to interpret the input as one without "
        "a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout "
        "behavior, please switch to using dropout1d instead.");
  }
  return spatial == 2 || rank == least + 1;
}

int spatial_dimensions(Dropped what) {
  switch (what) {
    case Dropped::channels_1d: return 1;
    case Dropped::channels_2d: return 2;
    case Dropped::channels_3d: return 3;
    default: return 0;
  }
}

}  // namespace

Tensor dropout_of(Dropped what, const Tensor& x, double p, bool training, bool inplace) {
  detail::check_defined(x, "dropout");
  check_probability(p);
  const int spatial = spatial_dimensions(what);
  const bool batched = spatial == 0 || has_batch(x, spatial);
  if (is_identity(x, p, training)) return x;
  if (what == Dropped::elements && !inplace) return dropout(x, p, true);
  if (p == 1) return inplace ? mul_(x, Scalar(0.0)) : all_zero(x);
  const bool whole = what == Dropped::elements || what == Dropped::elements_alpha;
  const bool alpha = what == Dropped::elements_alpha || what == Dropped::channels_alpha;
  const Change by = drawn(x, whole ? x.shape() : channel_shape(x, batched), p, alpha, nullptr);
  return inplace ? change_(x, by) : changed(x, by);
}

namespace {

template <Dropped What>
Tensor dropout_call(const Tensor& x, double p, bool training, bool inplace) {
  return dropout_of(What, x, p, training, inplace);
}

constexpr Function kDropoutFunctions[] = {
    {"dropout(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "zeros elements with probability p and scales the others by 1 / (1 - p)",
     call<dropout_call<Dropped::elements>>, true},
    {"dropout1d(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "dropout of whole channels of (N, C, L)", call<dropout_call<Dropped::channels_1d>>, true},
    {"dropout2d(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "dropout of whole channels of (N, C, H, W)", call<dropout_call<Dropped::channels_2d>>, true},
    {"dropout3d(input: Tensor, p: float = 0.5, training: bool = true, inplace: bool = false)",
     "dropout of whole channels of (N, C, D, H, W)", call<dropout_call<Dropped::channels_3d>>,
     true},
    {"alpha_dropout(input: Tensor, p: float = 0.5, training: bool = false, inplace: bool = false)",
     "dropout that keeps mean and variance, for selu", call<dropout_call<Dropped::elements_alpha>>,
     true},
    {"feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = false, inplace: bool = "
     "false)",
     "alpha_dropout of whole channels", call<dropout_call<Dropped::channels_alpha>>, true},
};
NNM_REGISTER_FUNCTIONS(kDropoutFunctions);

}  // namespace
}  // namespace nnm
