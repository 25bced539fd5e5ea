// Losses of margins and of likelihoods. `reduction` is "mean", "sum" or "none"; size_average and
// reduce are PyTorch's deprecated ways to say the same.
#pragma once

#include "nnm/nn/layers/loss.h"
#include "nnm/nn/typed_forward.h"

namespace nnm::nn {

/// log(1 + exp(-target input)), target of 1 and -1.
class SoftMarginLoss : public Loss {
 public:
  using Options = ReductionOptions;
  NNM_LAYER(SoftMarginLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

struct MarginOptions {
  double margin = 0.0;
  std::optional<bool> size_average = {}, reduce = {};
  std::string reduction = "mean";
};

/// The input where the target is 1, what it lacks of the margin (1.0) where it is -1.
class HingeEmbeddingLoss : public Loss {
 public:
  struct Options {
    double margin = 1.0;
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(HingeEmbeddingLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// forward(input1, input2, target): max(0, -target (input1 - input2) + margin).
class MarginRankingLoss : public Module {
 public:
  using Options = MarginOptions;
  NNM_LAYER(MarginRankingLoss, 0);
  using Module::forward;
  Value forward(const Args& args) override;
};

/// forward(input1, input2, target): 1 - cos where the target is 1, else what cos exceeds the margin
/// by; cos of rows.
class CosineEmbeddingLoss : public Module {
 public:
  using Options = MarginOptions;
  NNM_LAYER(CosineEmbeddingLoss, 0);
  using Module::forward;
  Value forward(const Args& args) override;
};

/// forward(anchor, positive, negative): max(0, d(anchor, positive) - d(anchor, negative) + margin).
class TripletMarginLoss : public Module {
 public:
  struct Options {
    double margin = 1.0, p = 2.0, eps = 1e-6;
    bool swap = false;  ///< the nearer of anchor and positive to the negative counts
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(TripletMarginLoss, 0);
  using Module::forward;
  Value forward(const Args& args) override;
};

/// TripletMarginLoss of the distance that a module computes of two tensors; its default is
/// PairwiseDistance.
class TripletMarginWithDistanceLoss : public Module {
 public:
  struct Options {
    std::optional<Ref<Module>> distance_function = {};
    double margin = 1.0;
    bool swap = false;
    std::string reduction = "mean";
  };
  NNM_LAYER(TripletMarginWithDistanceLoss, 0);
  NNM_FORWARD(TripletMarginWithDistanceLoss, "anchor: Tensor, positive: Tensor, negative: Tensor");
  Tensor forward(const Tensor& anchor, const Tensor& positive, const Tensor& negative);
  Child<> distance_function;
};

/// By how much classes that are not in the target come near those that are, as
/// multilabel_margin_loss.
class MultiLabelMarginLoss : public Loss {
 public:
  using Options = ReductionOptions;
  NNM_LAYER(MultiLabelMarginLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// forward(log_probs, targets, input_lengths, target_lengths): minus the log-likelihood of label
/// sequences, as ctc_loss; lengths are tensors or integers.
class CTCLoss : public Module {
 public:
  struct Options {
    int64_t blank = 0;
    std::string reduction = "mean";
    bool zero_infinity = false;  ///< infinite losses, of inputs too short, count as zero
  };
  NNM_LAYER(CTCLoss, 0);
  NNM_FORWARD(CTCLoss, "log_probs: Tensor, targets: Tensor, input_lengths, target_lengths");
  Tensor forward(const Tensor& log_probs, const Tensor& targets, const Value& input_lengths,
                 const Value& target_lengths);
};

/// exp(input) - target input: Poisson's negative log-likelihood; `log_input` false takes rates.
class PoissonNLLLoss : public Loss {
 public:
  struct Options {
    bool log_input = true, full = false;
    std::optional<bool> size_average = {};
    double eps = 1e-8;
    std::optional<bool> reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(PoissonNLLLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
};

/// forward(input, target, var): a Gaussian's negative log-likelihood.
class GaussianNLLLoss : public Module {
 public:
  struct Options {
    bool full = false;
    double eps = 1e-6;
    std::string reduction = "mean";
  };
  NNM_LAYER(GaussianNLLLoss, 0);
  using Module::forward;
  Value forward(const Args& args) override;
};

/// The mean over classes of max(0, margin - input[target] + input)^p; `weight` is a buffer.
class MultiMarginLoss : public Loss {
 public:
  struct Options {
    int64_t p = 1;
    double margin = 1.0;
    std::optional<Tensor> weight = {};
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(MultiMarginLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  Buffer weight;
};

/// BCEWithLogitsLoss whose mean over the classes comes first; `weight` is a buffer.
class MultiLabelSoftMarginLoss : public Loss {
 public:
  struct Options {
    std::optional<Tensor> weight = {};
    std::optional<bool> size_average = {}, reduce = {};
    std::string reduction = "mean";
  };
  NNM_LAYER(MultiLabelSoftMarginLoss, 0);
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override;
  Buffer weight;
};

}  // namespace nnm::nn
