// Elementwise losses: one pass forward, one backward.
#include "kernels/loss.h"

#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/reduction.h"

namespace nnm {

namespace {

using detail::parse_reduction;
using detail::Reduction;

// Input and target of one type, shape and layout, as the loss kernels want them; the tape sees the
// casts and broadcasts.
struct Pair {
  Tensor x, t;
};

Pair aligned(const Tensor& input, const Tensor& target, const char* kernel) {
  detail::check_defined(input, kernel);
  detail::check_defined(target, kernel);
  detail::check_same_device(input, target);
  const Tensor x0 = autocast_f32(input), t0 = autocast_f32(target);
  const DType type = detail::result_type(x0, t0);
  NNM_CHECK(is_floating(type), not_implemented, "\"{}\" not implemented for '{}'", kernel,
            detail::scalar_type_name(type));
  Pair p{to(x0, type), to(t0, type)};
  if (p.x.shape() == p.t.shape()) return p;
  const Shape shape = broadcast_shapes(p.x.shape(), p.t.shape());
  if (p.x.shape() != shape) p.x = expand(p.x, shape);
  if (p.t.shape() != shape) p.t = expand(p.t, shape);
  return p;
}

// The loss `f` of x and t. `share` is what a sum is multiplied by (1 / n for the mean).
// `sign` is d/dt over d/dx where that is constant (-1 for functions of x - t), else 0: no gradient.
Tensor elementwise(const Pair& p, Loss f, double a, bool reduce, double share, double sign) {
  const Tensor x = detail::dense(p.x), t = detail::with_layout_of(x, p.t);
  Tensor y = reduce ? empty({}, x.options()) : empty_like(x);
  kernels::loss(y, x, t, f, a, share);
  const Tensor off_tape;
  const Tensor& target = sign != 0 ? p.t : off_tape;
  if (!needs_grad({&p.x, &target})) return y;
  return record(kLossNode[static_cast<int>(f)], y, {&p.x, &target},
                [x = Saved(x), t = Saved(t), f, a, share, sign, reduce](Backward& b) {
                  const Tensor dx = empty_like(x.get());
                  const Tensor g = reduce ? b.grad() : detail::with_layout_of(x.get(), b.grad());
                  kernels::loss_backward(dx, g, x.get(), t.get(), f, a, share);
                  if (b.needs(0)) b.set(0, dx);
                  if (b.needs(1)) b.set(1, mul(dx, Scalar(sign)));
                });
}

Tensor reduced_loss(const Pair& p, Loss f, double a, const std::string& reduction, double sign) {
  switch (parse_reduction(reduction)) {
    case Reduction::none: return elementwise(p, f, a, false, 1, sign);
    case Reduction::sum: return elementwise(p, f, a, true, 1, sign);
    default: return elementwise(p, f, a, true, 1 / static_cast<double>(p.x.numel()), sign);
  }
}

Tensor reduce(const Tensor& losses, const std::string& reduction) {
  switch (parse_reduction(reduction)) {
    case Reduction::none: return losses;
    case Reduction::sum: return sum(losses);
    default: return mean(losses);
  }
}

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  return reduced_loss(aligned(input, target, "mse_cpu"), Loss::mse, 0, reduction, -1);
}

Tensor l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  return reduced_loss(aligned(input, target, "l1_loss"), Loss::l1, 0, reduction, -1);
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction,
                      double beta) {
  NNM_CHECK(beta >= 0, runtime, "smooth_l1_loss does not support negative values for beta.");
  if (beta == 0) return l1_loss(input, target, reduction);
  return reduced_loss(aligned(input, target, "smooth_l1_cpu"), Loss::smooth_l1, beta, reduction,
                      -1);
}

Tensor huber_loss(const Tensor& input, const Tensor& target, const std::string& reduction,
                  double delta) {
  NNM_CHECK(delta > 0, runtime, "huber_loss does not support non-positive values for delta.");
  return reduced_loss(aligned(input, target, "huber_cpu"), Loss::huber, delta, reduction, -1);
}

