// Activations with parameters: one kernel for the forwards of activation.def, one for the
// gradients.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

enum class Activation : uint8_t {
#define NNM_ACTIVATION(name, ...) name,
#include "kernels/activation.def"
#undef NNM_ACTIVATION
};

/// PyTorch's name of the node that differentiates it.
inline constexpr const char* kActivationNode[] = {
#define NNM_ACTIVATION(name, node, ...) node,
#include "kernels/activation.def"
#undef NNM_ACTIVATION
};

struct ActivationParams {
  double a = 0, b = 0, c = 0;
};

}  // namespace nnm

namespace nnm::kernels {

/// y = f(x). Both floating, of one type, dense and with the same strides (any order of dimensions).
inline constinit Kernel<void(const View& y, const View& x, Activation f, ActivationParams p)>
    activation{"activation"};
/// dx = g f'(x), with the same demands on all three. dx may be g.
inline constinit Kernel<void(const View& dx, const View& g, const View& x, Activation f,
                             ActivationParams p)>
    activation_backward{"activation_backward"};

}  // namespace nnm::kernels
