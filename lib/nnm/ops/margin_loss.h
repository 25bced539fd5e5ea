// Losses made of other functions: margins, and likelihoods of Poisson's and Gauss's distributions.
// `reduction` is "mean", "sum" or "none".
#pragma once

#include <functional>
#include <string>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// log(1 + exp(-target input)), target of 1 and -1.
Tensor soft_margin_loss(const Tensor& input, const Tensor& target,
                        const std::string& reduction = "mean");
/// input where the target is 1, max(0, margin - input) where it is -1.
Tensor hinge_embedding_loss(const Tensor& input, const Tensor& target, double margin = 1,
                            const std::string& reduction = "mean");
/// max(0, -target (input1 - input2) + margin).
Tensor margin_ranking_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                           double margin = 0, const std::string& reduction = "mean");
/// 1 - cos where the target is 1, max(0, cos - margin) where it is -1; cos of rows.
Tensor cosine_embedding_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                             double margin = 0, const std::string& reduction = "mean");
/// max(0, d(anchor, positive) - d(anchor, negative) + margin) of p-norms; `swap`: the nearer of
/// anchor and positive to the negative counts.
Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           double margin = 1, double p = 2, double eps = 1e-6, bool swap = false,
                           const std::string& reduction = "mean");
/// The same of any distance; undefined is pairwise_distance.
using DistanceFunction = std::function<Tensor(const Tensor&, const Tensor&)>;
Tensor triplet_margin_with_distance_loss(const Tensor& anchor, const Tensor& positive,
                                         const Tensor& negative,
                                         const DistanceFunction& distance_function = {},
                                         double margin = 1, bool swap = false,
                                         const std::string& reduction = "mean");
/// exp(input) - target input, or input - target log(input + eps); `full`: Stirling's term as well.
Tensor poisson_nll_loss(const Tensor& input, const Tensor& target, bool log_input = true,
                        bool full = false, double eps = 1e-8,
                        const std::string& reduction = "mean");
/// (log(var) + (input - target)² / var) / 2, var at least eps; `full`: with the constant.
Tensor gaussian_nll_loss(const Tensor& input, const Tensor& target, const Tensor& var,
                         bool full = false, double eps = 1e-6,
                         const std::string& reduction = "mean");
/// The mean over the classes of max(0, margin - input[target] + input)^p, without the target's own;
/// input (N, C) or (C), p 1 or 2.
Tensor multi_margin_loss(const Tensor& input, const Tensor& target, int64_t p = 1,
                         double margin = 1, const Tensor& weight = {},
                         const std::string& reduction = "mean");
/// The sum over pairs of a class in the target and one that is not of max(0, 1 - (input[one] -
/// input[other])), by the number of classes; input and target (N, C) or (C), the target's classes
/// end where the first negative number stands.
Tensor multilabel_margin_loss(const Tensor& input, const Tensor& target,
                              const std::string& reduction = "mean");
/// The mean over the classes of binary_cross_entropy_with_logits, each class by itself.
Tensor multilabel_soft_margin_loss(const Tensor& input, const Tensor& target,
                                   const Tensor& weight = {},
                                   const std::string& reduction = "mean");

}  // namespace nnm
