// Numbers that are easily made in PyTorch too, and comparison with what it printed.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm {

/// sin(seed + 0.9 i) for element i in row-major order, as f64.
inline Tensor wave(const Shape& shape, double seed = 0) {
  std::vector<double> v;
  for (int64_t i = 0; i < shape.numel(); ++i)
    v.push_back(std::sin(seed + 0.9 * static_cast<double>(i)));
  return tensor_of<double>(v, shape, {DType::f64, {}});
}
/// A leaf of such numbers that requires grad.
inline Tensor wave_leaf(const Shape& shape, double seed = 0) {
  return wave(shape, seed).requires_grad_();
}

inline Tensor labels(const std::vector<int64_t>& v, const Shape& shape) {
  return tensor_of<int64_t>(v, shape, {DType::i64, {}});
}

/// "" if x holds the expected numbers in row-major order, else the first that differs.
inline std::string differs(const Tensor& x, const std::vector<double>& expected,
                           double tolerance = 1e-9) {
  const std::vector<double> got = x.to_vector<double>();
  if (got.size() != expected.size())
    return fmt::format("{} elements, expected {}", got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (!(std::abs(got[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i]))))
      return fmt::format("element {}: {}, expected {}", i, got[i], expected[i]);
  }
  return {};
}
inline std::string differs(const Tensor& x, const Tensor& y, double tolerance = 1e-9) {
  if (x.shape() != y.shape())
    return fmt::format("shape {}, expected {}", x.shape().str(), y.shape().str());
  return differs(x, y.to_vector<double>(), tolerance);
}

/// x on the meta device: its shape and type alone.
inline Tensor on_meta(const Tensor& x) {
  return empty(x.shape(), {x.dtype(), {DeviceType::meta, 0}});
}

}  // namespace nnm
