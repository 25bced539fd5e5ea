// Losses: modules of (input, target). `reduction` is "mean", "sum" or "none"; size_average and
// reduce are PyTorch's deprecated ways to say the same.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// A loss; called with two tensors it returns a tensor.
///   Tensor loss = criterion(out, target);
class Loss : public Module {
 public:
  using Module::operator();
  Tensor operator()(const Tensor& input, const Tensor& target);
  using Module::forward;
  Value forward(const Args& args) override;
  virtual Tensor forward(const Tensor& input, const Tensor& target) = 0;
};

/// The options of losses without others.
struct ReductionOptions {
  std::optional<bool> size_average = {}, reduce = {};
  std::string reduction = "mean";
};

/// Mean of (input - target)^2.
class MSELoss : public Loss {
 public:
  using Options = ReductionOptions;
  NNM_LAYER(MSELoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// Mean of |input - target|.
class L1Loss : public Loss {
 public:
  using Options = ReductionOptions;
  NNM_LAYER(L1Loss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// Quadratic within beta of the target, linear outside.
class SmoothL1Loss : public Loss {
 public:
  struct Options {
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
    double beta = 1.0;
  };
  NNM_LAYER(SmoothL1Loss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// SmoothL1Loss times its delta.
class HuberLoss : public Loss {
 public:
  struct Options {
    std::string reduction = "mean";
    double delta = 1.0;
  };
  NNM_LAYER(HuberLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// Cross entropy of logits (N, C, …) with class indices (N, …), or with probabilities of the
/// input's shape. `weight` (C) weighs the classes and is a buffer.
class CrossEntropyLoss : public Loss {
 public:
  struct Options {
    std::optional<Tensor> weight = {};
    std::optional<bool> size_average = {};
    int64_t ignore_index = -100;
    std::optional<bool> reduce = {};
    std::string reduction = "mean";
    double label_smoothing = 0.0;
  };
  NNM_LAYER(CrossEntropyLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  Buffer weight;
};

/// The same of log-probabilities and class indices.
class NLLLoss : public Loss {
 public:
  struct Options {
    std::optional<Tensor> weight = {};
    std::optional<bool> size_average = {};
    int64_t ignore_index = -100;
    std::optional<bool> reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(NLLLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  Buffer weight;
};

/// Binary cross entropy of probabilities.
class BCELoss : public Loss {
 public:
  struct Options {
    std::optional<Tensor> weight = {};
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(BCELoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  Buffer weight;
};

/// Binary cross entropy of logits; pos_weight weighs the positive targets.
class BCEWithLogitsLoss : public Loss {
 public:
  struct Options {
    std::optional<Tensor> weight = {};
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
    std::optional<Tensor> pos_weight = {};
  };
  NNM_LAYER(BCEWithLogitsLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  Buffer weight, pos_weight;
};

/// target (log(target) - input), where input is log-probabilities; log_target: target is, too.
/// reduction may be "batchmean".
class KLDivLoss : public Loss {
 public:
  struct Options {
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
    bool log_target = false;
  };
  NNM_LAYER(KLDivLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

}  // namespace nnm::nn
