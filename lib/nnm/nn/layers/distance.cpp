// Distances of pairs of vectors.
#include "nnm/nn/layers/distance.h"

#include "nnm/ops/ops.h"

namespace nnm::nn {

namespace {

const Signature& two_inputs() {
  static const Signature signature = Signature::parse("forward(x1: Tensor, x2: Tensor)");
  return signature;
}

}  // namespace

const Spec<CosineSimilarity::Options>& CosineSimilarity::spec() {
  static const auto s = Spec<Options>("CosineSimilarity", "cosine of the angle of two vectors")
                            .opt(NNM_ARG(dim), "dimension of the vectors")
                            .opt(NNM_ARG(eps), "the least that norms count");
  return s;
}

CosineSimilarity::CosineSimilarity(const Options& o) : options(o) {}

Value CosineSimilarity::forward(const Args& args) {
  const Values a = forward_args(two_inputs(), args);
  return cosine_similarity(a[0].as<Tensor>(), a[1].as<Tensor>(), options.dim, options.eps);
}

NNM_REGISTER(Module, CosineSimilarity);

const Spec<PairwiseDistance::Options>& PairwiseDistance::spec() {
  static const auto s = Spec<Options>("PairwiseDistance", "norm of the difference of two vectors")
                            .opt(NNM_ARG(p), "exponent of the norm")
                            .opt(NNM_ARG(eps), "added to the difference")
                            .opt(NNM_ARG(keepdim), "keep the dimension, with extent 1");
  return s;
}

PairwiseDistance::PairwiseDistance(const Options& o) : options(o) {}

Value PairwiseDistance::forward(const Args& args) {
  const Values a = forward_args(two_inputs(), args);
  return pairwise_distance(a[0].as<Tensor>(), a[1].as<Tensor>(), options.p, options.eps,
                           options.keepdim);
}

NNM_REGISTER(Module, PairwiseDistance);

}  // namespace nnm::nn
