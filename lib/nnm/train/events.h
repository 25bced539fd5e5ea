// Events: what a run tells the world while it goes on.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/base/value.h"

namespace nnm::train {

/// Where a run stands: optimizer steps and whole epochs done, seconds since its start.
struct Moment {
  int64_t step = 0, epoch = 0;
  double seconds = 0;
};

/// Where it will end, if nothing ends it before: steps and seconds, 0 where unknown.
struct Goal {
  int64_t steps = 0;
  double seconds = 0;
  /// The share of the way that is done, 0 to 1; none where nothing is known.
  std::optional<double> share(const Moment& now) const;
  /// Seconds to go, at the speed since an earlier moment; none where that is not known yet.
  std::optional<double> seconds_left(const Moment& since, const Moment& now) const;
};

using Numbers = std::vector<std::pair<std::string, double>>;

struct StepEvent : Moment {
  double loss = 0, loss_mean = 0, lr = 0;
  std::optional<double> grad_norm;
  double samples_per_s = 0;
};

struct EvalEvent : Moment {
  /// What a log calls the parts of one, its metrics apart.
  static constexpr std::array kFields = {"event", "time", "step",    "epoch",
                                         "split", "loss", "samples", "seconds"};
  std::string split;
  double loss = 0;  ///< NaN where there is no loss
  Numbers metrics;
  int64_t samples = 0;
  double took = 0;  ///< seconds
};

struct CheckpointEvent : Moment {
  std::string path;
  int64_t bytes = 0;
  double took = 0;  ///< seconds
  bool best = false;
};

/// Why a run ended; the order is that of reason_name.
enum class Reason : uint8_t {
  max_epochs,
  max_steps,
  max_time,
  early_stop,
  signal,
  diverged,
  rule,
  error
};
const char* reason_name(Reason r);

struct EndEvent : Moment {
  Reason reason = Reason::max_steps;
  int exit_code = 0;
};

/// A sink of events. All members are optional; calls come from the training thread.
class Events {
 public:
  virtual ~Events() = default;
  virtual void step(const StepEvent& e) { (void)e; }
  /// After the last step of an epoch.
  virtual void epoch(const Moment& m) { (void)m; }
  virtual void eval(const EvalEvent& e) { (void)e; }
  virtual void checkpoint(const CheckpointEvent& e) { (void)e; }
  /// `start`, `warning`, `rule`, `hook`: an event with fields of its own.
  virtual void other(const std::string& kind, const Moment& m, const Items& fields) {
    (void)kind, (void)m, (void)fields;
  }
  /// A few times a second: for bars and status files.
  virtual void tick(const Moment& m, double loss) { (void)m, (void)loss; }
  virtual void end(const EndEvent& e) { (void)e; }
};

}  // namespace nnm::train
