// Adam and AdamW (torch.optim.Adam, torch.optim.AdamW).
#include "nnm/optim/optimizers.h"
#include "nnm/optim/rule.h"

namespace nnm::optim {

void AdamBase::init_state(const Tensor& param, State& state) const {
  state.tensors = {filled_like(param, 0), filled_like(param, 0), Tensor()};
  if (amsgrad_) state.tensors[2] = filled_like(param, 0);
}

void AdamBase::update(const Tensor& param, const Tensor& grad, State& state) {
  Tensor& top = state.tensors[2];
  if (amsgrad_ && !top.defined()) top = filled_like(param, 0);
  rule_.step = state.step;
  updates_.add(rule_, param, grad, state.tensors[0], state.tensors[1], amsgrad_ ? top : Tensor());
}

namespace {

template <class Options>
void check_adam(const Options& o) {
  check_not_negative("learning rate", "lr", o.lr);
  check_not_negative("epsilon value", "eps", o.eps);
  check_betas(o.betas[0], o.betas[1]);
  check_not_negative("weight_decay value", "weight_decay", o.weight_decay);
  check_implementation(o.foreach, o.fused, o.differentiable);
}

template <class Options>
AdamStep adam_rule(const Options& o, bool decoupled) {
  return {.lr = o.lr.d,
          .beta1 = o.betas[0].d,
          .beta2 = o.betas[1].d,
          .eps = o.eps.d,
          .weight_decay = o.weight_decay.d,
          .decoupled = decoupled,
          .maximize = o.maximize};
}

}  // namespace

const Spec<Adam::Options>& Adam::spec() {
  static const auto s =
      Spec<Options>("Adam", "Adam: steps scaled by running moments of the gradient")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(betas), "decay of the averages of the gradient and of its square")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(weight_decay), "L2 penalty")
          .opt(NNM_ARG(amsgrad), "use the largest second moment so far")
          .keyword_only()
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(differentiable), "not built")
          .opt(NNM_ARG(fused), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(decoupled_weight_decay), "decay weights as AdamW does");
  return s;
}

Adam::Adam(const Options& o) : AdamBase(spec().write(o)) { Adam::check(defaults()); }

const Signature& Adam::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void Adam::check(const Values& options) const { check_adam(spec().read(options)); }

void Adam::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = adam_rule(o, o.decoupled_weight_decay);
  amsgrad_ = o.amsgrad;
}

const Spec<AdamW::Options>& AdamW::spec() {
  static const auto s =
      Spec<Options>("AdamW", "Adam with decoupled weight decay")
          .opt(NNM_ARG(lr), "learning rate")
          .opt(NNM_ARG(betas), "decay of the averages of the gradient and of its square")
          .opt(NNM_ARG(eps), "added to the denominator")
          .opt(NNM_ARG(weight_decay), "share of lr by which weights shrink in each step")
          .opt(NNM_ARG(amsgrad), "use the largest second moment so far")
          .keyword_only()
          .opt(NNM_ARG(maximize), "maximize the objective instead of minimizing it")
          .opt(NNM_ARG(foreach), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(capturable), "PyTorch's choice of implementation; without effect")
          .opt(NNM_ARG(differentiable), "not built")
          .opt(NNM_ARG(fused), "PyTorch's choice of implementation; without effect");
  return s;
}

AdamW::AdamW(const Options& o) : AdamBase(spec().write(o)) { AdamW::check(defaults()); }

const Signature& AdamW::signature() const {
  static const Signature s = spec().signature();
  return s;
}

void AdamW::check(const Values& options) const { check_adam(spec().read(options)); }

void AdamW::begin_group(const Values& options) {
  const Options o = spec().read(options);
  rule_ = adam_rule(o, true);
  amsgrad_ = o.amsgrad;
}

NNM_REGISTER(Optimizer, Adam);
NNM_REGISTER(Optimizer, AdamW);

}  // namespace nnm::optim
