// Check: everything that can be said of a config before data are read and memory is taken.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nnm/lang/model.h"
#include "nnm/train/objective.h"
#include "nnm/train/plan.h"

namespace nnm::data {
class Dataset;
}

namespace nnm::run {

struct CheckOptions {
  lang::InputShapes shapes;  ///< --shape
  std::string max, loss;     ///< --max, --loss
  /// A run is to come: train.max, an optimizer, a loss and data are required. Else what is missing
  /// is left out, and data that do not exist are a warning.
  bool training = false;
};

/// What a check finds, and what it made on the way for those who go on.
struct Checked {
  Diagnostics diagnostics;         ///< errors and warnings, with their places
  std::vector<std::string> notes;  ///< sizes that were probed
  lang::Model model;               ///< on meta; null where it cannot be built
  lang::ShapeReport shapes;
  train::Plan plan;
  std::vector<train::Field> fields;  ///< of the data, empty where unknown
  train::Objective objective;
};

/// Checks model, shapes, loss, metrics, optimizer, groups, schedule and the rest of a config on the
/// meta device; all independent errors at once. Data files are asked for their headers alone.
Checked check(const lang::Config& config, const CheckOptions& options = {});

}  // namespace nnm::run
