// Adagrad (torch.optim.Adagrad).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<Adagrad::Options>& Adagrad::spec() {
  static const auto s =
      Spec<Options>("Adagrad", "steps scaled by the sum of squared gradients")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(lr_decay), "decay of the learning rate")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(initial_accumulator_value), "what the sums begin with")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .keyword_only()
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(differentiable), "not built")
          .opt(NNM_ARG(fused), "PyTorch's choice of implementation; without effect");
  return s;
}

Adagrad::Adagrad(const Options& o) : Optimizer(spec().write(o)) { Adagrad::check(defaults()); }

const Signature& Adagrad::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Adagrad::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("lr_decay value", "lr_decay", o.lr_decay);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_not_negative("initial_accumulator_value value", "initial_accumulator_value",
                     o.initial_accumulator_value);
  check_not_negative("epsilon value", "eps", o.eps);
  check_implementation(o.foreach, o.fused, o.differentiable);
}

void Adagrad::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = {.lr = o.lr.d,
           .lr_decay = o.lr_decay.d,
           .weight_decay = o.weight_decay.d,
           .eps = o.eps.d,
           .maximize = o.maximize};
}

void Adagrad::init_state(const Tensor& param, State& state) const {
  // PyTorch takes the optimizer's own value, whatever the group says.
  state.tensors = {filled_like(param, spec().read(defaults()).initial_accumulator_value.d)};
}

void Adagrad::update(const Tensor& param, const Tensor& grad, State& state) {
  rule_.step = state.step;
  updates_.add(rule_, param, grad, state.tensors[0]);
}

NNM_REGISTER(Optimizer, Adagrad);

}  // namespace nnm::optim
