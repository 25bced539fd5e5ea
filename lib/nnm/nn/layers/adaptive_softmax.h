// Softmax over very many classes, Grave et al. 2017.
#pragma once

#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/linear.h"
#include "nnm/nn/typed_forward.h"

namespace nnm::nn {

/// forward(input (N, in_features), target (N)) is (the targets' log-probabilities (N), their mean
/// loss); without N as well. Classes are sorted by how frequent they are: the head has those below
/// the first cutoff and one entry for each cluster of rarer ones, which the tail's layers take
/// apart.
class AdaptiveLogSoftmaxWithLoss : public Module {
 public:
  struct Options {
    int64_t in_features = 0, n_classes = 0;
    Sizes cutoffs = {};
    double div_value = 4.0;  ///< cluster i has in_features / div_value^(i + 1) features
    bool head_bias = false;
  };
  NNM_LAYER(AdaptiveLogSoftmaxWithLoss, 3);
  NNM_FORWARD(AdaptiveLogSoftmaxWithLoss, "input_: Tensor, target_: Tensor");
  Value forward(const Tensor& input, const Tensor& target);
  /// The log-probabilities of all classes: (N, n_classes).
  Tensor log_prob(const Tensor& input);
  /// The most likely class of each sample: (N).
  Tensor predict(const Tensor& input);

  Child<Linear> head;
  Child<ModuleList> tail;

 private:
  int64_t clusters() const { return static_cast<int64_t>(ends_.size()) - 1; }
  Tensor cluster(int64_t i, const Tensor& x);
  Tensor tail_log_prob(const Tensor& x, const Tensor& target);

  std::vector<int64_t> ends_;  ///< behind the head's own classes, and behind each cluster
};

}  // namespace nnm::nn
