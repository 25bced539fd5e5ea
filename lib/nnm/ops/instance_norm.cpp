// Normalisation of each channel of each sample.
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"

namespace nnm {

namespace {

void update_running(const Tensor& running, const Tensor& statistics, double momentum) {
  if (!running.defined()) return;
  copy_(running, lerp(running, to(mean(statistics, {0}), running.dtype()), momentum));
}

}  // namespace

Tensor instance_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& weight, const Tensor& bias, bool use_input_stats,
                     double momentum, double eps) {
  if (!use_input_stats)
    return batch_norm(x, running_mean, running_var, weight, bias, false, 0, eps);
  const Tensor flat = flatten(x, 2);
  NNM_CHECK(flat.size(2) != 1, value,
            "Expected more than 1 spatial element when training, got input size torch.Size({})",
            x.shape().str());
  if (running_mean.defined() || running_var.defined()) {
    const NoGradGuard no_grad;
    update_running(running_mean, mean(flat, {2}), momentum);
    update_running(running_var, var(flat, {2}), momentum);
  }
  // A group of one channel is an instance.
  return group_norm(x, x.size(1), weight, bias, eps);
}

namespace {

constexpr Function kInstanceNormFunctions[] = {
    {"instance_norm(input: Tensor, running_mean: Tensor? = none, running_var: Tensor? = none, "
     "weight: Tensor? = none, bias: Tensor? = none, use_input_stats: bool = true, momentum: float "
     "= 0.1, eps: float = 1e-5)",
     "normalises each channel of each sample", call<instance_norm>}};
NNM_REGISTER_FUNCTIONS(kInstanceNormFunctions);

}  // namespace
}  // namespace nnm
