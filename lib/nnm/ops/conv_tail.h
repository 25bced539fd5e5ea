// A convolution and what follows it, in one pass over the result: for inference.
#pragma once

#include "nnm/ops/ops.h"

namespace nnm {

/// What follows a convolution: y = max((y - mean) / sqrt(var + eps) weight + bias + addend, 0).
/// Each part may be absent; without `mean` and `var` (which come together) there is no norm.
struct ConvTail {
  Tensor mean, var, weight, bias;  ///< of a batch norm by given statistics
  double eps = 0;
  Tensor addend;  ///< of the result's shape
  bool relu = false;
};

/// conv2d(x, …) and its tail in one pass, with the norm in the weights: the operations one after
/// another up to rounding. Undefined where the case is not for it (gradients may be recorded,
/// mixed precision, other than f32 on the CPU, a small convolution, operands that do not fit), and
/// nothing has been done then. The weights in their kernel's order are kept (kept.h).
Tensor conv2d_with_tail(const Tensor& x, const Tensor& weight, const Tensor& bias, Size2 stride,
                        Size2 padding, Size2 dilation, int64_t groups, const ConvTail& tail);

}  // namespace nnm
