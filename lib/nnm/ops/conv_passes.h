// The passes of a convolution of images as the operations call them: by oneDNN where that is worth
// it, else by the kernels, with the contracts of kernels/conv.h.
#pragma once

#include "kernels/conv.h"
#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// Whether weights stay as they are from call to call, so that copies of them in a kernel's order
/// are worth keeping (kept.h). The results are the same bits.
enum class Weights : uint8_t { change, stay };

/// All tensors lie as the kernels want them: images with channels innermost, the rest row-major.
/// Bias and dbias may be undefined.
void conv2d_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Conv2d& p, Weights weights = Weights::change);
void conv2d_backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Conv2d& p);
void conv2d_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                            const Conv2d& p);

/// Throws Error(runtime) unless all are floating, of one type and on one device.
void check_conv_types(const Tensor& x, const Tensor& w, const Tensor& bias);

}  // namespace nnm::detail
