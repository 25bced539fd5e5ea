// The dimension of softmax where none is given, for functions and layers.
#pragma once

#include <optional>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// `dim`, or what PyTorch chooses by the number of dimensions, with its warning
/// (torch.nn.functional._get_softmax_dim): 0 for 0, 1 and 3 of them, else 1.
int64_t softmax_dim(std::optional<int64_t> dim, const Tensor& x, const char* function);

}  // namespace nnm
