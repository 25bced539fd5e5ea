// Activations with parameters, and the gated ones.
#include "kernels/activation.h"

#include <cmath>

#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/largest.h"

namespace nnm {

namespace {

// Whether a gradient's memory may hold the gradient made of it: nobody else sees it, and it lies as
// v does.
bool is_free(const Tensor& g, const Tensor& v) {
  const Storage& memory = *g.impl()->storage;
  return g.impl()->use_count() == 1 && memory.use_count() == 1 && memory.is_owned() &&
         g.dtype() == v.dtype() && detail::same_layout(v, g);
}

Tensor apply(const Tensor& x, Activation f, const char* name, ActivationParams p,
             const char* node = nullptr) {
  detail::check_defined(x, name);
  NNM_CHECK(is_floating(x.dtype()), not_implemented, "\"{}\" not implemented for '{}'", name,
            detail::scalar_type_name(x.dtype()));
  // The kernel runs over flat memory.
  Tensor in;
  {
    NoGradGuard no_grad;
    in = detail::dense(x);
  }
  Tensor y = detail::empty_pointwise(in, in.dtype());
  kernels::activation(y, in, f, p);
  if (!needs_grad({&x})) return y;
  const bool same = in.is_same(x);
  if (!node) node = kActivationNode[static_cast<int>(f)];
  return record(node, y, {&x}, [in = Saved(same ? x : in), f, p](Backward& b) {
    const Tensor& v = in.get();
    const bool reuse = is_free(b.grad(), v);
    const Tensor g = detail::with_layout_of(v, b.grad());
    Tensor dx = reuse ? g : empty_strided(v.shape(), v.strides(), v.options());
    kernels::activation_backward(dx, g, v, f, p);
    b.set(0, dx);
  });
}

}  // namespace

Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return apply(x, Activation::leaky_relu, "leaky_relu_cpu", {negative_slope});
}
Tensor elu(const Tensor& x, double alpha) {
  return apply(x, Activation::elu, "elu_cpu", {alpha, 1, 1});
}
Tensor celu(const Tensor& x, double alpha) {
  NNM_CHECK(alpha != 0, runtime, "ZeroDivisionError: alpha cannot be 0 for CELU");
  return apply(x, Activation::elu, "elu_cpu", {alpha, 1, 1 / alpha}, "CeluBackward0");
}
Tensor selu(const Tensor& x) {
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  constexpr double kScale = 1.0507009873554804934193349852946;
  return apply(x, Activation::elu, "elu_cpu", {kAlpha, kScale, 1});
}
Tensor gelu(const Tensor& x, const std::string& approximate) {
  NNM_CHECK(approximate == "none" || approximate == "tanh", runtime,
            "approximate argument must be either none or tanh.");
  return apply(x, approximate == "none" ? Activation::gelu : Activation::gelu_tanh,
               "GeluKernelImpl", {});
}
Tensor softplus(const Tensor& x, double beta, double threshold) {
  return apply(x, Activation::softplus, "softplus_cpu", {beta, threshold});
}
Tensor hardtanh(const Tensor& x, double min_val, double max_val) {
  NNM_CHECK(min_val <= max_val, value, "min_val cannot be greater than max_val");
  if (is_integral(x.dtype()))
    return clamp(x, Scalar(static_cast<int64_t>(min_val)), Scalar(static_cast<int64_t>(max_val)));
  return apply(x, Activation::hardtanh, "hardtanh_cpu", {min_val, max_val});
}
Tensor hardshrink(const Tensor& x, double lambd) {
  return apply(x, Activation::hardshrink, "hardshrink_cpu", {lambd});
}
Tensor softshrink(const Tensor& x, double lambd) {
  const double most = detail::largest_finite(x.dtype());
  NNM_CHECK(lambd >= 0 && lambd <= most, runtime,
            "lambda must be in range [0, {:g}] for input dtype {}, but found {:g}", most,
            detail::scalar_type_name(x.dtype()), lambd);
  return apply(x, Activation::softshrink, "softshrink_cpu", {lambd});
}
Tensor threshold(const Tensor& x, double threshold, double value) {
  if (is_integral(x.dtype()))
    return masked_fill(x, le(x, Scalar(std::trunc(threshold))), Scalar(std::trunc(value)));
  return apply(x, Activation::threshold, "threshold_cpu", {threshold, value});
}

