// What the update rules share: checks of their options, and tensors for their state.
#pragma once

#include "nnm/optim/optimizer.h"

namespace nnm::optim {

/// Throws PyTorch's "Invalid <what>: <value>" about the option `name`, unless `holds`.
void check_option(bool holds, const char* what, const char* name, Scalar value);
/// The same for lr, eps or weight_decay, which must not be negative.
void check_not_negative(const char* what, const char* name, Scalar value);
/// Throws "Invalid beta parameter at index 0: 1.0" unless both are in [0, 1).
void check_betas(Scalar beta1, Scalar beta2);
/// The arguments by which PyTorch chooses among its implementations. Here all updates are fused,
/// so they change nothing; Error(not_implemented) for `differentiable`, Error(runtime) for pairs
/// that PyTorch refuses.
void check_implementation(std::optional<bool> foreach, std::optional<bool> fused,
                          bool differentiable);

/// A tensor of param's shape, type and memory layout.
Tensor filled_like(const Tensor& param, double value);
/// A number in the state of param: 0-d, f64 for an f64 parameter, else f32.
Tensor number_for(const Tensor& param, double value);
void set_number(const Tensor& number, double value);

}  // namespace nnm::optim
