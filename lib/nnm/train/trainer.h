// Trainer: the loop of a training run.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nnm/tensor/generator.h"
#include "nnm/train/ema.h"
#include "nnm/train/evaluate.h"
#include "nnm/train/events.h"
#include "nnm/train/history.h"
#include "nnm/train/kept_buffers.h"
#include "nnm/train/objective.h"
#include "nnm/train/optimize.h"
#include "nnm/train/repeated_step.h"

namespace nnm::train {

/// Something that takes part in every step: what traces, hooks and rules of a run attach as.
class Watcher {
 public:
  /// The step being taken (0 for the first), its epoch, and the micro-batch within it.
  struct At {
    int64_t step = 0, epoch = 0, micro = 0;
  };
  virtual ~Watcher() = default;
  virtual void forward_begins(const At& at) { (void)at; }
  /// Whether what this watcher's hooks do in a micro-batch may be recorded on a GPU and done again
  /// without calling them: a number, the same for steps in which they do the same. Nothing where
  /// they must be called. `accumulates`: the gradient is that of several micro-batches.
  virtual std::optional<uint64_t> repeats(const At& at, bool accumulates) const {
    (void)at, (void)accumulates;
    return std::nullopt;
  }
  /// The ids of these hooks, sorted.
  virtual std::vector<uint64_t> hooks() const { return {}; }
  /// Before one is recorded: waits for what a GPU has still to tell of earlier ones.
  virtual void settle() {}
  /// While a micro-batch of that number is recorded: after its forward, and after its backward.
  virtual void recorded(uint64_t number, bool backward) { (void)number, (void)backward; }
  /// Where hooks are not called, in their place, between forward_begins() and backward_done().
  /// `backward`: not in its forward alone, where the loss is not finite.
  virtual void repeated(uint64_t number, bool backward) { (void)number, (void)backward; }
  /// After the backward of a micro-batch, or in its place where the loss is not finite.
  virtual void backward_done(const At& at) { (void)at; }
  /// After the optimizer's update and the schedule; `loss` is the step's.
  virtual void step_done(const At& at, double loss) { (void)at, (void)loss; }
  /// Around evaluations, whose forwards are not those of steps.
  virtual void evaluation(bool begins) { (void)begins; }
  /// Before a checkpoint is written: what the watcher writes is as new as that.
  virtual void saving() {}
  /// Adds to a checkpoint what the watcher has to remember of the steps done …
  virtual void put(io::Checkpoint& checkpoint) const { (void)checkpoint; }
  /// … and takes it back in a run that goes on.
  virtual void take(const io::Checkpoint& checkpoint) { (void)checkpoint; }

  /// Asks the run to end (reason `rule`).
  struct Stop {
    int exit_code = 1;
    std::string message;
    bool at_once = false;  ///< before the update of the parameters: the step does not happen
  };
  /// Asked after each of the above.
  virtual std::optional<Stop> stop() const { return std::nullopt; }
  /// Whether a checkpoint is wished for after this step.
  virtual bool take_checkpoint() { return false; }
};

/// What asks a run to do something from outside: set by signal handlers and other threads.
struct Control {
  std::atomic<int> signal{0};           ///< a signal that ends the run after its step
  std::atomic<bool> checkpoint{false};  ///< write one after the step and go on
  double time_limit = 0;                ///< seconds of this process's part of the run; 0: none
  int64_t stop_after = 0;               ///< steps; 0: none
};

/// Where checkpoints go: the folder of the run.
class Store {
 public:
  virtual ~Store() = default;
  /// Writes it with the config and the provenance that the store knows. `score` is the newest
  /// value of Plan::best. Returns path, bytes and best.
  virtual CheckpointEvent save(io::Checkpoint checkpoint, std::optional<double> score) = 0;
};

struct Outcome {
  Reason reason = Reason::max_steps;
  int exit_code = 0;
  Moment at;
  /// Mean since the last step event, or of it; NaN before the first step.
  double loss = std::numeric_limits<double>::quiet_NaN();
  std::optional<EvalEvent> eval;  ///< the last one
  std::string message;            ///< of a divergence: where it began; of a rule: what it found
};

class Trainer {
 public:
  struct Parts {
    Ref<Module> model;
    Objective* objective = nullptr;
    Ref<optim::Optimizer> optimizer;
    Ref<optim::Scheduler> schedule;  ///< null: constant rates
    data::Loader* loader = nullptr;  ///< of the training split
    Evaluator* evaluator = nullptr;  ///< null: none
    Store* store = nullptr;          ///< null: no checkpoints
    std::vector<Events*> events;
    std::vector<Watcher*> watchers;
    Control* control = nullptr;  ///< null: none
  };

