// Gradients against central differences, in f64.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm {

struct GradcheckLimits {
  double eps = 1e-6, atol = 1e-6, rtol = 1e-5;
};

namespace gradcheck_detail {

/// Weights that differ for every element, so that no two gradients are mistaken for each other.
inline double weight(size_t output, int64_t i) {
  return 1.0 + 0.37 * std::sin(1.0 + static_cast<double>(i) * 1.7 + static_cast<double>(output));
}

inline double weighted_sum(const Tensors& outputs) {
  double total = 0;
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!outputs[k].defined() || !is_floating(outputs[k].dtype())) continue;
    const std::vector<double> v = outputs[k].to_vector<double>();
    for (size_t i = 0; i < v.size(); ++i) total += v[i] * weight(k, static_cast<int64_t>(i));
  }
  return total;
}

/// Memory of the i-th element in row-major order.
inline double& element(const Tensor& x, int64_t i) {
  double* p = x.data<double>();
  for (int d = x.dim() - 1; d >= 0; --d) {
    p += i % x.shape()[d] * x.strides()[d];
    i /= x.shape()[d];
  }
  return *p;
}

}  // namespace gradcheck_detail

/// "" if the gradients of f w.r.t. all inputs that require one agree with central differences, else
/// what does not. Inputs are f64 leaves of any strides; f must not change them.
inline std::string gradcheck(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs,
                             GradcheckLimits limits = {}) {
  using namespace gradcheck_detail;
  Tensors roots, weights, wanted;
  const Tensors outputs = f(inputs);
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!outputs[k].defined() || !outputs[k].requires_grad()) continue;
    std::vector<double> w;
    for (int64_t i = 0; i < outputs[k].numel(); ++i) w.push_back(weight(k, i));
    roots.push_back(outputs[k]);
    weights.push_back(tensor_of<double>(w, outputs[k].shape(), {DType::f64, {}}));
  }
  if (roots.empty()) return "no output requires grad";
  for (const Tensor& x : inputs) {
    if (x.requires_grad()) wanted.push_back(x);
  }
  const Tensors gradients = grad(roots, wanted, weights, false, false, true);
  NoGradGuard no_grad;
  for (size_t k = 0; k < wanted.size(); ++k) {
    const Tensor& x = wanted[k];
    const std::vector<double> got = gradients[k].defined()
                                        ? gradients[k].to_vector<double>()
                                        : std::vector<double>(static_cast<size_t>(x.numel()));
    for (int64_t i = 0; i < x.numel(); ++i) {
      double& e = element(x, i);
      const double was = e;
      e = was + limits.eps;
      const double above = weighted_sum(f(inputs));
      e = was - limits.eps;
      const double below = weighted_sum(f(inputs));
      e = was;
      const double expected = (above - below) / (2 * limits.eps);
      const double have = got[static_cast<size_t>(i)];
      if (!(std::abs(have - expected) <= limits.atol + limits.rtol * std::abs(expected))) {
        return fmt::format("input {}, element {} of {}: gradient {}, differences {}", k, i,
                           x.shape().str(), have, expected);
      }
    }
  }
  return {};
}
inline std::string gradcheck(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                             GradcheckLimits limits = {}) {
  return gradcheck([&f](const Tensors& xs) { return Tensors{f(xs)}; }, inputs, limits);
}

/// An f64 leaf of numbers in [low, high), the same for the same seed, that requires grad.
inline Tensor random_leaf(const Shape& shape, double low = -1, double high = 1, uint64_t seed = 1) {
  Generator g(seed);
  const Tensor x = rand(shape, {DType::f64, {}}, &g);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& e = x.data<double>()[i];
    e = low + (high - low) * e;
  }
  return x.requires_grad_();
}
/// The same with its last two dimensions swapped in memory.
inline Tensor random_transposed_leaf(const Shape& shape, double low = -1, double high = 1,
                                     uint64_t seed = 1) {
  Shape swapped = shape;
  const int n = shape.size();
  if (n >= 2) std::swap(swapped[n - 1], swapped[n - 2]);
  const Tensor x = random_leaf(swapped, low, high, seed).detach();
  return (n >= 2 ? transpose(x, -1, -2) : x).requires_grad_();
}

}  // namespace nnm
