// Distances of pairs of vectors: modules of (x1, x2).
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// x1 · x2 / (|x1| |x2|) along dim.
class CosineSimilarity : public Module {
 public:
  struct Options {
    int64_t dim = 1;
    double eps = 1e-8;
  };
  NNM_LAYER(CosineSimilarity, 0);
  using Module::forward;
  Value forward(const Args& args) override;
};

/// The p-norm of x1 - x2 + eps along the last dimension.
class PairwiseDistance : public Module {
 public:
  struct Options {
    double p = 2.0, eps = 1e-6;
    bool keepdim = false;
  };
  NNM_LAYER(PairwiseDistance, 0);
  using Module::forward;
  Value forward(const Args& args) override;
};

}  // namespace nnm::nn
