// Plan: what a config's `train:` section says, read and checked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"
#include "nnm/lang/config.h"
#include "nnm/lang/expression.h"
#include "nnm/optim/schedule.h"

namespace nnm::train {

using optim::Duration;

/// How far a run goes: the first that is reached. 0: no such limit.
struct Max {
  double epochs = 0, seconds = 0;
  int64_t steps = 0;
  bool trial = false;  ///< not what the file itself says, but --max, --set or a profile
};

struct Clip {
  enum class Kind : uint8_t { none, norm, value };
  Kind kind = Kind::none;
  double limit = 0, norm_type = 2;
};

/// A number that evaluations give, and which way it improves.
struct Target {
  std::string metric;  ///< "val.loss"; "" where there is none
  bool larger_is_better = false;
  bool better(double a, double than) const { return larger_is_better ? a > than : a < than; }
};

/// `patience(val.loss, 5 epochs)`: a run ends when its metric has not improved for so long. A bare
/// number counts evaluations.
struct Patience {
  Target target;
  Duration wait;
};

enum class NanPolicy : uint8_t { stop, skip, ignore };

/// `selector: options` of train.groups.
struct Group {
  lang::Located selector;
  Items options;
  std::vector<Span> places;  ///< of the options
};

/// An expression and the name it goes by.
struct NamedExpr {
  std::string name;
  lang::Located code;
};

struct Plan {
  Max max;
  lang::Located loss;  ///< empty: the model's output named `loss`
  std::vector<NamedExpr> metrics;
  std::optional<lang::CallSpec> optimizer;
  std::vector<Group> groups;
  std::vector<lang::CallSpec> schedule;  ///< one after the other
  Clip clip;
  int64_t accumulate = 1;
  DType dtype = DType::f32;       ///< of parameters
  std::optional<DType> autocast;  ///< of matrix products, convolutions and attention
  bool tf32 = false;              ///< on a GPU, of products and convolutions of f32
  std::optional<double> ema;      ///< decay
  std::optional<Duration> eval;   ///< none: no evaluation while training
  std::string eval_split = "val";
  Duration log{50, Unit::step};
  Duration checkpoint{1, Unit::epoch};
  io::Retention keep;
  Target best;  ///< what best.h5 and `keep: best(…)` go by
  std::optional<Patience> stop;
  NanPolicy nan = NanPolicy::stop;
  uint64_t seed = 0;
};

struct PlanOptions {
  std::string max;   ///< --max, in place of train.max
  std::string loss;  ///< --loss, in place of train.loss
  /// A run is to come: max and optimizer are required, and eval.metrics are not taken in.
  bool training = true;
  std::vector<std::string> splits;  ///< of the data
};

/// Reads `train:` and the top-level `eval:`. Adds every error (E03xx, E04xx) to `d`, with its
/// place, and gives what could be read.
Plan read_plan(const lang::Config& config, const PlanOptions& options, Diagnostics& d);

/// Reads a length of time, as `--time-limit` is given: seconds. Throws Error(config).
double parse_seconds(const std::string& text);

}  // namespace nnm::train
