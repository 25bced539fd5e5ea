// Convolution of images.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

struct Conv2d {
  int64_t stride[2] = {1, 1}, dilation[2] = {1, 1};
  int64_t before[2] = {0, 0},
          after[2] = {0, 0};  ///< zeros around x: above and left, below and right
  int64_t groups = 1;
};

/// What becomes of the sum of a convolution before it is written: y = max(sum + bias + addend, 0).
struct ConvEpilogue {
  View addend;        ///< lies as y does; may be absent
  bool relu = false;  ///< whether there is a maximum
};

}  // namespace nnm

namespace nnm::kernels {

/// x (N, C, H, W), w (O, C / groups, KH, KW) row-major, bias (O) or absent, y (N, O, OH, OW). x and
/// y are dense with C innermost (channels_last). All of one floating type.
inline constinit Kernel<void(const View& y, const View& x, const View& w, const View& bias,
                             const Conv2d& p)>
    conv2d{"conv2d"};
/// dx (overwritten), channels_last, from g like y.
inline constinit Kernel<void(const View& dx, const View& g, const View& w, const Conv2d& p)>
    conv2d_backward_input{"conv2d_backward_input"};
/// dw (overwritten) row-major and, unless absent, dbias from g and x, both channels_last.
inline constinit Kernel<void(const View& dw, const View& dbias, const View& g, const View& x,
                             const Conv2d& p)>
    conv2d_backward_weight{"conv2d_backward_weight"};

}  // namespace nnm::kernels
