// Losses.
#include "nnm/nn/layers/loss.h"

#include "nnm/nn/layers/loss_options.h"
#include "nnm/ops/ops.h"

namespace nnm::nn {

Tensor Loss::operator()(const Tensor& input, const Tensor& target) {
  return output_tensor((*this)(Args{{input, target}, {}}));
}

Value Loss::forward(const Args& args) {
  static const Signature signature = Signature::parse("forward(input: Tensor, target: Tensor)");
  const Values a = forward_args(signature, args);
  return forward(a[0].as<Tensor>(), a[1].as<Tensor>());
}

const Spec<ReductionOptions>& MSELoss::spec() {
  static const auto s = with_reduction(Spec<Options>("MSELoss", "(input - target)^2"));
  return s;
}
MSELoss::MSELoss(const Options& o) : options(modern_loss(o)) {}
Tensor MSELoss::forward(const Tensor& input, const Tensor& target) {
  return mse_loss(input, target, options.reduction);
}
NNM_REGISTER(Module, MSELoss);

const Spec<ReductionOptions>& L1Loss::spec() {
  static const auto s = with_reduction(Spec<Options>("L1Loss", "|input - target|"));
  return s;
}
L1Loss::L1Loss(const Options& o) : options(modern_loss(o)) {}
Tensor L1Loss::forward(const Tensor& input, const Tensor& target) {
  return l1_loss(input, target, options.reduction);
}
NNM_REGISTER(Module, L1Loss);

const Spec<SmoothL1Loss::Options>& SmoothL1Loss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("SmoothL1Loss", "quadratic within beta, linear outside"))
          .opt(NNM_ARG(beta), "where the two meet", at_least(0));
  return s;
}
SmoothL1Loss::SmoothL1Loss(const Options& o) : options(modern_loss(o)) {}
Tensor SmoothL1Loss::forward(const Tensor& input, const Tensor& target) {
  return smooth_l1_loss(input, target, options.reduction, options.beta);
}
NNM_REGISTER(Module, SmoothL1Loss);

const Spec<HuberLoss::Options>& HuberLoss::spec() {
  static const auto s =
      Spec<Options>("HuberLoss", "quadratic within delta, linear outside")
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions())
          .opt(NNM_ARG(delta), "where the two meet", above(0));
  return s;
}
HuberLoss::HuberLoss(const Options& o) : options(o) {}
Tensor HuberLoss::forward(const Tensor& input, const Tensor& target) {
  return huber_loss(input, target, options.reduction, options.delta);
}
NNM_REGISTER(Module, HuberLoss);

const Spec<CrossEntropyLoss::Options>& CrossEntropyLoss::spec() {
  static const auto s =
      Spec<Options>("CrossEntropyLoss", "cross entropy of logits with classes")
          .opt(NNM_ARG(weight), "one for each class")
          .opt(NNM_ARG(size_average), "deprecated, see reduction")
          .opt(NNM_ARG(ignore_index), "the target that does not count")
          .opt(NNM_ARG(reduce), "deprecated, see reduction")
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions())
          .opt(NNM_ARG(label_smoothing), "share spread over all classes", between(0, 1));
  return s;
}
CrossEntropyLoss::CrossEntropyLoss(const Options& o) : options(modern_loss(o)) {
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
}
Tensor CrossEntropyLoss::forward(const Tensor& input, const Tensor& target) {
  return cross_entropy(input, target, weight, options.ignore_index, options.reduction,
                       options.label_smoothing);
}
NNM_REGISTER(Module, CrossEntropyLoss);

const Spec<NLLLoss::Options>& NLLLoss::spec() {
  static const auto s =
      Spec<Options>("NLLLoss", "negative log-likelihood of classes")
          .opt(NNM_ARG(weight), "one for each class")
          .opt(NNM_ARG(size_average), "deprecated, see reduction")
          .opt(NNM_ARG(ignore_index), "the target that does not count")
          .opt(NNM_ARG(reduce), "deprecated, see reduction")
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions());
  return s;
}
NLLLoss::NLLLoss(const Options& o) : options(modern_loss(o)) {
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
}
Tensor NLLLoss::forward(const Tensor& input, const Tensor& target) {
  return nll_loss(input, target, weight, options.ignore_index, options.reduction);
}
NNM_REGISTER(Module, NLLLoss);

const Spec<BCELoss::Options>& BCELoss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("BCELoss", "binary cross entropy of probabilities")
                         .opt(NNM_ARG(weight), "one for each element"));
  return s;
}
BCELoss::BCELoss(const Options& o) : options(modern_loss(o)) {
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
}
Tensor BCELoss::forward(const Tensor& input, const Tensor& target) {
  return binary_cross_entropy(input, target, weight, options.reduction);
}
NNM_REGISTER(Module, BCELoss);

const Spec<BCEWithLogitsLoss::Options>& BCEWithLogitsLoss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("BCEWithLogitsLoss", "binary cross entropy of logits")
                         .opt(NNM_ARG(weight), "one for each element"))
          .opt(NNM_ARG(pos_weight), "weight of positive targets, one for each class");
  return s;
}
BCEWithLogitsLoss::BCEWithLogitsLoss(const Options& o) : options(modern_loss(o)) {
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
  pos_weight = register_buffer("pos_weight", o.pos_weight.value_or(Tensor()));
}
Tensor BCEWithLogitsLoss::forward(const Tensor& input, const Tensor& target) {
  return binary_cross_entropy_with_logits(input, target, weight, options.reduction, pos_weight);
}
NNM_REGISTER(Module, BCEWithLogitsLoss);

const Spec<KLDivLoss::Options>& KLDivLoss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("KLDivLoss", "Kullback-Leibler divergence of distributions"),
                     one_of({"none", "mean", "sum", "batchmean"}))
          .opt(NNM_ARG(log_target), "targets are logarithms, too");
  return s;
}
KLDivLoss::KLDivLoss(const Options& o) : options(modern_loss(o)) {}
Tensor KLDivLoss::forward(const Tensor& input, const Tensor& target) {
  return kl_div(input, target, options.reduction, options.log_target);
}
NNM_REGISTER(Module, KLDivLoss);

}  // namespace nnm::nn
