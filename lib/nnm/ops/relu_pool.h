// relu and what stands around it, in one pass where gradients are recorded.
#pragma once

#include <optional>

#include "kernels/pool.h"
#include "nnm/ops/ops.h"

namespace nnm {

/// The arguments of max_pool2d beside its input.
struct MaxPooling {
  Size2 kernel_size;
  OptionalTuple<2> stride = {};
  Size2 padding = 0, dilation = 1;
  bool ceil_mode = false;
};

/// max_pool2d(relu(x), …) where a gradient is recorded, without the tensor in between: the same
/// bits, forward and backward. Undefined where the case is not for it (no gradient, anomalies
/// looked for, a GPU, operands that do not fit), and nothing has been done then.
Tensor relu_max_pool2d(const Tensor& x, const MaxPooling& pooling);

/// The same of conv2d(x, …), whose result is not made as a whole either.
Tensor conv2d_relu_max_pool2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                              Size2 stride, Size2 padding, Size2 dilation, int64_t groups,
                              const MaxPooling& pooling);

namespace detail {

/// A max pooling behind a relu whose operand has the shape `x`.
struct ReluPool {
  Pool2d pool;
  Shape x, y;

  /// Nothing where the case is not for it.
  static std::optional<ReluPool> of(const Shape& x, const TensorOptions& options,
                                    const MaxPooling& pooling);
};

}  // namespace detail

}  // namespace nnm
