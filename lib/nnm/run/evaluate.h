// evaluate and predict: a trained model over a split or over inputs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/expression.h"
#include "nnm/run/session.h"
#include "nnm/train/events.h"

namespace nnm::run {

/// Loss and metrics of the session's model over the split its check bound
/// (CheckOptions::evaluation). `batch` 0: eval.batch, else that of the data. Throws Error(config)
/// where there is neither loss nor metric.
train::EvalEvent evaluate(Session& session, int64_t batch = 0);

/// Conditions such as `acc >= 0.97` or `val.acc >= 0.97` on the loss and metrics of a split.
class Conditions {
 public:
  /// Throws DiagnosticError where one reads anything but `loss` and these metrics, Error(config)
  /// where one is no comparison.
  Conditions(const std::vector<std::string>& texts, std::vector<std::string> metrics,
             const std::string& split);
  /// Those that are not true of an evaluation with the same metrics.
  std::vector<std::string> failed(const train::EvalEvent& result) const;

 private:
  std::vector<std::string> names_;
  std::vector<std::pair<std::string, lang::Expression>> conditions_;
};

struct PredictOptions {
  std::string input;     ///< --input (input.h); "": the split its check bound
  std::string output;    ///< .h5, .npy or .csv
  int64_t batch = 0;     ///< 0: that of the data
  bool dry_run = false;  ///< up to where the work begins
};
struct Prediction {
  int64_t samples = 0;  ///< none in a dry run
  std::vector<std::pair<std::string, Shape>> outputs;
};
/// Runs the model in eval mode over all samples in order and writes one dataset per named output
/// (`out` for the only one, `0`, `1` … for those of a tuple), float32 unless it is integer or bool.
/// CSV and npy hold a single output. Throws Error(output) before any work where the file cannot be
/// made.
Prediction predict(Session& session, const PredictOptions& options);

}  // namespace nnm::run
