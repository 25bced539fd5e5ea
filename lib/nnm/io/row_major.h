// Tensors as files want them. Private to lib/nnm/io.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm::io {

/// x on the CPU without gaps in row-major order: x itself where it already is. No autograd.
Tensor row_major(const Tensor& x);

}  // namespace nnm::io
