// Memory layouts that kernels ask for: copies without history, made only where x lies otherwise.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// True iff x (N, C, …) is dense with its channels innermost, in whatever strides dimensions of
/// extent 1 have.
bool has_channels_innermost(const Tensor& x);
/// x itself where has_channels_innermost, else such a copy; x (N, C, H, W).
Tensor channels_innermost(const Tensor& x);
/// x itself where it is row-major, else such a copy.
Tensor row_major(const Tensor& x);
/// Uninitialised, of `shape` (N, C, H, W), channels innermost where x has them so (and is not
/// row-major as well).
Tensor empty_image_like(const Tensor& x, const Shape& shape, DType dtype);

}  // namespace nnm::detail
