// The windows of poolings, on every device.
#pragma once

#include "kernels/host_device.h"
#include "kernels/pool.h"

namespace nnm {
namespace {

/// One window along one dimension: positions first, first + step, … below last, and its padded
/// extent.
struct Window {
  int64_t first, last, step, padded;
  NNM_HD int64_t count() const { return last <= first ? 0 : (last - first + step - 1) / step; }
};

NNM_HD inline int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The window of output i along dimension d, where the input has `in` positions, the output `out`.
NNM_HD inline Window window(const Pool2d& p, int d, int64_t i, int64_t in, int64_t out) {
  if (p.adaptive) {
    const int64_t first = i * in / out, last = ceil_divide((i + 1) * in, out);
    return {first, last, 1, last - first};
  }
  const int64_t start = i * p.stride[d] - p.padding[d];
  const int64_t stop = start + (p.kernel[d] - 1) * p.dilation[d] + 1;
  const int64_t skipped = start < 0 ? ceil_divide(-start, p.dilation[d]) * p.dilation[d] : 0;
  const int64_t padded = stop < in + p.padding[d] ? stop : in + p.padding[d];
  return {start + skipped, stop < in ? stop : in, p.dilation[d], padded - start};
}

/// What the sum over a window is divided by.
NNM_HD inline double divisor(const Pool2d& p, const Window& h, const Window& w) {
  if (p.divisor) return static_cast<double>(p.divisor);
  if (p.adaptive || !p.count_include_pad) return static_cast<double>(h.count() * w.count());
  return static_cast<double>(h.padded * w.padded);
}

}  // namespace
}  // namespace nnm
