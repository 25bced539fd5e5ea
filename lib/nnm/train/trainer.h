// Trainer: the loop of a training run.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nnm/train/evaluate.h"
#include "nnm/train/events.h"
#include "nnm/train/history.h"
#include "nnm/train/objective.h"

namespace nnm::train {

/// Something that takes part in every step: what trace, hooks and rules of a run attach as.
/// Micro-batches of one step have the same `step`: the one being taken, 0 for the first.
class Watcher {
 public:
  struct At {
    int64_t step = 0, epoch = 0, micro = 0;
  };
  virtual ~Watcher() = default;
  virtual void forward_begins(const At& at) { (void)at; }
  virtual void backward_done(const At& at) { (void)at; }
  /// After the optimizer's update. False asks the run to stop here (reason `rule`).
  virtual bool step_done(const At& at) {
    (void)at;
    return true;
  }
  /// Around evaluations, whose forwards are not steps.
  virtual void evaluation(bool begins) { (void)begins; }
};

/// What asks a run to do something from outside; set by signal handlers and other threads.
struct Control {
  std::atomic<int> signal{0};           ///< a signal that ends the run after its step
  std::atomic<bool> checkpoint{false};  ///< write one after the step and go on
  double time_limit = 0;                ///< seconds of this process's run; 0: none
  int64_t stop_after = 0;               ///< steps; 0: none
};

/// Where checkpoints go: the run's folder.
class Store {
 public:
  virtual ~Store() = default;
  /// Writes it with the config and provenance the store knows; `score` is that of Plan::keep.
  /// Returns path, bytes and best.
  virtual CheckpointEvent save(io::Checkpoint checkpoint, std::optional<double> score) = 0;
};

struct Outcome {
  Reason reason = Reason::max_steps;
  int exit_code = 0;
  Moment at;
  double loss = 0;  ///< mean since the last log
  std::vector<EvalEvent> last_eval;
  std::string message;  ///< of a divergence: the module where it began
};

class Trainer {
 public:
  struct Parts {
    Ref<Module> model;
    Objective* objective = nullptr;
    Ref<optim::Optimizer> optimizer;
    Ref<optim::Scheduler> schedule;  ///< null: constant rates
    data::Loader* data = nullptr;
    Evaluator* eval = nullptr;  ///< null: none
    Store* store = nullptr;     ///< null: no checkpoints
    std::vector<Events*> events;
    std::vector<Watcher*> watchers;
    Control* control = nullptr;
  };

  Trainer(const Plan& plan, Parts parts);

  /// Goes on from a checkpoint: weights, optimizer, schedule, ema, random numbers, the place in the
  /// data, history. Throws Error(input_file) where it does not fit.
  void resume(const io::Checkpoint& checkpoint);
  /// All of that as of now.
  io::Checkpoint snapshot() const;

  /// Until the plan's end, a stop, a signal or a divergence; every end leaves a checkpoint. At one
  /// step: optimizer, schedule, ema, log, evaluation, checkpoint, in this order.
  Outcome run();

  const History& history() const { return history_; }
  int64_t step() const { return step_; }
  /// Whether `log` and `eval` are due at a step, by the plan alone.
  int64_t total_steps() const { return total_steps_; }

 private:
  const Plan& plan_;
  Parts parts_;
  History history_;
  int64_t step_ = 0, total_steps_ = 0;
};

}  // namespace nnm::train
