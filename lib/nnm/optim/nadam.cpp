// NAdam and RAdam (torch.optim.NAdam, torch.optim.RAdam).
#include <cmath>

#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

namespace {

template <class Options>
void check_moments(const Options& o) {
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("epsilon value", "eps", o.eps);
  check_betas(o.betas[0], o.betas[1]);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_implementation(o.foreach, {}, o.differentiable);
}

/// What both rules have in common; rates are to be set.
template <class Options>
MomentStep moment_rule(const Options& o) {
  const bool decoupled = o.decoupled_weight_decay;
  return {.beta1 = o.betas[0].d,
          .beta2 = o.betas[1].d,
          .eps = o.eps.d,
          .shrink = decoupled ? 1 - o.lr.d * o.weight_decay.d : 1,
          .weight_decay = decoupled ? 0 : o.weight_decay.d,
          .maximize = o.maximize};
}

}  // namespace

const Spec<NAdam::Options>& NAdam::spec() {
  static const auto s =
      Spec<Options>("NAdam", "Adam with Nesterov momentum")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(betas), "decay of the averages of the gradient and of its square")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(momentum_decay), "how momentum approaches beta1")
          .opt(NNM_ARG(decoupled_weight_decay), "decay weights as AdamW does")
          .keyword_only()
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(differentiable), "not built");
  return s;
}

NAdam::NAdam(const Options& o) : Optimizer(spec().write(o)) { NAdam::check(defaults()); }

const Signature& NAdam::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void NAdam::check(const Values& options) const {
  const Options o = spec().read(options);
  check_moments(o);
  check_not_negative("momentum_decay value", "momentum_decay", o.momentum_decay);
}

void NAdam::begin_group(const Values& options) { o_ = spec().read(options); }

void NAdam::init_state(const Tensor& param, State& state) const {
  state.tensors = {number_for(param, 1), filled_like(param, 0), filled_like(param, 0)};
}

void NAdam::update(const Tensor& param, const Tensor& grad, State& state) {
  const double t = static_cast<double>(state.step);
  const auto momentum = [&](double step) {
    return o_.betas[0].d * (1.0 - 0.5 * std::pow(0.96, step * o_.momentum_decay.d));
  };
  const double mu = momentum(t), next = momentum(t + 1);
  set_number(state.tensors[0], state.tensors[0].item().d * mu);
  const double product = state.tensors[0].item().d;
  MomentStep rule = moment_rule(o_);
  rule.grad_rate = o_.lr.d * (1.0 - mu) / (1.0 - product);
  rule.rate = o_.lr.d * next / (1.0 - product * next);
  rule.spread = 1 / std::sqrt(1 - std::pow(o_.betas[1].d, t));
  kernels::moment_step(param, grad, state.tensors[1], state.tensors[2], rule);
}

const Spec<RAdam::Options>& RAdam::spec() {
  static const auto s =
      Spec<Options>("RAdam", "Adam whose first steps are rectified")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(betas), "decay of the averages of the gradient and of its square")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(decoupled_weight_decay), "decay weights as AdamW does")
          .keyword_only()
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(differentiable), "not built");
  return s;
}

RAdam::RAdam(const Options& o) : Optimizer(spec().write(o)) { RAdam::check(defaults()); }

const Signature& RAdam::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void RAdam::check(const Values& options) const { check_moments(spec().read(options)); }

void RAdam::begin_group(const Values& options) { o_ = spec().read(options); }

void RAdam::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0), filled_like(param, 0)};
}

void RAdam::update(const Tensor& param, const Tensor& grad, State& state) {
  const double t = static_cast<double>(state.step), beta2 = o_.betas[1].d;
  const double correction2 = 1 - std::pow(beta2, t);
  // Lengths of the moving average that the second moment stands for: in the end, and now.
  const double most = 2 / (1 - beta2) - 1;
  const double now = most - 2 * t * std::pow(beta2, t) / correction2;
  MomentStep rule = moment_rule(o_);
  rule.rate = o_.lr.d / (1 - std::pow(o_.betas[0].d, t));
  rule.plain = now <= 5;
  if (!rule.plain) {
    const double rectified = (now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now);
    rule.rate *= std::sqrt(correction2) * std::sqrt(rectified);
  }
  kernels::moment_step(param, grad, state.tensors[0], state.tensors[1], rule);
}

NNM_REGISTER(Optimizer, NAdam);
NNM_REGISTER(Optimizer, RAdam);

}  // namespace nnm::optim
