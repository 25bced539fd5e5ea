// Shape: up to eight extents, in place.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "kernels/view.h"

namespace nnm {

/// Extents (or strides) of a tensor, at most kMaxDims, without an allocation.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> v) : Shape(std::span<const int64_t>(v.begin(), v.size())) {}
  Shape(const std::vector<int64_t>& v) : Shape(std::span<const int64_t>(v)) {}
  /// Throws Error(runtime) beyond kMaxDims.
  explicit Shape(std::span<const int64_t> v);
  static Shape filled(int n, int64_t value) {
    Shape s;
    s.n_ = n;
    std::fill_n(s.v_, n, value);
    return s;
  }

  int size() const { return n_; }
  bool empty() const { return n_ == 0; }
  int64_t& operator[](int i) { return v_[i]; }
  int64_t operator[](int i) const { return v_[i]; }
  int64_t* begin() { return v_; }
  int64_t* end() { return v_ + n_; }
  const int64_t* begin() const { return v_; }
  const int64_t* end() const { return v_ + n_; }
  int64_t back() const { return v_[n_ - 1]; }
  void push_back(int64_t x);
  void erase(int i);
  void insert(int i, int64_t x);
  int64_t numel() const {
    int64_t p = 1;
    for (int64_t x : *this) p *= x;
    return p;
  }
  std::vector<int64_t> vec() const { return {begin(), end()}; }
  /// "[2, 3]", as torch.Size prints its numbers.
  std::string str() const;
  /// "(2, 3)", or "(2,)", as Python prints a tuple.
  std::string tuple() const;
  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  int64_t v_[kMaxDims] = {};
  int n_ = 0;
};

/// "torch.Size([2, 3])", as Python prints it.
inline std::string str(const Shape& s) { return "torch.Size(" + s.str() + ")"; }
/// Row-major strides of a dense tensor.
Shape contiguous_strides(const Shape& sizes);
/// The shape two shapes broadcast to; throws Error(runtime) with PyTorch's text:
/// "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0".
Shape broadcast_shapes(const Shape& a, const Shape& b);
/// dim in [-ndim, ndim) to [0, ndim); a 0-d tensor counts as 1-d. Throws Error(index) with
/// PyTorch's text "Dimension out of range (expected to be in range of [-2, 1], but got 2)".
int wrap_dim(int64_t dim, int ndim);

}  // namespace nnm
