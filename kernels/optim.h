// One-pass update rules (torch.optim's formulas). All views row-major-compatible: dense with the
// same strides as the parameter; floating, of one type. Absent state stays absent.
#pragma once

#include <cmath>
#include <span>

#include "kernels/kernel.h"

namespace nnm {

struct SgdStep {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
  bool first = false;  ///< the buffer takes the gradient as it is
  bool operator==(const SgdStep&) const = default;
};
struct AdamStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false, maximize = false;
  int64_t step = 1;
  bool operator==(const AdamStep&) const = default;
};
struct RmspropStep {
  double lr = 0, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool maximize = false;
  bool operator==(const RmspropStep&) const = default;
};
struct AdagradStep {
  double lr = 0, lr_decay = 0, weight_decay = 0, eps = 1e-10;
  bool maximize = false;
  int64_t step = 1;
  bool operator==(const AdagradStep&) const = default;
};
struct AdadeltaStep {
  double lr = 0, rho = 0.9, eps = 1e-6, weight_decay = 0;
  bool maximize = false;
};
struct AdamaxStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool maximize = false;
  int64_t step = 1;
};
/// NAdam and RAdam move by `grad_rate` times the gradient and `rate` times its average, both over
/// sqrt(exp_avg_sq) * spread + eps, or not over it (`plain`).
struct MomentStep {
  double grad_rate = 0, rate = 0, spread = 1, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double shrink = 1, weight_decay = 0;  ///< decoupled decay: param *= shrink
  bool plain = false, maximize = false;
};
struct RpropStep {
  double eta_minus = 0.5, eta_plus = 1.2, step_min = 1e-6, step_max = 50;
  bool maximize = false;
};
struct AsgdStep {
  double eta = 0, lambd = 1e-4, mu = 1, weight_decay = 0;
  bool maximize = false;
};

}  // namespace nnm

namespace nnm::kernels {

/// What an update rule takes of one parameter: beside the gradient up to three states, of which
/// every parameter of a call has the same ones.
struct UpdateOperands {
  View param, grad, a = {}, b = {}, c = {};
};
/// Rules for many parameters of one type on one device, the first of which is `first`: a GPU
/// updates them together.
template <class Step>
using UpdateKernel =
    Kernel<void(const View& first, std::span<const UpdateOperands> all, const Step& s)>;

/// a: momentum_buffer, with momentum.
inline constinit UpdateKernel<SgdStep> sgd_steps{"sgd_steps"};
/// a: exp_avg; b: exp_avg_sq; c: max_exp_avg_sq, for amsgrad.
inline constinit UpdateKernel<AdamStep> adam_steps{"adam_steps"};
/// a: square_avg; b: grad_avg, where it is centered; c: momentum_buffer, with momentum.
inline constinit UpdateKernel<RmspropStep> rmsprop_steps{"rmsprop_steps"};
/// a: sum.
inline constinit UpdateKernel<AdagradStep> adagrad_steps{"adagrad_steps"};
inline constinit Kernel<void(const View& param, const View& grad, const View& square_avg,
                             const View& acc_delta, const AdadeltaStep& s)>
    adadelta_step{"adadelta_step"};
inline constinit Kernel<void(const View& param, const View& grad, const View& exp_avg,
                             const View& exp_inf, const AdamaxStep& s)>
    adamax_step{"adamax_step"};
inline constinit Kernel<void(const View& param, const View& grad, const View& exp_avg,
                             const View& exp_avg_sq, const MomentStep& s)>
    moment_step{"moment_step"};
inline constinit Kernel<void(const View& param, const View& grad, const View& prev,
                             const View& step_size, const RpropStep& s)>
    rprop_step{"rprop_step"};
inline constinit Kernel<void(const View& param, const View& grad, const View& ax,
                             const AsgdStep& s)>
    asgd_step{"asgd_step"};

/// Of dense tensors of one type on one device, the first of which is `first`: sums[i] = sum |x|^p
/// over the elements of all[i], the largest |x| for p = inf, in double. NaN is passed on. The order
/// of summation depends on the number of elements alone.
inline constinit Kernel<void(const View& first, std::span<const View> all, double p, double* sums)>
    power_sums{"power_sums"};
namespace {
/// Two such sums as the one of both.
inline double joined_power_sum(double a, double b, double p) {
  if (!std::isinf(p)) return a + b;
  return b > a || std::isnan(b) ? b : a;
}
}  // namespace
/// Of the same kind of tensors: every element becomes x * scale, and then no less than -limit and
/// no more than limit. NaN stays.
inline constinit Kernel<void(const View& first, std::span<const View> all, double scale,
                             double limit)>
    clip_all{"clip_all"};

}  // namespace nnm::kernels
