// Check: everything that can be said of a config before data are read and memory is taken.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "nnm/data/data.h"
#include "nnm/lang/model.h"
#include "nnm/trace/hooks.h"
#include "nnm/train/objective.h"
#include "nnm/train/optimize.h"

namespace nnm::run {

struct CheckOptions {
  lang::InputShapes shapes;  ///< --shape
  std::string max, loss;     ///< --max, --loss
  /// Whose fields inputs and loss are bound to; "": train, else the first. With `evaluation`:
  /// eval.split, else test, else val, else train.
  std::string split;
  bool evaluation = false;
  /// A run is to come: train.max, an optimizer and a loss are required, and the forward that is
  /// checked is that of training.
  bool training = false;
  /// All that is to be said: of a config that says by what and how long it is trained as if a run
  /// were to come, and its forward in both modes.
  bool complete = false;
  /// A file whose headers tell the sizes that --shape does not, and how many samples of it are
  /// looked at as a batch (0: 64).
  std::string input;
  int64_t batch = 0;
  bool hooks = true;  ///< the config's hooks act, unless --no-hooks
  std::string rules;  ///< --fail-on: rules about tensors that stop, beside the config's hooks
  /// Where those that are about any tensor look, too: what is recorded.
  std::vector<tracing::HookRequest> recorded;
};

/// The code of the warning that data files cannot be read.
inline constexpr const char* kNoData = "W0441";

/// What a check finds, and what it made on the way for those who go on.
struct Checked {
  Diagnostics diagnostics;         ///< errors and warnings of all phases, with their places
  std::vector<std::string> notes;  ///< which sizes were probed
  lang::Model model;               ///< on meta; null where it cannot be built
  lang::ShapeReport shapes;
  train::Plan plan;
  std::unique_ptr<data::Data> data;  ///< null without a `data:` section
  std::string split;                 ///< the one that was bound
  /// Why the data's headers could not be read (a warning in `diagnostics`): what a run throws.
  std::exception_ptr data_error;
  train::Objective objective;
  /// What a run that meets the errors ends with: config, or input_file where the data's shapes are
  /// what does not fit the model, or files that data or expressions name cannot be read.
  ErrorKind kind = ErrorKind::config;
  std::vector<tracing::Hook> hooks;  ///< the enabled ones
};

/// Checks model, shapes, loss, metrics, data, optimizer, groups, schedule and the rest of a config
/// on the meta device; all independent errors at once. Data files are asked for their headers
/// alone, and may be missing; those that are there must fit. Sizes: `shapes`, then the data's (of
/// `input`, then of `data:`), then probes.
Checked check(const lang::Config& config, const CheckOptions& options = {});

}  // namespace nnm::run
