// ASGD (torch.optim.ASGD).
#include <algorithm>
#include <cmath>

#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

const Spec<ASGD::Options>& ASGD::spec() {
  static const auto s =
      Spec<Options>("ASGD", "stochastic gradient descent that averages its way")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(lambd), "decay term")
          .opt(NNM_ARG(alpha), "power of the decay of the rate")
          .opt(NNM_ARG(t0), "when averaging begins")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(differentiable), "not built")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect");
  return s;
}

ASGD::ASGD(const Options& o) : Optimizer(spec().write(o)) { ASGD::check(defaults()); }

const Signature& ASGD::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void ASGD::check(const Values& options) const {
  const Options o = spec().read(options);
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_implementation(o.foreach, {}, o.differentiable);
}

void ASGD::begin_group(const Values& options) { o_ = spec().read(options); }

void ASGD::init_state(const Tensor& param, State& state) const {
  state.tensors = {number_for(param, o_.lr.d), number_for(param, 1), filled_like(param, 0)};
}

void ASGD::update(const Tensor& param, const Tensor& grad, State& state) {
  const Tensor &eta = state.tensors[0], &mu = state.tensors[1];
  kernels::asgd_step(param, grad, state.tensors[2],
                     {.eta = eta.item().d,
                      .lambd = o_.lambd.d,
                      .mu = mu.item().d,
                      .weight_decay = o_.weight_decay.d,
                      .maximize = o_.maximize});
  const double t = static_cast<double>(state.step);
  set_number(eta, o_.lr.d / std::pow(1 + o_.lambd.d * o_.lr.d * t, o_.alpha.d));
  set_number(mu, 1 / std::max(1.0, t - o_.t0.d));
}

NNM_REGISTER(Optimizer, ASGD);

}  // namespace nnm::optim
