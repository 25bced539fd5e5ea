// RMSprop (torch.optim.RMSprop).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<RMSprop::Options>& RMSprop::spec() {
  static const auto s =
      Spec<Options>("RMSprop", "steps scaled by a running root mean square of the gradient")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(alpha), "smoothing constant")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(momentum), "momentum factor")
          .opt(NNM_ARG(centered), "normalise by an estimate of the variance")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(differentiable), "not built");
  return s;
}

RMSprop::RMSprop(const Options& o) : Optimizer(spec().write(o)) { RMSprop::check(defaults()); }

const Signature& RMSprop::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void RMSprop::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("epsilon value", "eps", o.eps);
  check_not_negative("momentum value", "momentum", o.momentum);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_not_negative("alpha value", "alpha", o.alpha);
  check_implementation(o.foreach, {}, o.differentiable);
}

void RMSprop::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = {.lr = o.lr.d,
           .alpha = o.alpha.d,
           .eps = o.eps.d,
           .weight_decay = o.weight_decay.d,
           .momentum = o.momentum.d,
           .maximize = o.maximize};
  centered_ = o.centered;
}

void RMSprop::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0), Tensor(), Tensor()};
  if (rule_.momentum > 0) state.tensors[1] = filled_like(param, 0);
  if (centered_) state.tensors[2] = filled_like(param, 0);
}

void RMSprop::update(const Tensor& param, const Tensor& grad, State& state) {
  Tensor& buffer = state.tensors[1];
  if (rule_.momentum > 0 && !buffer.defined()) buffer = filled_like(param, 0);
  updates_.add(rule_, param, grad, state.tensors[0], centered_ ? state.tensors[2] : Tensor(),
               rule_.momentum > 0 ? buffer : Tensor());
}

NNM_REGISTER(Optimizer, RMSprop);

}  // namespace nnm::optim
