// Convolution of images by Winograd's minimal filtering F(4x4, 3x3): a quarter of the
// multiplications of the direct sum, for 3x3 kernels of stride 1, dilation 1 and one group.
#pragma once

#include "kernels/conv.h"

namespace nnm {

/// Whether the kernels below know the case: f32, 3x3, stride 1, dilation 1, one group, at most 2
/// zeros around, channels and outputs multiples of 8. `w` is (O, C, 3, 3).
bool winograd_fits(const View& w, const Conv2d& p);

/// Bytes of workspace that each of the three kernels asks for at most: of x (N, C, H, W), or what
/// has its shape, and y (N, O, OH, OW). Independent of the thread count.
int64_t winograd_workspace(const View& x, const View& y);

/// Bytes of the transformed weights of a forward pass, w (O, C, 3, 3), whatever its images are.
int64_t winograd_transformed(const View& w);

}  // namespace nnm

namespace nnm::kernels {

/// The contracts of kernels/conv.h for what winograd_fits, with `work` as memory (u8, 64-byte
/// aligned, winograd_workspace bytes). Sums run in an order that depends on the shapes alone.
/// `transformed` is what winograd_weights made of w, which is not read then; or absent: the weights
/// are transformed on the way, a part at a time. The results are the same bits.
inline constinit Kernel<void(const View& y, const View& x, const View& w, const View& transformed,
                             const View& bias, const View& work, const Conv2d& p,
                             const ConvEpilogue& after)>
    winograd{"winograd"};
/// The weights w (O, C, 3, 3) of a forward pass, transformed: u8, 64-byte aligned,
/// winograd_transformed bytes.
inline constinit Kernel<void(const View& transformed, const View& w)> winograd_weights{
    "winograd_weights"};
inline constinit Kernel<void(const View& dx, const View& g, const View& w, const View& work,
                             const Conv2d& p)>
    winograd_backward_input{"winograd_backward_input"};
inline constinit Kernel<void(const View& dw, const View& g, const View& x, const View& work,
                             const Conv2d& p)>
    winograd_backward_weight{"winograd_backward_weight"};

}  // namespace nnm::kernels
