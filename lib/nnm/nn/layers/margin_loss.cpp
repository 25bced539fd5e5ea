// Losses of margins and of likelihoods.
#include "nnm/nn/layers/margin_loss.h"

#include "nnm/nn/layers/distance.h"
#include "nnm/nn/layers/loss_options.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/margin_loss.h"

namespace nnm::nn {

namespace {

constexpr const char* kMargin = "how far apart is far enough";

Spec<MarginOptions> margin_spec(const char* name, const char* doc) {
  using Options = MarginOptions;
  return with_reduction(Spec<Options>(name, doc).opt(NNM_ARG(margin), kMargin));
}

const Signature& pair_and_target() {
  static const Signature s =
      Signature::parse("forward(input1: Tensor, input2: Tensor, target: Tensor)");
  return s;
}

}  // namespace

const Spec<ReductionOptions>& SoftMarginLoss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("SoftMarginLoss", "log(1 + exp(-target input))"));
  return s;
}
SoftMarginLoss::SoftMarginLoss(const Options& o) : options(modern_loss(o)) {}
Tensor SoftMarginLoss::forward(const Tensor& input, const Tensor& target) {
  return soft_margin_loss(input, target, options.reduction);
}
NNM_REGISTER(Module, SoftMarginLoss);

const Spec<HingeEmbeddingLoss::Options>& HingeEmbeddingLoss::spec() {
  static const auto s = with_reduction(
      Spec<Options>("HingeEmbeddingLoss", "a distance, or what it lacks of the margin")
          .opt(NNM_ARG(margin), kMargin));
  return s;
}
HingeEmbeddingLoss::HingeEmbeddingLoss(const Options& o) : options(modern_loss(o)) {}
Tensor HingeEmbeddingLoss::forward(const Tensor& input, const Tensor& target) {
  return hinge_embedding_loss(input, target, options.margin, options.reduction);
}
NNM_REGISTER(Module, HingeEmbeddingLoss);

const Spec<MarginOptions>& MarginRankingLoss::spec() {
  static const auto s = margin_spec("MarginRankingLoss", "which of two inputs is the larger one");
  return s;
}
MarginRankingLoss::MarginRankingLoss(const Options& o) : options(modern_loss(o)) {}
Value MarginRankingLoss::forward(const Args& args) {
  const Values a = forward_args(pair_and_target(), args);
  return margin_ranking_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(),
                             options.margin, options.reduction);
}
NNM_REGISTER(Module, MarginRankingLoss);

const Spec<MarginOptions>& CosineEmbeddingLoss::spec() {
  static const auto s = margin_spec("CosineEmbeddingLoss", "whether two inputs point the same way");
  return s;
}
CosineEmbeddingLoss::CosineEmbeddingLoss(const Options& o) : options(modern_loss(o)) {}
Value CosineEmbeddingLoss::forward(const Args& args) {
  const Values a = forward_args(pair_and_target(), args);
  return cosine_embedding_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(),
                               options.margin, options.reduction);
}
NNM_REGISTER(Module, CosineEmbeddingLoss);

const Spec<TripletMarginLoss::Options>& TripletMarginLoss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("TripletMarginLoss", "nearer to the positive than the negative")
                         .opt(NNM_ARG(margin), kMargin, above(0))
                         .opt(NNM_ARG(p), "exponent of the norm")
                         .opt(NNM_ARG(eps), "added to differences")
                         .opt(NNM_ARG(swap), "count the negative's nearer distance"));
  return s;
}
TripletMarginLoss::TripletMarginLoss(const Options& o) : options(modern_loss(o)) {
  NNM_CHECK(o.margin > 0, value,
            "TripletMarginLoss: expected margin to be greater than 0, got {} instead", o.margin);
}
Value TripletMarginLoss::forward(const Args& args) {
  static const Signature signature =
      Signature::parse("forward(anchor: Tensor, positive: Tensor, negative: Tensor)");
  const Values a = forward_args(signature, args);
  return triplet_margin_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(),
                             options.margin, options.p, options.eps, options.swap,
                             options.reduction);
}
NNM_REGISTER(Module, TripletMarginLoss);

const Spec<TripletMarginWithDistanceLoss::Options>& TripletMarginWithDistanceLoss::spec() {
  static const auto s =
      Spec<Options>("TripletMarginWithDistanceLoss", "TripletMarginLoss of any distance")
          .keyword_only()
          .opt(NNM_ARG(distance_function), "a layer of two tensors")
          .opt(NNM_ARG(margin), kMargin, above(0))
          .opt(NNM_ARG(swap), "count the negative's nearer distance")
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions());
  return s;
}
TripletMarginWithDistanceLoss::TripletMarginWithDistanceLoss(const Options& o) : options(o) {
  NNM_CHECK(o.margin > 0, value,
            "TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {} instead",
            o.margin);
  const bool given = o.distance_function && *o.distance_function;
  distance_function =
      register_module("distance_function",
                      given ? *o.distance_function : Ref<Module>(make_ref<PairwiseDistance>()));
}
Tensor TripletMarginWithDistanceLoss::forward(const Tensor& anchor, const Tensor& positive,
                                              const Tensor& negative) {
  const auto distance = [this](const Tensor& a, const Tensor& b) {
    return distance_function(Args{{a, b}, {}}).as<Tensor>();
  };
  return triplet_margin_with_distance_loss(anchor, positive, negative, distance, options.margin,
                                           options.swap, options.reduction);
}
NNM_REGISTER(Module, TripletMarginWithDistanceLoss);

