// One-pass update rules (torch.optim's formulas). All views row-major-compatible: dense with the
// same strides as the parameter; floating, of one type. Absent state stays absent.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

struct SgdStep {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
  bool first = false;  ///< the buffer takes the gradient as it is
};
struct AdamStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false, maximize = false;
  int64_t step = 1;
};
struct RmspropStep {
  double lr = 0, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool maximize = false;
};
struct AdagradStep {
  double lr = 0, lr_decay = 0, weight_decay = 0, eps = 1e-10;
  bool maximize = false;
  int64_t step = 1;
};

}  // namespace nnm

namespace nnm::kernels {

inline constinit Kernel<void(const View& param, const View& grad, const View& momentum_buffer,
                             const SgdStep& s)>
    sgd_step{"sgd_step"};
/// max_exp_avg_sq: amsgrad.
inline constinit Kernel<void(const View& param, const View& grad, const View& exp_avg,
                             const View& exp_avg_sq, const View& max_exp_avg_sq, const AdamStep& s)>
    adam_step{"adam_step"};
/// grad_avg: centered; momentum_buffer: momentum > 0.
inline constinit Kernel<void(const View& param, const View& grad, const View& square_avg,
                             const View& grad_avg, const View& momentum_buffer,
                             const RmspropStep& s)>
    rmsprop_step{"rmsprop_step"};
inline constinit Kernel<void(const View& param, const View& grad, const View& sum,
                             const AdagradStep& s)>
    adagrad_step{"adagrad_step"};

}  // namespace nnm::kernels
