// What poolings of all ranks say of their windows.
#pragma once

#include <cstdint>
#include <span>

#include "nnm/base/spec.h"

namespace nnm::detail {

/// The windows of a pooling of N dimensions. A stride that is not given is the kernel's size.
template <int N>
struct Windows {
  IntTuple<N> kernel, stride, padding = 0, dilation = 1;
  bool ceil_mode = false;

  Windows(IntTuple<N> k, const OptionalTuple<N>& step, IntTuple<N> zeros, IntTuple<N> apart,
          bool ceil)
      : kernel(k), stride(step.value_or(k)), padding(zeros), dilation(apart), ceil_mode(ceil) {}
};

/// Throws PyTorch's Error(runtime) for extents that make no windows of 2 or 3 dimensions.
void check_windows(std::span<const int64_t> kernel, std::span<const int64_t> stride,
                   std::span<const int64_t> padding, std::span<const int64_t> dilation);
template <int N>
void check_windows(const Windows<N>& w) {
  check_windows(w.kernel.v, w.stride.v, w.padding.v, w.dilation.v);
}

/// How many windows there are along a dimension of extent `in`; 0 or less where none fits.
int64_t pooled_extent(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                      bool ceil_mode);
template <int N>
int64_t pooled_extent(const Windows<N>& w, int d, int64_t in) {
  return pooled_extent(in, w.kernel[d], w.stride[d], w.padding[d], w.dilation[d], w.ceil_mode);
}

}  // namespace nnm::detail