  /// All parts outlive the trainer.
  Trainer(const Plan& plan, Parts parts);

  /// Goes on from a checkpoint: weights, optimizer, schedule, averages, random numbers, place in
  /// the data, history. Throws Error(input_file) naming `from` where it does not fit.
  void resume(const io::Checkpoint& checkpoint, const std::string& from);
  /// All of that as of now, tensors shared.
  io::Checkpoint snapshot() const;

  /// Trains until the plan's end, a stop, a signal or a divergence; every end leaves a checkpoint.
  /// At one step: optimizer, schedule, averages, log, evaluation, checkpoint, in this order. What
  /// the model or the data throw passes through.
  Outcome run();

  const History& history() const { return history_; }
  /// The best value so far of Plan::best.
  std::optional<double> best() const {
    return best_.step < 0 ? std::nullopt : std::optional(best_.value);
  }
  /// Lets the run's clock stand at least there: events of before have told so.
  void not_before(double seconds) { earlier_seconds_ = std::max(earlier_seconds_, seconds); }
  int64_t step() const { return step_; }
  Moment now() const;
  /// What takes part; changed before run() alone.
  Parts& parts() { return parts_; }
  /// Steps of the whole run; 0: unknown, for a run that only time ends.
  int64_t total_steps() const { return total_steps_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Best {
    double value = 0;
    int64_t step = -1;  ///< -1: there is none yet
  };
  struct Wait {  ///< since the best evaluation, for patience
    double value = 0, seconds = 0;
    int64_t step = -1, micro = 0, evaluations = 0;
  };

  bool take_step();
  bool consult(bool at_once);
  double micro_batch(int64_t index);
  void forward_begins();
  RepeatedStep* find_repeated();
  RepeatedStep::Work work_of(uint64_t number);
  Tensor forward();
  data::Batch next_batch(const Tensors& into);
  void backward(const Tensor& loss);
  void clip();
  bool gradients_finite();
  void pass_over();
  void diverge(std::string message);
  void diverge_in_forward(double value);
  void after_step();
  void log_step(bool planned);
  void evaluate();
  void count_patience(double value);
  void save();
  void count_steps_left();
  /// Of the training split.
  const std::string& fingerprint() const;
  void recall_outcome();
  bool ended();
  void finish();
  void tick();

  /// `timer`: when a period in seconds was last over.
  bool due(const Duration& every, double& timer) const;
  int64_t position() const;
  double elapsed() const;
  template <class F>
  void tell(F&& f) const {
    for (Events* e : parts_.events) f(*e);
  }

  const Plan& plan_;
  Parts parts_;
  Tensors parameters_;
  std::optional<Ema> ema_;
  std::optional<KeptBuffers> buffers_;         // as they were before the step
  std::vector<std::string> masks_;             // buffers that were not finite at the start
  std::map<uint64_t, RepeatedStep> repeated_;  // by the hooks that are due in a step
  std::optional<bool> may_repeat_;
  History history_;
  int64_t batches_ = 0, total_steps_ = 0, most_micro_ = 0;  // of an epoch; of the run

  // Where the run is: what checkpoints keep.
  int64_t step_ = 0, micro_ = 0;  // micro-batches done
  double earlier_seconds_ = 0;    // of the parts of the run before this process
  double loss_sum_ = 0;           // since the last step event
  int64_t loss_count_ = 0;
  double logged_loss_ = std::numeric_limits<double>::quiet_NaN();  // the mean of that event
  Best best_;
  Wait wait_;
  mutable std::string fingerprint_;  // made when it is asked for

  // Of the step just taken, and of this process.
  int64_t first_step_ = 0, micro_before_ = 0, samples_ = 0;  // samples since the last step event
  double loss_ = 0, lr_ = 0;
  std::optional<double> grad_norm_;
  data::Batch batch_;
  Generator random_;     // before the micro-batch
  Watcher::At at_;       // the micro-batch
  uint64_t number_ = 0;  // of the hooks that are due in it
  bool begun_ = false;   // watchers know of it
  bool skip_ = false;
  Tensor share_;  // 1 / accumulate, what each micro-batch's backward starts from
  Clock::time_point began_ = Clock::now();
  double step_seconds_ = 0, logged_seconds_ = 0, ticked_seconds_ = 0;
  double log_timer_ = 0, eval_timer_ = 0, checkpoint_timer_ = 0;
  int64_t logged_step_ = -1, saved_step_ = -1;
  std::optional<double> score_;  // of an evaluation since the last checkpoint
  bool early_stop_ = false, diverged_ = false;
  std::optional<Watcher::Stop> rule_stop_;
  Outcome outcome_;
};

}  // namespace nnm::train
