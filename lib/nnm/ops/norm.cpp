// Normalisation of batches, layers and groups.
#include "kernels/norm.h"

#include <limits>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"

namespace nnm {

namespace {

// The type that statistics of x have.
DType stats_type(const Tensor& x) { return x.dtype() == DType::f64 ? DType::f64 : DType::f32; }

// An optional vector of scales or shifts in x's type, row-major.
Tensor affine(const Tensor& v, const Tensor& x) {
  return v.defined() ? contiguous(to(v, x.dtype())) : v;
}

// x in a layout that the batch norm kernels know: row-major, or channels innermost.
Tensor plain_or_last(const Tensor& x) {
  if (x.is_contiguous() || detail::has_channels_innermost(x)) return x;
  return detail::row_major(x);
}

void check_elements(const Tensor& t, const char* what, int64_t channels) {
  NNM_CHECK(!t.defined() || t.numel() == channels, runtime, "{} should contain {} elements not {}",
            what, channels, t.numel());
}

void check_batch(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                 const Tensor& weight, const Tensor& bias, bool training) {
  detail::check_defined(x, "batch_norm");
  if (training) {
    const int64_t channels = x.dim() > 1 ? x.shape()[1] : 1;
    NNM_CHECK(channels == 0 || x.numel() / channels != 1, value,
              "Expected more than 1 value per channel when training, got input size torch.Size({})",
              x.shape().str());
  }
  NNM_CHECK(x.dim() >= 2, runtime, "batch_norm: expected at least 2 dimensions, got {}", x.dim());
  const int64_t channels = x.shape()[1];
  NNM_CHECK(training || running_mean.defined(), runtime,
            "running_mean must be defined in evaluation mode");
  NNM_CHECK(training || running_var.defined(), runtime,
            "running_var must be defined in evaluation mode");
  check_elements(running_mean, "running_mean", channels);
  check_elements(running_var, "running_var", channels);
  check_elements(weight, "weight", channels);
  check_elements(bias, "bias", channels);
  detail::check_floating(x, "batch_norm");
}

// What backward needs of the statistics: mean and 1 / sqrt(var + eps).
struct Moments {
  Tensor mean, invstd;
};

Moments running_moments(const Tensor& mean, const Tensor& var, double eps, DType type) {
  return {contiguous(to(mean, type)), contiguous(rsqrt(add(to(var, type), Scalar(eps))))};
}

void batch_norm_backward(Backward& b, const Tensor& x, const Tensor& weight, const Moments& m,
                         bool training) {
  const Tensor g = detail::with_layout_of(x, b.grad());
  const Tensor dx = b.needs(0) ? empty_like(x) : Tensor();
  const auto vector = [&](size_t i) {
    return b.needs(i) ? empty({x.shape()[1]}, x.options()) : Tensor();
  };
  const Tensor dw = vector(1), db = vector(2);
  kernels::batch_norm_backward(m.mean, dx, dw, db, g, x, weight, m.invstd, training);
  b.set(0, dx);
  b.set(1, dw);
  b.set(2, db);
}

}  // namespace

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& scale, const Tensor& shift, bool training, double momentum,
                  double eps) {
  check_batch(input, running_mean, running_var, scale, shift, training);
  NNM_CHECK(!training || eps > 0, value,
            "batch_norm eps must be positive during training, but got {}", python_float(eps));
  NNM_CHECK(training || eps >= 0, value, "batch_norm eps must be non-negative, but got {}",
            python_float(eps));
  const Tensor weight = affine(scale, input), bias = affine(shift, input);
  const Tensor x = plain_or_last(input);
  Tensor y = empty_like(x);
  const bool grad = needs_grad({&input, &weight, &bias});
  if (training) {
    const TensorOptions options{stats_type(x), x.device()};
    const Moments m{empty({x.shape()[1]}, options), empty({x.shape()[1]}, options)};
    if (x.numel() > 0) {
      kernels::batch_norm(y, x, weight, bias, m.mean, m.invstd, running_mean, running_var, momentum,
                          eps);
      if (running_mean.defined()) running_mean.bump_version();
      if (running_var.defined()) running_var.bump_version();
    }
    if (!grad) return y;
    return record("NativeBatchNormBackward0", y, {&input, &weight, &bias},
                  [x = Saved(x), w = Saved(weight), m](Backward& b) {
                    batch_norm_backward(b, x.get(), w.get(), m, true);
                  });
  }
  kernels::batch_norm_eval(y, x, weight, bias, running_mean, running_var, eps);
  if (!grad) return y;
  return record("NativeBatchNormBackward0", y, {&input, &weight, &bias},
                [x = Saved(x), w = Saved(weight), mean = Saved(running_mean),
                 var = Saved(running_var), eps](Backward& b) {
                  const Moments m =
                      running_moments(mean.get(), var.get(), eps, stats_type(x.get()));
                  batch_norm_backward(b, x.get(), w.get(), m, false);
                });
}