Tensor prelu(const Tensor& x, const Tensor& weight) {
  detail::check_defined(x, "prelu");
  detail::check_defined(weight, "prelu");
  NNM_CHECK(x.dtype() == weight.dtype(), runtime,
            "prelu: Type promoting not supported. Got {} and {}",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(weight.dtype()));
  NNM_CHECK(weight.dim() <= 1, runtime,
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {}",
            weight.dim());
  Tensor w = weight;
  if (weight.numel() != 1) {
    NNM_CHECK(x.dim() > 0, runtime, "Not allow zero-dim input tensor.");
    const int64_t channels = x.dim() >= 2 ? x.shape()[1] : 1;
    NNM_CHECK(weight.numel() == channels, runtime,
              "Mismatch of parameter numbers and input channel size. Found parameter numbers = {} "
              "and channel size = {}.",
              weight.numel(), channels);
  }
  if (weight.dim() == 1 && x.dim() != 1) {
    // One slope per channel, which is dimension 1.
    Shape shape = Shape::filled(x.dim(), 1);
    if (x.dim() > 1) shape[1] = weight.numel();
    w = reshape(weight, shape);
  }
  Tensor y;
  {
    NoGradGuard no_grad;
    y = where(gt(x, Scalar(0)), x, mul(x, w));
  }
  if (!needs_grad({&x, &w})) return y;
  return record("PreluKernelBackward0", y, {&x, &w}, [x = Saved(x), w = Saved(w)](Backward& b) {
    const Tensor positive = gt(x.get(), Scalar(0));
    const Tensor& g = b.grad();
    if (b.needs(0)) b.set(0, where(positive, g, mul(g, w.get())));
    if (b.needs(1)) {
      b.set(1, sum_to(masked_fill(mul(g, x.get()), positive, 0.0), b.input(1).sizes));
    }
  });
}

Tensor glu(const Tensor& x, int64_t dim) {
  detail::check_defined(x, "glu");
  NNM_CHECK(x.dim() > 0, runtime, "glu does not support 0-dimensional tensors");
  const int d = wrap_dim(dim, x.dim());
  NNM_CHECK(x.shape()[d] % 2 == 0, runtime,
            "Halving dimension must be even, but dimension {} is size {}", d, x.shape()[d]);
  const int64_t half = x.shape()[d] / 2;
  Tensor y;
  {
    NoGradGuard no_grad;
    y = mul(narrow(x, d, 0, half), sigmoid(narrow(x, d, half, half)));
  }
  if (!needs_grad({&x})) return y;
  return record("GluBackward0", y, {&x}, [x = Saved(x), d, half](Backward& b) {
    const Tensor a = narrow(x.get(), d, 0, half);
    const Tensor gate = sigmoid(narrow(x.get(), d, half, half));
    Tensor dx = detail::empty_pointwise(x.get(), x.get().dtype());
    const Tensor da = mul(b.grad(), gate);
    kernels::copy(narrow(dx, d, 0, half), da);
    // d/dgate: a g s (1 - s) = a (da) (1 - s).
    kernels::copy(narrow(dx, d, half, half), mul(mul(da, a), rsub(Scalar(1.0), gate)));
    b.set(0, dx);
  });
}

Tensor rrelu(const Tensor& x, double lower, double upper, bool training, Generator* generator) {
  NNM_CHECK(std::isfinite(lower), runtime, "rrelu: lower bound must be finite, got {}", lower);
  NNM_CHECK(std::isfinite(upper), runtime, "rrelu: upper bound must be finite, got {}", upper);
  NNM_CHECK(lower <= upper, runtime, "Lower bound should be less than or equal to the upper bound");
  if (!training) return leaky_relu(x, (lower + upper) / 2);
  const Tensor slopes = empty(x.shape(), x.options());
  uniform_(slopes, lower, upper, generator);
  return mul(x, where(gt(x, Scalar(0)), ones_like(slopes), slopes));
}

}  // namespace nnm