const Spec<ReductionOptions>& MultiLabelMarginLoss::spec() {
  static const auto s = with_reduction(
      Spec<Options>("MultiLabelMarginLoss", "margins of all of the target's classes"));
  return s;
}
MultiLabelMarginLoss::MultiLabelMarginLoss(const Options& o) : options(modern_loss(o)) {}
Tensor MultiLabelMarginLoss::forward(const Tensor& input, const Tensor& target) {
  return multilabel_margin_loss(input, target, options.reduction);
}
NNM_REGISTER(Module, MultiLabelMarginLoss);

const Spec<CTCLoss::Options>& CTCLoss::spec() {
  static const auto s =
      Spec<Options>("CTCLoss", "likelihood of labels, whatever their alignment")
          .opt(NNM_ARG(blank), "the class that is no label", at_least(0))
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions())
          .opt(NNM_ARG(zero_infinity), "infinite losses count as zero");
  return s;
}
CTCLoss::CTCLoss(const Options& o) : options(o) {}
Tensor CTCLoss::forward(const Tensor& log_probs, const Tensor& targets, const Value& input_lengths,
                        const Value& target_lengths) {
  return ctc_loss(log_probs, targets, ctc_lengths(input_lengths), ctc_lengths(target_lengths),
                  options.blank, options.reduction, options.zero_infinity);
}
NNM_REGISTER(Module, CTCLoss);

const Spec<PoissonNLLLoss::Options>& PoissonNLLLoss::spec() {
  static const auto s =
      Spec<Options>("PoissonNLLLoss", "negative log-likelihood of counts")
          .opt(NNM_ARG(log_input), "inputs are logarithms of rates")
          .opt(NNM_ARG(full), "with Stirling's term")
          .opt(NNM_ARG(size_average), "deprecated, see reduction")
          .opt(NNM_ARG(eps), "added to rates")
          .opt(NNM_ARG(reduce), "deprecated, see reduction")
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions());
  return s;
}
PoissonNLLLoss::PoissonNLLLoss(const Options& o) : options(modern_loss(o)) {}
Tensor PoissonNLLLoss::forward(const Tensor& input, const Tensor& target) {
  return poisson_nll_loss(input, target, options.log_input, options.full, options.eps,
                          options.reduction);
}
NNM_REGISTER(Module, PoissonNLLLoss);

const Spec<GaussianNLLLoss::Options>& GaussianNLLLoss::spec() {
  static const auto s =
      Spec<Options>("GaussianNLLLoss", "negative log-likelihood of normal distributions")
          .opt(NNM_ARG(full), "with the constant")
          .opt(NNM_ARG(eps), "the least variance", above(0))
          .opt(NNM_ARG(reduction), "what becomes of the elements", loss_reductions());
  return s;
}
GaussianNLLLoss::GaussianNLLLoss(const Options& o) : options(o) {}
Value GaussianNLLLoss::forward(const Args& args) {
  static const Signature signature =
      Signature::parse("forward(input: Tensor, target: Tensor, var: Tensor)");
  const Values a = forward_args(signature, args);
  return gaussian_nll_loss(a[0].as<Tensor>(), a[1].as<Tensor>(), a[2].as<Tensor>(), options.full,
                           options.eps, options.reduction);
}
NNM_REGISTER(Module, GaussianNLLLoss);

const Spec<MultiMarginLoss::Options>& MultiMarginLoss::spec() {
  static const auto s =
      with_reduction(Spec<Options>("MultiMarginLoss", "margins of the target's class")
                         .opt(NNM_ARG(p), "exponent, 1 or 2", between(1, 2))
                         .opt(NNM_ARG(margin), kMargin)
                         .opt(NNM_ARG(weight), "one for each class"));
  return s;
}
MultiMarginLoss::MultiMarginLoss(const Options& o) : options(modern_loss(o)) {
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
}
Tensor MultiMarginLoss::forward(const Tensor& input, const Tensor& target) {
  return multi_margin_loss(input, target, options.p, options.margin, weight, options.reduction);
}
NNM_REGISTER(Module, MultiMarginLoss);

const Spec<MultiLabelSoftMarginLoss::Options>& MultiLabelSoftMarginLoss::spec() {
  static const auto s = with_reduction(
      Spec<Options>("MultiLabelSoftMarginLoss", "binary cross entropy, the mean over classes first")
          .opt(NNM_ARG(weight), "one for each class"));
  return s;
}
MultiLabelSoftMarginLoss::MultiLabelSoftMarginLoss(const Options& o) : options(modern_loss(o)) {
  weight = register_buffer("weight", o.weight.value_or(Tensor()));
}
Tensor MultiLabelSoftMarginLoss::forward(const Tensor& input, const Tensor& target) {
  return multilabel_soft_margin_loss(input, target, weight, options.reduction);
}
NNM_REGISTER(Module, MultiLabelSoftMarginLoss);

}  // namespace nnm::nn
