// Evaluator: loss and metrics of a model over a split.
#pragma once

#include <string>
#include <utility>

#include "nnm/ops/ops.h"
#include "nnm/train/events.h"
#include "nnm/train/objective.h"

namespace nnm::train {

/// Throws the error of a label outside of the classes anew, with its file and the number of its
/// sample there.
[[noreturn]] void throw_with_sample(const LabelError& e, const data::Loader& loader,
                                    const data::Batch& batch);

class Evaluator {
 public:
  /// `loader` gives the objective's fields.
  Evaluator(data::Loader& loader, std::string split) : loader_(loader), split_(std::move(split)) {}

  /// The mean over all samples of loss and metrics, in eval mode without gradients. Leaves the
  /// model's mode and the default generator as they were, so that a run's numbers do not depend on
  /// when it is evaluated. Throws what the model throws.
  EvalEvent run(Module& model, Objective& objective);
  const std::string& split() const { return split_; }

 private:
  data::Loader& loader_;
  std::string split_;
};

}  // namespace nnm::train
