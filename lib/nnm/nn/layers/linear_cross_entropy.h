// A linear layer and the cross entropy of what it says, in one.
#pragma once

#include "nnm/nn/layers/linear.h"
#include "nnm/nn/layers/loss.h"

namespace nnm::nn {

/// forward(input (N, in_features), target) is the cross entropy of logits (N, num_classes,
/// *out_features) that its child `linear` makes, whose weight is (num_classes * prod(out_features),
/// in_features); without N as well where there are no out_features. The target holds class indices
/// (N, *out_features), or probabilities of the logits' shape.
class LinearCrossEntropyLoss : public Loss {
 public:
  struct Options {
    int64_t in_features = 0, num_classes = 0;
    Sizes out_features = {};
    bool bias = false;
    std::string reduction = "mean";
    std::optional<Tensor> weight = {};
    std::optional<int64_t> ignore_index = {};
    double label_smoothing = 0.0;
  };
  NNM_LAYER(LinearCrossEntropyLoss, 2);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  std::string extra_repr() const override;
  Buffer weight;
  Child<Linear> linear;
};

}  // namespace nnm::nn
