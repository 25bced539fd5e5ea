// Metrics: functions of outputs and targets that evaluations report, and which way they improve.
#pragma once

#include <optional>
#include <string>

#include "nnm/lang/ast.h"
#include "nnm/tensor/tensor.h"

namespace nnm::train {

// Callable in configs by these names.

/// The share of samples whose largest of C scores (N, C, …) is at the target (N, …) of class
/// indices, or of scores (N, …) whose sign says what a target of 0 and 1 says; 0-d f32.
Tensor accuracy(const Tensor& input, const Tensor& target);
/// The share of samples whose target (N) is among the k largest of (N, C) scores.
Tensor top_k_accuracy(const Tensor& input, const Tensor& target, int64_t k = 5);

/// Whether larger is better, for an expression such as `accuracy(out, y)`: known by the function it
/// calls. None where that is not known.
std::optional<bool> larger_is_better(const lang::Expr& metric);

}  // namespace nnm::train
