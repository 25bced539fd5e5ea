// Elementwise losses: one kernel for the forwards of loss.def, one for the gradients.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

enum class Loss : uint8_t {
#define NNM_LOSS(name, ...) name,
#include "kernels/loss.def"
#undef NNM_LOSS
};

/// PyTorch's name of the node that differentiates it.
inline constexpr const char* kLossNode[] = {
#define NNM_LOSS(name, node, ...) node,
#include "kernels/loss.def"
#undef NNM_LOSS
};

}  // namespace nnm

namespace nnm::kernels {

/// y = f(x, t), with y of x's size, or y (one element) = scale times the sum of f. All floating, of
/// one type; x and t (and y of their size) are dense with the same strides. The sum's order does
/// not depend on the number of threads.
inline constinit Kernel<void(const View& y, const View& x, const View& t, Loss f, double a,
                             double scale)>
    loss{"loss"};
/// dx = scale g df/dx; g has x's size and strides, or one element.
inline constinit Kernel<void(const View& dx, const View& g, const View& x, const View& t, Loss f,
                             double a, double scale)>
    loss_backward{"loss_backward"};

}  // namespace nnm::kernels
