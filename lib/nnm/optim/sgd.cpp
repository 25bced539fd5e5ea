// SGD with momentum (torch.optim.SGD).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<SGD::Options>& SGD::spec() {
  static const auto s =
      Spec<Options>("SGD", "stochastic gradient descent, with momentum if wanted")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(momentum), "momentum factor")
          .opt(NNM_ARG(dampening), "dampening for momentum")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(nesterov), "Nesterov momentum")
          .keyword_only()
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(differentiable), "not built")
          .opt(NNM_ARG(fused), "PyTorch's choice of implementation; without effect");
  return s;
}

SGD::SGD(const Options& o) : Optimizer(spec().write(o)) { SGD::check(defaults()); }

const Signature& SGD::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void SGD::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("momentum value", "momentum", o.momentum);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  NNM_CHECK(!o.nesterov || (o.momentum.d > 0 && o.dampening.d == 0), value,
            "Nesterov momentum requires a momentum and zero dampening");
  check_implementation(o.foreach, o.fused, o.differentiable);
}

void SGD::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = {.lr = o.lr.d,
           .momentum = o.momentum.d,
           .dampening = o.dampening.d,
           .weight_decay = o.weight_decay.d,
           .nesterov = o.nesterov,
           .maximize = o.maximize};
}

void SGD::init_state(const Tensor&, State& state) const { state.tensors.resize(1); }

void SGD::update(const Tensor& param, const Tensor& grad, State& state) {
  Tensor& buffer = state.tensors[0];
  const bool momentum = rule_.momentum != 0;
  // As in PyTorch, the buffer begins with the first gradient met while there is momentum.
  rule_.first = momentum && !buffer.defined();
  if (rule_.first) buffer = filled_like(param, 0);
  updates_.add(rule_, param, grad, momentum ? buffer : Tensor());
}

NNM_REGISTER(Optimizer, SGD);

}  // namespace nnm::optim
