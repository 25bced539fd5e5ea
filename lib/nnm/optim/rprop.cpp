// Rprop (torch.optim.Rprop).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<Rprop::Options>& Rprop::spec() {
  static const auto s =
      Spec<Options>("Rprop", "steps by the sign of the gradient alone")
          .opt(NNM_ARG(lr), "the first step size")
          .opt(NNM_ARG(etas), "factors of the step size after a change of sign, and without")
          .opt(NNM_ARG(step_sizes), "the smallest and the largest step size")
          .keyword_only()
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(differentiable), "not built");
  return s;
}

Rprop::Rprop(const Options& o) : Optimizer(spec().write(o)) { Rprop::check(defaults()); }

const Signature& Rprop::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Rprop::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  if (!(0 < o.etas[0].d && o.etas[0].d < 1 && 1 < o.etas[1].d)) {
    throw BindError(
        fmt::format("Invalid eta values: {}, {}", Codec<Scalar>::write(o.etas[0]).repr(),
                    Codec<Scalar>::write(o.etas[1]).repr()),
        "", -1, "etas", ErrorKind::value);
  }
  check_implementation(o.foreach, {}, o.differentiable);
}

void Rprop::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = {.eta_minus = o.etas[0].d,
           .eta_plus = o.etas[1].d,
           .step_min = o.step_sizes[0].d,
           .step_max = o.step_sizes[1].d,
           .maximize = o.maximize};
  lr_ = o.lr.d;
}

void Rprop::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0), filled_like(param, lr_)};
}

void Rprop::update(const Tensor& param, const Tensor& grad, State& state) {
  kernels::rprop_step(param, grad, state.tensors[0], state.tensors[1], rule_);
}

NNM_REGISTER(Optimizer, Rprop);

}  // namespace nnm::optim
