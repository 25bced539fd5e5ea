// What the update rules share: checks of their options, and tensors for their state.
#pragma once

#include <utility>

#include "nnm/optim/optimizers.h"

namespace nnm::optim {

/// Throws PyTorch's "Invalid <what>: <value>" about the option `name`, unless `holds`.
void check_option(bool holds, const char* what, const char* name, Scalar value);
/// The same for lr, eps or weight_decay, which must not be negative.
void check_not_negative(const char* what, const char* name, Scalar value);
/// Throws PyTorch's newer "<rule> but is: <value>" about it, unless `holds`.
void require_option(bool holds, const char* rule, const char* name, Scalar value);
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

/// The view, or an absent one of an undefined tensor.
inline View view_or_none(const Tensor& t) { return t.defined() ? t.view() : View{}; }

template <class Step>
void Updates<Step>::add(const Step& step, const Tensor& param, const Tensor& grad, const Tensor& a,
                        const Tensor& b, const Tensor& c) {
  if (param.device().type != DeviceType::cuda) {
    const kernels::UpdateOperands one{param, grad, view_or_none(a), view_or_none(b),
                                      view_or_none(c)};
    return kernel_(one.param, {&one, 1}, step);
  }
  if (!waiting_.empty()) {
    const Tensor& other = waiting_.front()[0];
    const bool alike =
        step == step_ && other.dtype() == param.dtype() && other.device() == param.device();
    if (!alike) finish();
  }
  step_ = step;
  waiting_.push_back({param, grad, a, b, c});
}

template <class Step>
void Updates<Step>::finish() {
  if (waiting_.empty()) return;
  const auto now = std::exchange(waiting_, {});
  std::vector<kernels::UpdateOperands> all;
  for (const auto& [param, grad, a, b, c] : now)
    all.push_back({param, grad, view_or_none(a), view_or_none(b), view_or_none(c)});
  kernel_(all[0].param, all, step_);
}

}  // namespace nnm::optim
