// Plan: what a config's `train:` section says, read and checked.
#pragma once

#include <optional>
#include <string>
#include <utility>
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
};

struct Clip {
  enum class Kind : uint8_t { none, norm, value };
  Kind kind = Kind::none;
  double limit = 0, norm_type = 2;
};

/// `patience(val.loss, 5 epochs)`: a run ends when its metric has not improved for so long.
struct Patience {
  std::string metric;  ///< "val.loss"
  Duration wait;
};

enum class NanPolicy : uint8_t { stop, skip, ignore };

/// `selector: options` of train.groups.
struct Group {
  lang::Located selector;
  Items options;
};

/// An expression and the name it goes by.
struct NamedExpr {
  std::string name;
  lang::Located code;
};

struct Plan {
  Max max;
  lang::Located loss;              ///< empty: the model's output named `loss`
  std::vector<NamedExpr> metrics;  ///< train.metrics, then those only eval.metrics has
  std::optional<lang::CallSpec> optimizer;
  std::vector<Group> groups;
  std::vector<lang::CallSpec> schedule;  ///< one after the other
  Clip clip;
  int64_t accumulate = 1;
  DType dtype = DType::f32;      ///< of parameters
  std::optional<double> ema;     ///< decay
  std::optional<Duration> eval;  ///< none: no evaluation while training
  std::string eval_split = "val";
  Duration log{50, Unit::step};
  Duration checkpoint{1, Unit::epoch};
  io::Retention keep;
  std::string keep_metric;  ///< what `best` goes by: "val.acc"; "" where nothing is evaluated
  std::optional<Patience> stop;
  NanPolicy nan = NanPolicy::stop;
  uint64_t seed = 0;
};

struct PlanOptions {
  std::string max;       ///< --max, in place of train.max
  std::string loss;      ///< --loss, in place of train.loss
  bool training = true;  ///< max and optimizer are required
  bool has_val = false;  ///< the data have the split that `eval` means by default
};

/// Reads `train:` and what of `eval:` belongs to it. Adds every error (E03xx, E04xx) to `d`, with
/// its place, and gives what could be read.
Plan read_plan(const lang::Config& config, const PlanOptions& options, Diagnostics& d);

/// Reads `10 epochs`, `5000 steps`, `2 h`, or a list of them, as `--max` is given. Throws
/// Error(config).
Max parse_max(const std::string& text);
/// Reads a length of time, as `--time-limit` is given: seconds. Throws Error(config).
double parse_seconds(const std::string& text);

/// How long the run will be. `batches`: micro-batches of an epoch, 0 where unknown.
optim::RunLength run_length(const Plan& plan, int64_t batches);

/// The optimizer with all parameters of the model in their groups, in the model's order: first
/// match wins, the rest takes the optimizer's own options. Adds errors to `d` (unknown names and
/// options, selectors that match nothing, frozen parameters only) and returns null then.
Ref<optim::Optimizer> make_optimizer(const Plan& plan, Module& model, Diagnostics& d);
/// The schedule, attached, or null where there is none. Adds errors to `d` and warnings where a
/// bare number looks like epochs.
Ref<optim::Scheduler> make_schedule(const Plan& plan, const Ref<optim::Optimizer>& optimizer,
                                    const optim::RunLength& length, Diagnostics& d);

}  // namespace nnm::train