namespace {

void check_normalized(const Tensor& x, const Shape& shape, const Tensor& weight, const Tensor& bias,
                      const char* separator) {
  NNM_CHECK(!shape.empty(), runtime,
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []");
  const auto check = [&](const Tensor& t, const char* what) {
    NNM_CHECK(!t.defined() || t.shape() == shape, runtime,
              "Expected {} to be of same shape as normalized_shape, but got {} of shape {} and "
              "normalized_shape = {}",
              what, what, t.shape().str(), shape.str());
  };
  check(weight, "weight");
  check(bias, "bias");
  const int n = shape.size(), at = x.dim() - n;
  const bool fits = at >= 0 && std::equal(shape.begin(), shape.end(), x.shape().begin() + at);
  if (!fits) {
    const std::string text = shape.str();
    fail(ErrorKind::runtime,
         "Given normalized_shape={}, expected input with shape [*{}{}, but got input of size{}",
         text, separator, text.substr(1), x.shape().str());
  }
}

// x (R, n) as rows that kernels see.
View rows_view(const Tensor& x, int64_t n) {
  View v = x;
  v.ndim = 2;
  v.size[0] = n ? x.numel() / n : 0, v.size[1] = n;
  v.stride[0] = n, v.stride[1] = 1;
  return v;
}

// Layer norm, or with `rms` the norm by the root mean square, over the last dimensions.
Tensor norm_rows(const char* node, const Tensor& input, const Shape& shape, const Tensor& scale,
                 const Tensor& shift, double eps, bool rms) {
  const int64_t n = shape.numel(), count = n ? input.numel() / n : 0;
  const Tensor weight = affine(scale, input), bias = affine(shift, input);
  const Tensor x = detail::row_major(input);
  Tensor y = empty(x.shape(), x.options());
  const TensorOptions options{stats_type(x), x.device()};
  const Tensor mean = rms ? Tensor() : empty({count}, options), rstd = empty({count}, options);
  if (x.numel() > 0)
    kernels::layer_norm(rows_view(y, n), rows_view(x, n), weight, bias, mean, rstd, eps, rms);
  if (!needs_grad({&input, &weight, &bias})) return y;
  return record(node, y, {&input, &weight, &bias},
                [x = Saved(x), w = Saved(weight), mean, rstd, shape, n, rms](Backward& b) {
                  const Tensor &in = x.get(), g = detail::row_major(b.grad());
                  const Tensor dx = b.needs(0) ? empty(in.shape(), in.options()) : Tensor();
                  const Tensor dw = b.needs(1) ? empty(shape, in.options()) : Tensor();
                  const Tensor db = b.needs(2) ? empty(shape, in.options()) : Tensor();
                  kernels::layer_norm_backward(rstd, dx, dw, db, rows_view(g, n), rows_view(in, n),
                                               w.get(), mean, rms);
                  b.set(0, dx);
                  b.set(1, dw);
                  b.set(2, db);
                });
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  detail::check_defined(x, "layer_norm");
  check_normalized(x, normalized_shape, weight, bias, ", ");
  detail::check_floating(x, "LayerNormKernelImpl");
  return norm_rows("NativeLayerNormBackward0", x, normalized_shape, weight, bias, eps, false);
}

Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight,
                std::optional<double> eps) {
  detail::check_defined(x, "rms_norm");
  check_normalized(x, normalized_shape, weight, {}, "");
  detail::check_floating(x, "rms_norm");
  const double smallest = stats_type(x) == DType::f64 ? std::numeric_limits<double>::epsilon()
                                                      : std::numeric_limits<float>::epsilon();
  return norm_rows("FusedRmsNormBackward0", x, normalized_shape, weight, {}, eps.value_or(smallest),
                   true);
}

namespace {

void check_groups(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias) {
  detail::check_defined(x, "group_norm");
  NNM_CHECK(x.dim() >= 2, runtime,
            "Expected at least 2 dimensions for input tensor but received {}", x.dim());
  NNM_CHECK(groups > 0, runtime, "Expected num groups to be greater than 0, got {}", groups);
  const int64_t channels = x.shape()[1];
  NNM_CHECK(channels % groups == 0, runtime,
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            "shape {} and num_groups={}",
            x.shape().str(), groups);
  const auto check = [&](const Tensor& t, const char* what) {
    NNM_CHECK(
        !t.defined() || (t.dim() == 1 && t.numel() == channels), runtime,
        "Expected {} to be a vector of size equal to the number of channels in input, but got "
        "{} of shape {} and input of shape {}",
        what, what, t.shape().str(), x.shape().str());
  };
  check(weight, "weight");
  check(bias, "bias");
  // One value per group would normalise to its bias.
  if (channels > 0 && x.numel() == groups) {
    Shape seen = x.shape();
    seen[0] = x.shape()[0] * channels / groups, seen[1] = groups;
    fail(ErrorKind::value,
         "Expected more than 1 value per channel when training, got input size {}", seen.str());
  }
  detail::check_floating(x, "GroupNormKernelImpl");
}

// Images that need not be row-major: a GPU's kernels want them so.
bool may_stay(const Tensor& x) {
  return x.device().type != DeviceType::cuda && detail::lies_channels_last(x);
}

// x (N, C, …), of either layout, as (N, C, I).
View planes_view(const Tensor& x) {
  View v = x;
  const int64_t n = x.shape()[0], c = x.shape()[1], planes = n * c,
                inner = planes > 0 ? x.numel() / planes : 0;
  const bool innermost = detail::lies_channels_last(x);
  v.ndim = 3;
  v.size[0] = n, v.size[1] = c, v.size[2] = inner;
  v.stride[0] = c * inner, v.stride[1] = innermost ? 1 : inner, v.stride[2] = innermost ? c : 1;
  return v;
}

}  // namespace

Tensor group_norm(const Tensor& input, int64_t groups, const Tensor& scale, const Tensor& shift,
                  double eps) {
  check_groups(input, groups, scale, shift);
  const Tensor weight = affine(scale, input), bias = affine(shift, input);
  const Tensor x = may_stay(input) ? input : detail::row_major(input);
  Tensor y = detail::empty_image_like(x, x.shape(), x.dtype());
  const TensorOptions options{stats_type(x), x.device()};
  const Tensor mean = empty({x.shape()[0], groups}, options), rstd = empty_like(mean);
  if (x.numel() > 0)
    kernels::group_norm(planes_view(y), planes_view(x), weight, bias, mean, rstd, groups, eps);
  if (!needs_grad({&input, &weight, &bias})) return y;
  return record("NativeGroupNormBackward0", y, {&input, &weight, &bias},
                [x = Saved(x), w = Saved(weight), mean, rstd, groups](Backward& b) {
                  const Tensor& in = x.get();
                  const Tensor g = may_stay(in) ? detail::channels_innermost(b.grad())
                                                : detail::row_major(b.grad());
                  const auto vector = [&](size_t i) {
                    return b.needs(i) ? empty({in.shape()[1]}, in.options()) : Tensor();
                  };
                  const Tensor dx =
                      b.needs(0) ? detail::empty_image_like(in, in.shape(), in.dtype()) : Tensor();
                  const Tensor dw = vector(1), db = vector(2);
                  kernels::group_norm_backward(rstd, dx.defined() ? planes_view(dx) : View{}, dw,
                                               db, planes_view(g), planes_view(in), w.get(), mean,
                                               groups);
                  b.set(0, dx);
                  b.set(1, dw);
                  b.set(2, db);
                });
}

namespace {

constexpr Function kNormFunctions[] = {
    {"batch_norm(input: Tensor, running_mean: Tensor?, running_var: Tensor?, weight: Tensor? = "
     "none, bias: Tensor? = none, training: bool = false, momentum: float = 0.1, eps: float = "
     "1e-5)",
     "normalises each channel over the batch", call<batch_norm>, true},
    {"layer_norm(input: Tensor, normalized_shape: int[], weight: Tensor? = none, bias: Tensor? = "
     "none, eps: float = 1e-5)",
     "normalises over the last dimensions", call<layer_norm>},
    {"rms_norm(input: Tensor, normalized_shape: int[], weight: Tensor? = none, eps: float? = none)",
     "divides by the root mean square over the last dimensions", call<rms_norm>},
    {"group_norm(input: Tensor, num_groups: int, weight: Tensor? = none, bias: Tensor? = none, "
     "eps: "
     "float = 1e-5)",
     "normalises groups of channels of each sample", call<group_norm>},
};
NNM_REGISTER_FUNCTIONS(kNormFunctions);

}  // namespace
}  // namespace nnm
