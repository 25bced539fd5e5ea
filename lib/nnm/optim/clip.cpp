// Gradient clipping by norm and by value.
#include "nnm/optim/clip.h"

#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "kernels/optim.h"
#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::optim {

namespace {

Tensors gradients(const Tensors& parameters) {
  Tensors all;
  for (const Tensor& p : parameters)
    if (Tensor grad = p.grad(); grad.defined()) all.push_back(std::move(grad));
  return all;
}

/// Calls f(views, begin) with the views of tensors begin, begin + 1, … that a kernel takes at once:
/// those in a row of one type on one device. What has gaps in its memory is passed as a copy, which
/// is written back where f has changed it.
template <class F>
void by_kind(const Tensors& all, bool changed, const F& f) {
  std::vector<View> views;
  Tensors dense;
  for (size_t i = 0; i < all.size(); ++i) {
    dense.push_back(all[i].is_dense() ? all[i] : contiguous(all[i]));
    views.push_back(dense.back());
    const bool last = i + 1 == all.size() || all[i + 1].dtype() != all[i].dtype() ||
                      !(all[i + 1].device() == all[i].device());
    if (!last) continue;
    const size_t begin = i + 1 - views.size();
    f(std::span<const View>(views), begin);
    for (size_t k = 0; changed && k < dense.size(); ++k) {
      if (dense[k].is_same(all[begin + k])) all[begin + k].bump_version();
      else copy_(all[begin + k], dense[k]);
    }
    views.clear();
    dense.clear();
  }
}

void scale_and_clamp(const Tensors& parameters, double scale, double limit) {
  const NoGradGuard no_grad;
  by_kind(gradients(parameters), true, [&](std::span<const View> views, size_t) {
    kernels::clip_all(views[0], views, scale, limit);
  });
}

}  // namespace

double grad_norm(const Tensors& parameters, double norm_type) {
  NNM_CHECK(norm_type > 0, value, "norm_type must be positive, got {}", python_float(norm_type));
  const NoGradGuard no_grad;
  const Tensors all = gradients(parameters);
  std::vector<double> sums(all.size());
  by_kind(all, false, [&](std::span<const View> views, size_t begin) {
    kernels::power_sums(views[0], views, norm_type, sums.data() + begin);
  });
  double total = 0;
  for (const double sum : sums) total = kernels::joined_power_sum(total, sum, norm_type);
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
  // A NaN scales on, as in PyTorch.
  if (!(scale >= 1)) scale_and_clamp(parameters, scale, std::numeric_limits<double>::infinity());
  return total;
}

void clip_grad_value_(const Tensors& parameters, double clip_value) {
  scale_and_clamp(parameters, 1, clip_value);
}

}  // namespace nnm::optim
