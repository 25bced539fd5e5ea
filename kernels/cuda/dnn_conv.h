// The passes of a convolution by cuDNN, where it is there and does them well.
#pragma once

#include "kernels/conv.h"

namespace nnm::cuda {

/// As the slots of kernels/conv.h, but for a bias's gradient. False, with nothing done, where the
/// plug-in's own kernels shall do it.
bool conv2d_by_dnn(const View& y, const View& x, const View& w, const View& bias, const Conv2d& p);
bool conv2d_backward_input_by_dnn(const View& dx, const View& g, const View& w, const Conv2d& p);
bool conv2d_backward_weight_by_dnn(const View& dw, const View& g, const View& x, const Conv2d& p);

}  // namespace nnm::cuda
