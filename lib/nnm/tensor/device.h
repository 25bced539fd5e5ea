// Tensors from one device to another.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm {

/// x on another device with the same strides and no history, or x itself where it lies there. What
/// lies between the elements of a strided x is copied, too. Throws Error(not_implemented) out of
/// meta.
Tensor moved(const Tensor& x, Device device);

/// Uninitialised and row-major on the CPU, in memory from which tensors can be moved to the device
/// while the CPU goes on. The tensor may be dropped once `moved` has returned, but not be written.
Tensor empty_for(const Shape& sizes, DType dtype, Device device);

}  // namespace nnm
