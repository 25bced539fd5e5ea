// Tensors from one device to another.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm {

/// x on another device with the same strides and no history, or x itself where it lies there. What
/// lies between the elements of a strided x is copied, too. Throws Error(not_implemented) out of
/// meta.
Tensor moved(const Tensor& x, Device device);

}  // namespace nnm
