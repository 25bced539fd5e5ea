// Convolution of images with few channels, such as the first of a network: directly, by sums of
// pixels times vectors of weights.
#pragma once

#include "kernels/conv.h"

namespace nnm {

/// Whether the kernels below know the case: f32, one group, at most 4 channels and 64 weights of a
/// result, results a multiple of 16. `w` is (O, C, KH, KW).
bool narrow_fits(const View& w, const Conv2d& p);

}  // namespace nnm

namespace nnm::kernels {

/// The contracts of kernels/conv.h for what narrow_fits. What an image becomes does not depend on
/// the others.
inline constinit Kernel<void(const View& y, const View& x, const View& w, const View& bias,
                             const Conv2d& p)>
    narrow{"narrow"};
/// Adds to sums (KH KW C + 1, O), row-major, what images x (N, C, H, W) and gradients g
/// (N, O, OH, OW) give the weights of tap (kh, kw, c), and in the last row the bias. One image
/// after another: all at once are the same bits as calls with some of them in their order. Of the
/// weights w only the shape is asked for.
inline constinit Kernel<void(const View& sums, const View& g, const View& x, const View& w,
                             const Conv2d& p)>
    narrow_gradients{"narrow_gradients"};
/// dw (O, C, KH, KW) row-major and, unless absent, dbias (O): the totals of sums
/// (parts, KH KW C + 1, O), in the order of the parts.
inline constinit Kernel<void(const View& dw, const View& dbias, const View& sums)>
    narrow_backward_weight{"narrow_backward_weight"};

}  // namespace nnm::kernels
