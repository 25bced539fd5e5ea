// Dropout whose mask is a function of the generator's state and the element's place in memory.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

/// y = x / (1 - p) where a uniform number is at least p, else 0. x and y dense with the same
/// strides. The same call on a gradient is the backward.
inline constinit Kernel<void(const View& y, const View& x, double p, uint64_t seed,
                             uint64_t offset)>
    dropout{"dropout"};

}  // namespace nnm::kernels