namespace {

void check_probabilities(const Tensor& x, const char* what) {
  if (x.device().type != DeviceType::cpu || x.numel() == 0) return;
  const NoGradGuard no_grad;
  const double low = min(x).item().d, high = max(x).item().d;
  // NaN passes, as in PyTorch's comparison of every element it would not; it shows in the loss.
  NNM_CHECK(!(low < 0) && !(high > 1), runtime, "all elements of {} should be between 0 and 1",
            what);
}

Tensor weighted(Tensor losses, const Tensor& weight, const std::string& reduction) {
  if (weight.defined()) losses = mul(losses, weight);
  return reduce(losses, reduction);
}

}  // namespace

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                            const std::string& reduction) {
  detail::check_defined(input, "binary_cross_entropy");
  detail::check_defined(target, "binary_cross_entropy");
  NNM_CHECK(input.shape() == target.shape(), value,
            "Using a target size (torch.Size({})) that is different to the input size "
            "(torch.Size({})) is deprecated. Please ensure they have the same size.",
            target.shape().str(), input.shape().str());
  NNM_CHECK(input.dtype() == target.dtype(), runtime, "Found dtype {} but expected {}",
            detail::scalar_type_name(target.dtype()), detail::scalar_type_name(input.dtype()));
  const Pair p = aligned(input, target, "binary_cross_entropy");
  check_probabilities(p.x, "input");
  check_probabilities(p.t, "target");
  if (needs_grad({&p.t})) {
    // Linear in the target: what the loss is for a fixed one, and the slope along it.
    const Pair fixed{p.x, p.t.detach()};
    const Tensor losses = reduced_loss(fixed, Loss::binary_cross_entropy, 0, "none", 0);
    const Tensor x = p.x.detach();
    const Scalar floor(-100.0);
    const Tensor slope = sub(clamp(log1p(neg(x)), floor), clamp(log(x), floor));
    return weighted(add(losses, mul(sub(p.t, fixed.t), slope)), weight, reduction);
  }
  if (!weight.defined()) return reduced_loss(p, Loss::binary_cross_entropy, 0, reduction, 0);
  return weighted(reduced_loss(p, Loss::binary_cross_entropy, 0, "none", 0), weight, reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const Tensor& weight, const std::string& reduction,
                                        const Tensor& pos_weight) {
  detail::check_defined(input, "binary_cross_entropy_with_logits");
  detail::check_defined(target, "binary_cross_entropy_with_logits");
  NNM_CHECK(input.shape() == target.shape(), value,
            "Target size (torch.Size({})) must be the same as input size (torch.Size({}))",
            target.shape().str(), input.shape().str());
  NNM_CHECK(is_floating(target.dtype()), runtime,
            "result type {} can't be cast to the desired output type {}",
            detail::scalar_type_name(input.dtype()), detail::scalar_type_name(target.dtype()));
  const Pair p = aligned(input, target, "binary_cross_entropy_with_logits");
  if (pos_weight.defined() || needs_grad({&p.t})) {
    // (1 - t) x - (1 + (w - 1) t) log sigmoid(x)
    Tensor gain = ones_like(p.t);
    if (pos_weight.defined()) gain = add(mul(sub(pos_weight, Scalar(1.0)), p.t), Scalar(1.0));
    const Tensor losses = sub(mul(rsub(Scalar(1.0), p.t), p.x), mul(gain, logsigmoid(p.x)));
    return weighted(losses, weight, reduction);
  }
  if (!weight.defined()) return reduced_loss(p, Loss::bce_with_logits, 0, reduction, 0);
  return weighted(reduced_loss(p, Loss::bce_with_logits, 0, "none", 0), weight, reduction);
}

Tensor kl_div(const Tensor& input, const Tensor& target, const std::string& reduction,
              bool log_target) {
  const Pair p = aligned(input, target, "kl_div");
  const Loss f = log_target ? Loss::kl_div_log_target : Loss::kl_div;
  const bool batchmean = reduction == "batchmean";
  const double share = batchmean && input.dim() > 0 ? 1 / static_cast<double>(input.shape()[0]) : 1;
  if (needs_grad({&p.t})) {
    const Tensor losses =
        log_target ? mul(exp(p.t), sub(p.t, p.x)) : sub(xlogy(p.t, p.t), mul(p.t, p.x));
    return batchmean ? mul(sum(losses), Scalar(share)) : reduce(losses, reduction);
  }
  if (batchmean) return elementwise(p, f, 0, true, share, 0);
  return reduced_loss(p, f, 0, reduction, 0);
}

namespace {

using Flag = std::optional<bool>;

/// Losses of single elements times their weights; the mean is that of the weights, too.
Tensor weighed(const Tensor& losses, const Tensor& input, const Tensor& weight,
               const std::string& reduction) {
  NNM_CHECK(weight.shape() == input.shape(), value, "Weights and input must have the same size.");
  const Tensor all = mul(losses, weight);
  return parse_reduction(reduction) == Reduction::mean ? div(sum(all), sum(weight))
                                                       : reduce(all, reduction);
}

template <Tensor (*F)(const Tensor&, const Tensor&, const std::string&)>
Tensor simple_call(const Tensor& x, const Tensor& t, Flag size_average, Flag reduce,
                   const std::string& reduction, const Tensor& weight) {
  const std::string how = detail::legacy_reduction(size_average, reduce, reduction);
  return weight.defined() ? weighed(F(x, t, "none"), x, weight, how) : F(x, t, how);
}

/// Its mean is that of the products, unlike that of the others.
Tensor huber_call(const Tensor& x, const Tensor& t, const std::string& reduction, double delta,
                  const Tensor& weight) {
  if (!weight.defined()) return huber_loss(x, t, reduction, delta);
  NNM_CHECK(weight.shape() == x.shape(), value, "Weights and input must have the same size.");
  return reduce(mul(huber_loss(x, t, "none", delta), weight), reduction);
}

Tensor smooth_l1_call(const Tensor& x, const Tensor& t, Flag size_average, Flag reduce,
                      const std::string& reduction, double beta) {
  return smooth_l1_loss(x, t, detail::legacy_reduction(size_average, reduce, reduction), beta);
}

Tensor bce_call(const Tensor& x, const Tensor& t, const Tensor& weight, Flag size_average,
                Flag reduce, const std::string& reduction) {
  return binary_cross_entropy(x, t, weight,
                              detail::legacy_reduction(size_average, reduce, reduction));
}

Tensor bce_with_logits_call(const Tensor& x, const Tensor& t, const Tensor& weight,
                            Flag size_average, Flag reduce, const std::string& reduction,
                            const Tensor& pos_weight) {
  return binary_cross_entropy_with_logits(
      x, t, weight, detail::legacy_reduction(size_average, reduce, reduction), pos_weight);
}

Tensor kl_div_call(const Tensor& x, const Tensor& t, Flag size_average, Flag reduce,
                   const std::string& reduction, bool log_target) {
  return kl_div(x, t, detail::legacy_reduction(size_average, reduce, reduction), log_target);
}

constexpr Function kLossFunctions[] = {
    {"mse_loss(input: Tensor, target: Tensor, size_average: bool? = none, reduce: bool? = none, "
     "reduction: str = \"mean\", weight: Tensor? = none)",
     "(input - target)²", call<simple_call<mse_loss>>},
    {"l1_loss(input: Tensor, target: Tensor, size_average: bool? = none, reduce: bool? = none, "
     "reduction: str = \"mean\", weight: Tensor? = none)",
     "|input - target|", call<simple_call<l1_loss>>},
    {"smooth_l1_loss(input: Tensor, target: Tensor, size_average: bool? = none, reduce: bool? = "
     "none, reduction: str = \"mean\", beta: float = 1.0)",
     "squared below beta, absolute above", call<smooth_l1_call>},
    {"huber_loss(input: Tensor, target: Tensor, reduction: str = \"mean\", delta: float = 1.0, "
     "weight: Tensor? = none)",
     "squared below delta, delta times absolute above", call<huber_call>},
    {"binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor? = none, size_average: "
     "bool? = none, reduce: bool? = none, reduction: str = \"mean\")",
     "-target log(input) - (1 - target) log(1 - input)", call<bce_call>},
    {"binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor? = none, "
     "size_average: bool? = none, reduce: bool? = none, reduction: str = \"mean\", pos_weight: "
     "Tensor? = none)",
     "binary_cross_entropy of sigmoid(input)", call<bce_with_logits_call>},
    {"kl_div(input: Tensor, target: Tensor, size_average: bool? = none, reduce: bool? = none, "
     "reduction: str = \"mean\", log_target: bool = false)",
     "target (log target - input), input being log-probabilities", call<kl_div_call>},
};
NNM_REGISTER_FUNCTIONS(kLossFunctions);

}  // namespace
}  // namespace nnm
