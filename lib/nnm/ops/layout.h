// Memory layouts that kernels ask for: copies without history, made only where x lies otherwise.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// True iff x (N, C, …) is dense with its channels innermost, in whatever strides dimensions of
/// extent 1 have.
bool has_channels_innermost(const Tensor& x);
/// True iff x (N, C, H, W) or (N, C, D, H, W) is so and not row-major as well.
bool lies_channels_last(const Tensor& x);
/// x itself where has_channels_innermost, else such a copy; x (N, C, H, W).
Tensor channels_innermost(const Tensor& x);
/// x itself where it is row-major, else such a copy.
Tensor row_major(const Tensor& x);
/// Uninitialised, of `shape`, channels innermost where lies_channels_last(x), else row-major.
Tensor empty_image_like(const Tensor& x, const Shape& shape, DType dtype);

}  // namespace nnm::detail
