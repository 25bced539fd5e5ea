// Adamax (torch.optim.Adamax).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<Adamax::Options>& Adamax::spec() {
  static const auto s =
      Spec<Options>("Adamax", "Adam with the infinity norm")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(betas), "decay of the average and of the norm")
          .opt(NNM_ARG(eps), "added to the gradient's size")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .keyword_only()
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(differentiable), "not built")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect");
  return s;
}

Adamax::Adamax(const Options& o) : Optimizer(spec().write(o)) { Adamax::check(defaults()); }

const Signature& Adamax::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Adamax::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("epsilon value", "eps", o.eps);
  check_betas(o.betas[0], o.betas[1]);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_implementation(o.foreach, {}, o.differentiable);
}

void Adamax::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = {.lr = o.lr.d,
           .beta1 = o.betas[0].d,
           .beta2 = o.betas[1].d,
           .eps = o.eps.d,
           .weight_decay = o.weight_decay.d,
           .maximize = o.maximize};
}

void Adamax::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0), filled_like(param, 0)};
}

void Adamax::update(const Tensor& param, const Tensor& grad, State& state) {
  rule_.step = state.step;
  kernels::adamax_step(param, grad, state.tensors[0], state.tensors[1], rule_);
}

NNM_REGISTER(Optimizer, Adamax);

}  // namespace nnm::optim
