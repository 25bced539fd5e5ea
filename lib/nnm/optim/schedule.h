// Scheduler: learning rates over a run (torch.optim.lr_scheduler), in steps or epochs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nnm/optim/optimizer.h"

namespace nnm::optim {

/// A length as written: `500 steps`, `10 epochs`, or a bare number (Unit::none).
struct Duration {
  double amount = 0;
  Unit unit = Unit::none;
  friend bool operator==(const Duration&, const Duration&) = default;
};

/// What schedules know of the run. 0: unknown.
struct RunLength {
  double steps_per_epoch = 0;  ///< optimizer steps; a fraction where gradients are accumulated
  int64_t total_steps = 0;     ///< optimizer steps of the whole run
};

/// Base of the schedules. Made by Registry<Scheduler> from a call such as `StepLR(step_size=30
/// epochs)`. Then attach() once, then step() after every optimizer step; the scheduler itself
/// counts steps into its own unit (`per=1 epoch`).
class Scheduler : public Object {
 public:
  static constexpr const char* kRegistryKind = "scheduler";

  /// Binds the schedule to an optimizer whose groups are complete, and sets the rates of step 0.
  /// Throws Error(value) where it needs a length of the run that is unknown. To resume: attach,
  /// then Optimizer::load_state_dict, then load_state.
  void attach(Ref<Optimizer> optimizer, RunLength length);
  /// After every optimizer step. Steps the schedule as often as its `per` asks for.
  virtual void step();
  /// The metric whose evaluations this schedule follows ("val.loss"), empty for most.
  virtual std::string metric() const { return {}; }
  /// After every evaluation of metric().
  virtual void step_metric(double value) { (void)value; }

  /// The last rates set, one per group.
  std::vector<double> get_last_lr() const;
  /// Numbers for a checkpoint. Rates themselves are in the optimizer's state.
  virtual Items state() const;
  /// Throws Error(value) for a missing number.
  virtual void load_state(const Items& state);

 protected:
  explicit Scheduler(std::optional<Duration> per) : per_(per.value_or(Duration{1, Unit::step})) {}
  /// Reads durations with `steps()`; called by attach() before the first rates are set.
  virtual void prepare() {}
  /// The rate of a group at last_epoch(), from its present one (PyTorch's get_lr).
  virtual double get_lr(const ParamGroup& group) const = 0;
  /// The same from the initial rate alone: how a schedule begins after another one.
  virtual double closed_form(const ParamGroup& group) const { return get_lr(group); }
  /// Sets every group's options for last_epoch().
  virtual void apply();
  /// After how many steps of its own unit the schedule has done its work, where it knows.
  virtual std::optional<int64_t> duration() const { return {}; }

  /// A duration in the schedule's own unit: optimizer steps, or `per`'s. Rounds to whole ones;
  /// throws Error(value) below `least`, for a time, or where the run's epochs are not known.
  int64_t steps(Duration d, const char* argument, int64_t least = 1) const;
  /// The run's length in the schedule's own unit; throws Error(value) where it is unknown.
  int64_t total(const char* schedule) const;
  /// Calls of step() in the schedule's own unit: PyTorch's `last_epoch`.
  int64_t last_epoch() const { return last_epoch_; }
  Optimizer& optimizer() const { return *optimizer_; }
  /// The group's place in the optimizer.
  size_t index_of(const ParamGroup& group) const {
    return static_cast<size_t>(&group - optimizer_->groups().data());
  }

 private:
  friend class Composed;
  void bind(Ref<Optimizer> optimizer, RunLength length);
  /// Optimizer steps from one step of the schedule to the next.
  double per_steps() const;

  Ref<Optimizer> optimizer_;
  RunLength length_;
  Duration per_;
  bool after_another_ = false;
  int64_t optimizer_steps_ = 0, last_epoch_ = 0;
};

/// `a |> b |> c`: each schedule takes over where the one before it ends, starting from the groups'
/// initial rates (torch.optim.lr_scheduler.SequentialLR with the milestones known). All but the
/// last must have a length: `warmup`, LinearLR, ConstantLR, PolynomialLR, CosineAnnealingLR or
/// OneCycleLR. Throws Error(value) for ReduceLROnPlateau among them.
Ref<Scheduler> sequential(std::vector<Ref<Scheduler>> parts);

}  // namespace nnm::optim

namespace nnm {
template <>
struct Codec<optim::Duration> {
  static ArgType type() { return {.base = ArgType::Base::duration}; }
  static optim::Duration read(const Value& v) {
    if (v.is(Value::Kind::duration)) return {v.amount(), v.unit()};
    return {v.real(), Unit::none};
  }
  static Value write(const optim::Duration& d) {
    if (d.unit != Unit::none) return Value::duration(d.amount, d.unit);
    const auto whole = static_cast<int64_t>(d.amount);
    return static_cast<double>(whole) == d.amount ? Value(whole) : Value(d.amount);
  }
};
}  // namespace nnm
