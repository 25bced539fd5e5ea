// Random tensors: a draw is a function of the generator's state and the element's index.
#include "kernels/random.h"

#include <cmath>
#include <limits>

#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"

namespace nnm {

namespace {

/// Draws into x: in its memory order where it is dense, else by way of a dense tensor.
template <class F>
void draw(const Tensor& x, const F& f) {
  if (x.is_contiguous()) return f(x);
  const Tensor fresh = empty(x.shape(), x.options());
  f(fresh);
  kernels::copy(x, fresh);
}

void fill_uniform(const Tensor& x, double from, double to, Generator& g) {
  draw(x, [&](const Tensor& t) {
    kernels::random_uniform(t, g.seed, g.advance(t.numel()), from, to);
  });
}

void fill_normal(const Tensor& x, double mean, double std, Generator& g) {
  draw(x, [&](const Tensor& t) {
    kernels::random_normal(t, g.seed, g.advance(t.numel()), mean, std);
  });
}

void written(const Tensor& x, const char* node) {
  record_inplace(node, x, {&x}, [](Backward& b) { b.set(0, zeros_like(b.grad())); });
}

}  // namespace

Tensor rand(const Shape& size, TensorOptions options, Generator* generator) {
  Tensor x = empty(size, options);
  detail::check_floating(x, "rand");
  fill_uniform(x, 0, 1, detail::generator_or_default(generator));
  return x;
}

Tensor randn(const Shape& size, TensorOptions options, Generator* generator) {
  Tensor x = empty(size, options);
  detail::check_floating(x, "normal_kernel_cpu");
  fill_normal(x, 0, 1, detail::generator_or_default(generator));
  return x;
}

Tensor randint(int64_t low, int64_t high, const Shape& size, Generator* generator) {
  NNM_CHECK(low < high, runtime,
            "random_ expects 'from' to be less than 'to', but got from={} >= to={}", low, high);
  Tensor x = empty(size, {DType::i64, {}});
  Generator& g = detail::generator_or_default(generator);
  kernels::random_integers(x, g.seed, g.advance(x.numel()), low, high);
  return x;
}

Tensor randperm(int64_t n, Generator* generator) {
  NNM_CHECK(n >= 0, runtime, "n must be non-negative, got {}", n);
  // The order of random keys; they are too many for a tie to matter, and a tie keeps its order.
  return argsort(randint(0, std::numeric_limits<int64_t>::max(), {n}, generator));
}

Tensor bernoulli(const Tensor& p, Generator* generator) {
  detail::check_defined(p, "bernoulli");
  detail::check_floating(p, "bernoulli_tensor_cpu_p_");
  if (!p.is_meta() && p.numel() > 0) {
    NNM_CHECK(
        min(p).item().d >= 0 && max(p).item().d <= 1, runtime,
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message "
        "be improved?  If so, please report an enhancement request to PyTorch.)");
  }
  const Tensor u =
      empty(p.shape(), {p.dtype() == DType::f64 ? DType::f64 : DType::f32, p.device()});
  fill_uniform(u, 0, 1, detail::generator_or_default(generator));
  Tensor y = empty(p.shape(), p.options());
  kernels::binary(y, u, p, Binary::lt, compute_type(p.dtype()), 1.0);
  return y;
}

void uniform_(const Tensor& x, double from, double to, Generator* generator) {
  detail::check_floating(x, "check_uniform_bounds");
  NNM_CHECK(from <= to, runtime,
            "uniform_ expects to return a [from, to) range, but found from={} > to={}", from, to);
  check_inplace(x);
  fill_uniform(x, from, to, detail::generator_or_default(generator));
  written(x, "UniformBackward0");
}

void normal_(const Tensor& x, double mean, double std, Generator* generator) {
  detail::check_floating(x, "normal_kernel_cpu");
  NNM_CHECK(std >= 0, runtime, "normal expects std >= 0.0, but found std {}", std);
  check_inplace(x);
  fill_normal(x, mean, std, detail::generator_or_default(generator));
  written(x, "NormalBackward0");
}

void trunc_normal_(const Tensor& x, double mean, double std, double a, double b,
                   Generator* generator) {
  detail::check_floating(x, "trunc_normal_");
  check_inplace(x);
  // The inverse of the distribution function, over the range that [a, b] leaves of it.
  const auto below = [&](double v) {
    return (1 + std::erf((v - mean) / (std * std::sqrt(2.0)))) / 2;
  };
  const double low = 2 * below(a) - 1, high = 2 * below(b) - 1;
  {
    NoGradGuard no_grad;
    const Tensor u = empty(x.shape(), {compute_type(x.dtype()), x.device()});
    fill_uniform(u, low, high, detail::generator_or_default(generator));
    const Tensor z = add(mul(erfinv(u), Scalar(std * std::sqrt(2.0))), Scalar(mean));
    kernels::copy(x, clamp(z, Scalar(a), Scalar(b)));
  }
  written(x, "TruncNormalBackward0");
}

}  // namespace nnm
