// Shape arithmetic with PyTorch's error texts.
#include "nnm/tensor/shape.h"

#include <fmt/ranges.h>

#include "nnm/base/error.h"

namespace nnm {

Shape::Shape(std::span<const int64_t> v) {
  NNM_CHECK(v.size() <= kMaxDims, runtime, "a tensor has at most {} dimensions, got {}", kMaxDims,
            v.size());
  n_ = static_cast<int>(v.size());
  std::copy(v.begin(), v.end(), v_);
}

void Shape::push_back(int64_t x) {
  NNM_CHECK(n_ < kMaxDims, runtime, "a tensor has at most {} dimensions", kMaxDims);
  v_[n_++] = x;
}

void Shape::erase(int i) {
  std::copy(v_ + i + 1, v_ + n_, v_ + i);
  --n_;
}

void Shape::insert(int i, int64_t x) {
  push_back(x);
  std::rotate(v_ + i, v_ + n_ - 1, v_ + n_);
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(begin(), end(), ", ")); }
std::string Shape::tuple() const {
  return fmt::format("({}{})", fmt::join(begin(), end(), ", "), n_ == 1 ? "," : "");
}

Shape contiguous_strides(const Shape& sizes) {
  Shape s = Shape::filled(sizes.size(), 1);
  for (int i = sizes.size() - 2; i >= 0; --i) s[i] = s[i + 1] * std::max<int64_t>(sizes[i + 1], 1);
  return s;
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int n = std::max(a.size(), b.size());
  Shape out = Shape::filled(n, 1);
  for (int i = 1; i <= n; ++i) {
    const int64_t x = i <= a.size() ? a[a.size() - i] : 1;
    const int64_t y = i <= b.size() ? b[b.size() - i] : 1;
    NNM_CHECK(x == y || x == 1 || y == 1, runtime,
              "The size of tensor a ({}) must match the size of tensor b ({}) at non-singleton "
              "dimension {}",
              x, y, n - i);
    out[n - i] = x == 1 ? y : x;
  }
  return out;
}

int wrap_dim(int64_t dim, int ndim) {
  const int n = std::max(ndim, 1);
  if (dim < -n || dim >= n) {
    fail(ErrorKind::index,
         "Dimension out of range (expected to be in range of [{}, {}], but got {})", -n, n - 1,
         dim);
  }
  return static_cast<int>(dim < 0 ? dim + n : dim);
}

}  // namespace nnm
