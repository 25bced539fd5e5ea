// Pooling of (N, C, H, W), in any strides; fastest where W or C is innermost in x and y alike.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

/// The windows of a pooling. `adaptive` ones are [floor(i n / out), ceil((i + 1) n / out)).
struct Pool2d {
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, padding[2] = {0, 0}, dilation[2] = {1, 1};
  bool adaptive = false;
  bool count_include_pad = true;  ///< average only
  int64_t divisor = 0;            ///< average only; 0: the size of the window
};

/// The most taps of a window that a byte numbers.
inline constexpr int64_t kMostTaps = 255;

}  // namespace nnm

namespace nnm::kernels {

/// y and, unless absent, the place h W + w of each maximum (i64), or on the CPU the number of its
/// tap among those of its window that lie in the image, row by row (u8; of at most kMostTaps). The
/// first of equal ones is the maximum, or the last NaN.
inline constinit Kernel<void(const View& y, const View& indices, const View& x, const Pool2d& p)>
    max_pool2d{"max_pool2d"};
/// dx (overwritten) from g and the indices that max_pool2d gave with `p`, both with y's strides.
inline constinit Kernel<void(const View& dx, const View& g, const View& indices, const Pool2d& p)>
    max_pool2d_backward{"max_pool2d_backward"};

inline constinit Kernel<void(const View& y, const View& x, const Pool2d& p)> avg_pool2d{
    "avg_pool2d"};
/// dx (overwritten) from g.
inline constinit Kernel<void(const View& dx, const View& g, const Pool2d& p)> avg_pool2d_backward{
    "avg_pool2d_backward"};

}  // namespace nnm::kernels
