// Gradient clipping (torch.nn.utils.clip_grad_norm_, clip_grad_value_).
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm::optim {

/// Scales the gradients of `parameters` in place so that their norm, taken over all of them
/// together, is at most max_norm: by max_norm / (total + 1e-6) where that is below 1. norm_type may
/// be inf. Returns the norm before. Throws Error(runtime) for a non-finite norm if
/// error_if_nonfinite.
double clip_grad_norm_(const Tensors& parameters, double max_norm, double norm_type = 2.0,
                       bool error_if_nonfinite = false);

/// Clamps every gradient into [-clip_value, clip_value], in place.
void clip_grad_value_(const Tensors& parameters, double clip_value);

/// The norm of all gradients together, without scaling (torch.nn.utils.get_total_norm of them).
double grad_norm(const Tensors& parameters, double norm_type = 2.0);

}  // namespace nnm::optim

/// PyTorch's place for them.
namespace nnm::nn::utils {
using optim::clip_grad_norm_;
using optim::clip_grad_value_;
}  // namespace nnm::nn::utils
