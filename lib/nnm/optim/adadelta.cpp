// Adadelta (torch.optim.Adadelta).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<Adadelta::Options>& Adadelta::spec() {
  static const auto s =
      Spec<Options>("Adadelta", "steps scaled by the ratio of two running squares")
          .opt(NNM_ARG(lr), "factor of the step")
          .opt(NNM_ARG(rho), "decay of both averages")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .keyword_only()
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(differentiable), "not built");
  return s;
}

Adadelta::Adadelta(const Options& o) : Optimizer(spec().write(o)) { Adadelta::check(defaults()); }

const Signature& Adadelta::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Adadelta::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  check_option(o.rho.d >= 0 && o.rho.d <= 1, "rho value", "rho", o.rho);
  check_not_negative("epsilon value", "eps", o.eps);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_implementation(o.foreach, {}, o.differentiable);
}

void Adadelta::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = {.lr = o.lr.d,
           .rho = o.rho.d,
           .eps = o.eps.d,
           .weight_decay = o.weight_decay.d,
           .maximize = o.maximize};
}

void Adadelta::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0), filled_like(param, 0)};
}

void Adadelta::update(const Tensor& param, const Tensor& grad, State& state) {
  kernels::adadelta_step(param, grad, state.tensors[0], state.tensors[1], rule_);
}

NNM_REGISTER(Optimizer, Adadelta);

}  // namespace nnm::optim
