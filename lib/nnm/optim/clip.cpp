// Gradient clipping by norm and by value.
#include "nnm/optim/clip.h"

#include <algorithm>
#include <cmath>

#include "kernels/optim.h"
#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::optim {

double grad_norm(const Tensors& parameters, double norm_type) {
  NNM_CHECK(norm_type > 0, value, "norm_type must be positive, got {}", python_float(norm_type));
  const NoGradGuard no_grad;
  double total = 0;
  for (const Tensor& p : parameters) {
    const Tensor grad = p.grad();
    if (!grad.defined()) continue;
    double sum = 0;
    kernels::power_sum(grad.is_dense() ? grad : contiguous(grad), norm_type, &sum);
    if (!std::isinf(norm_type)) total += sum;
    else if (sum > total || std::isnan(sum)) total = sum;
    if (std::isnan(total)) return total;
  }
  return std::isinf(norm_type) ? total : std::pow(total, 1 / norm_type);
}

double clip_grad_norm_(const Tensors& parameters, double max_norm, double norm_type,
                       bool error_if_nonfinite) {
  const double total = grad_norm(parameters, norm_type);
  NNM_CHECK(!error_if_nonfinite || std::isfinite(total), runtime,
            "The total norm of order {} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite "
            "norm anyway, set `error_if_nonfinite=False`",
            python_float(norm_type));
  const double scale = max_norm / (total + 1e-6);
  if (scale >= 1) return total;  // a NaN scales on, as in PyTorch
  const NoGradGuard no_grad;
  for (const Tensor& p : parameters) {
    if (const Tensor grad = p.grad(); grad.defined()) mul_(grad, scale);
  }
  return total;
}

void clip_grad_value_(const Tensors& parameters, double clip_value) {
  const NoGradGuard no_grad;
  for (const Tensor& p : parameters) {
    if (const Tensor grad = p.grad(); grad.defined()) {
      copy_(grad, clamp(grad, Scalar(-clip_value), Scalar(clip_value)));
    }
  }
}

}  // namespace nnm::optim
