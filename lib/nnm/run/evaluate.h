// evaluate and predict: a trained model over a split or over inputs.
#pragma once

#include <string>
#include <vector>

#include "nnm/run/session.h"
#include "nnm/train/events.h"

namespace nnm::run {

struct EvaluateOptions {
  std::string split;  ///< "": eval.split, else test, else val, else train
  int64_t batch = 0;  ///< 0: eval.batch, else that of the data
};
/// Loss and metrics of the session's model over a split.
train::EvalEvent evaluate(Session& session, const EvaluateOptions& options);

/// A condition such as `acc >= 0.97` on an evaluation's numbers. Throws Error(config) where it
/// names no metric; gives its truth.
bool assert_holds(const std::string& condition, const train::EvalEvent& result);

struct PredictOptions {
  std::string input;   ///< HDF5, CSV, npy, idx or an image
  std::string split;   ///< of the config's data, where there is no `input`
  std::string output;  ///< .h5, .npy or .csv
  int64_t batch = 0;
};
struct Prediction {
  int64_t samples = 0;
  std::vector<std::pair<std::string, Shape>> outputs;
};
/// Runs the model over all samples in order and writes one dataset per output. Throws Error(output)
/// before any work where the file cannot be made.
Prediction predict(Session& session, const PredictOptions& options);

}  // namespace nnm::run
