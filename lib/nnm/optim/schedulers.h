// The schedules of torch.optim.lr_scheduler, with PyTorch's arguments and numbers, and two that
// know the length of the run: warmup and cosine. Lengths are durations; `per` says what a bare
// number counts and how often the schedule steps (an optimizer step by default).
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "nnm/optim/schedule.h"

namespace nnm::optim {

/// A number for all parameter groups, or one for each.
struct PerGroup {
  std::vector<double> values = {0.0};
  bool single = true;
  PerGroup() = default;
  PerGroup(double v) : values{v} {}
  PerGroup(std::vector<double> v) : values(std::move(v)), single(false) {}
  double operator[](size_t group) const { return single ? values[0] : values[group]; }
};

/// lr *= gamma every step_size (torch StepLR).
class StepLR final : public Scheduler {
 public:
  struct Options {
    Duration step_size = {};
    double gamma = 0.1;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit StepLR(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;

 private:
  Options o_;
  int64_t step_size_ = 1;
};

/// lr *= gamma at each milestone (torch MultiStepLR).
class MultiStepLR final : public Scheduler {
 public:
  struct Options {
    std::vector<Duration> milestones = {};
    double gamma = 0.1;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit MultiStepLR(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;

 private:
  Options o_;
  std::vector<int64_t> milestones_;
};

/// lr * factor until total_iters, then lr (torch ConstantLR).
class ConstantLR final : public Scheduler {
 public:
  struct Options {
    double factor = 1.0 / 3;
    Duration total_iters = {5};
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  /// Throws BindError for a factor outside [0, 1].
  explicit ConstantLR(const Options& o);

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;
  std::optional<int64_t> duration() const override { return total_iters_; }

 private:
  Options o_;
  int64_t total_iters_ = 5;
};

/// From lr * start_factor to lr * end_factor in total_iters steps (torch LinearLR).
class LinearLR final : public Scheduler {
 public:
  struct Options {
    double start_factor = 1.0 / 3, end_factor = 1.0;
    Duration total_iters = {5};
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  /// Throws BindError for factors outside (0, 1] and [0, 1].
  explicit LinearLR(const Options& o);

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;
  std::optional<int64_t> duration() const override { return total_iters_; }

 private:
  Options o_;
  int64_t total_iters_ = 5;
};

/// lr *= gamma every step (torch ExponentialLR).
class ExponentialLR final : public Scheduler {
 public:
  struct Options {
    double gamma = 0;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit ExponentialLR(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;

 private:
  Options o_;
};

/// lr * (1 - t / total_iters)^power (torch PolynomialLR).
class PolynomialLR final : public Scheduler {
 public:
  struct Options {
    Duration total_iters = {5};
    double power = 1.0;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit PolynomialLR(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;
  std::optional<int64_t> duration() const override { return total_iters_; }

 private:
  Options o_;
  int64_t total_iters_ = 5;
};

/// Half a cosine from lr to eta_min in T_max steps, and back (torch CosineAnnealingLR; SGDR).
class CosineAnnealingLR final : public Scheduler {
 public:
  struct Options {
    Duration T_max = {};
    double eta_min = 0;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit CosineAnnealingLR(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  double closed_form(const ParamGroup& group) const override;
  std::optional<int64_t> duration() const override { return T_max_; }

 private:
  Options o_;
  int64_t T_max_ = 1;
};

/// Cosines of T_0, T_0 * T_mult, … steps, each from lr to eta_min (torch
/// CosineAnnealingWarmRestarts; SGDR).
class CosineAnnealingWarmRestarts final : public Scheduler {
 public:
  struct Options {
    Duration T_0 = {};
    int64_t T_mult = 1;
    double eta_min = 0;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  /// Throws BindError for a T_mult below 1.
  explicit CosineAnnealingWarmRestarts(const Options& o);

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;

 private:
  Options o_;
  int64_t T_0_ = 1;
};

/// Up to max_lr and down again over the whole run, momentum the other way (torch OneCycleLR;
/// Smith and Topin). Without total_steps or epochs * steps_per_epoch it takes the run's length.
class OneCycleLR final : public Scheduler {
 public:
  struct Options {
    PerGroup max_lr = {};
    std::optional<Duration> total_steps = {};
    std::optional<int64_t> epochs = {}, steps_per_epoch = {};
    double pct_start = 0.3;
    std::string anneal_strategy = "cos";
    bool cycle_momentum = true;
    PerGroup base_momentum = 0.85, max_momentum = 0.95;
    double div_factor = 25.0, final_div_factor = 1e4;
    bool three_phase = false;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  /// Throws BindError for arguments out of range.
  explicit OneCycleLR(const Options& o);

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  void apply() override;
  std::optional<int64_t> duration() const override { return total_steps_; }

 private:
  struct Phase {
    double end, lr_from, lr_to, momentum_from, momentum_to;
  };
  std::vector<Phase> phases(size_t group) const;
  double annealed(const Phase& p, double begin, bool momentum) const;
  double at_step(size_t group, bool momentum) const;

  Options o_;
  int64_t total_steps_ = 0;
};

/// Between base_lr and max_lr in triangles (torch CyclicLR; Smith).
class CyclicLR final : public Scheduler {
 public:
  struct Options {
    PerGroup base_lr = {}, max_lr = {};
    Duration step_size_up = {2000};
    std::optional<Duration> step_size_down = {};
    std::string mode = "triangular";
    double gamma = 1.0;
    bool cycle_momentum = true;
    PerGroup base_momentum = 0.8, max_momentum = 0.9;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit CyclicLR(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  void apply() override;

 private:
  double height() const;

  Options o_;
  double total_size_ = 0, step_ratio_ = 0;
};

/// lr *= factor when the metric has not improved for `patience` evaluations (torch
/// ReduceLROnPlateau).
class ReduceLROnPlateau final : public Scheduler {
 public:
  struct Options {
    std::string mode = "min";
    double factor = 0.1;
    int64_t patience = 10;
    double threshold = 1e-4;
    std::string threshold_mode = "rel";
    int64_t cooldown = 0;
    PerGroup min_lr = 0.0;
    double eps = 1e-8;
    std::string metric = "val.loss";
  };
  static const Spec<Options>& spec();
  /// Throws BindError for a factor of 1 or more.
  explicit ReduceLROnPlateau(const Options& o);
  void step() override {}
  std::string metric() const override { return o_.metric; }
  void step_metric(double value) override;
  Items state() const override;
  void load_state(const Items& state) override;

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override { return group.lr(); }

 private:
  bool better(double value) const;
  void reduce();

  Options o_;
  double best_ = 0;
  int64_t num_bad_epochs_ = 0, cooldown_counter_ = 0;
};

/// What a schedule of a function is given: one for all parameter groups, or one for each. It takes
/// the number of the step, or of what `per` counts.
struct RateFunctions {
  using Function = std::function<double(int64_t)>;
  std::vector<Function> functions;
  RateFunctions(Function f) : functions{std::move(f)} {}
  template <class F>
  requires std::is_invocable_r_v<double, F, int64_t> RateFunctions(F f) : functions{std::move(f)} {}
  RateFunctions(std::vector<Function> each) : functions(std::move(each)) {}
  /// Throws Error(value) where there are neither one nor as many as groups.
  void check(size_t groups) const;
  double at(size_t group, int64_t step) const {
    return functions[functions.size() == 1 ? 0 : group](step);
  }
};

/// The initial rate times a function of the step (torch LambdaLR). C++ alone has it: a config has
/// no functions of its own.
class LambdaLR final : public Scheduler {
 public:
  explicit LambdaLR(RateFunctions lr_lambda, std::optional<Duration> per = {})
      : Scheduler(per), lr_lambda_(std::move(lr_lambda)) {}

 protected:
  void prepare() override { lr_lambda_.check(optimizer().groups().size()); }
  double get_lr(const ParamGroup& group) const override {
    return group.initial_lr * lr_lambda_.at(index_of(group), last_epoch());
  }

 private:
  RateFunctions lr_lambda_;
};

/// lr *= a function of the step, from the first on (torch MultiplicativeLR).
class MultiplicativeLR final : public Scheduler {
 public:
  explicit MultiplicativeLR(RateFunctions lr_lambda, std::optional<Duration> per = {})
      : Scheduler(per), lr_lambda_(std::move(lr_lambda)) {}

 protected:
  void prepare() override { lr_lambda_.check(optimizer().groups().size()); }
  double get_lr(const ParamGroup& group) const override {
    return last_epoch() == 0 ? group.lr()
                             : group.lr() * lr_lambda_.at(index_of(group), last_epoch());
  }
  double closed_form(const ParamGroup& group) const override { return group.initial_lr; }

 private:
  RateFunctions lr_lambda_;
};

/// What is made of other schedules and steps them. `per` becomes that of those that have none.
class Composed : public Scheduler {
 public:
  Items state() const override;
  void load_state(const Items& state) override;

 protected:
  /// Throws Error(value) for no parts, and for a ReduceLROnPlateau among them; `name` is what the
  /// message calls the whole.
  Composed(const char* name, std::vector<Ref<Scheduler>> parts, std::optional<Duration> per);
  size_t parts() const { return parts_.size(); }
  Scheduler& part(size_t i) const { return *parts_[i]; }
  /// Tells a part of the optimizer, which has `begin` steps behind it when the part's turn comes.
  void bind_part(size_t i, int64_t begin = 0);
  /// Sets the part's rates: those that it has now, or those of its beginning `after_another`.
  void apply_part(size_t i, bool after_another = false);
  /// The part's length in optimizer steps, where it has one.
  std::optional<int64_t> length_of(size_t i) const;
  /// Counts the step itself, and says how many there were.
  int64_t count_step();
  int64_t optimizer_steps() const;
  /// A duration in this schedule's unit as optimizer steps, and back.
  int64_t as_steps(Duration d, const char* argument) const;
  int64_t in_own_unit(int64_t optimizer_steps) const;

 private:
  std::vector<Ref<Scheduler>> parts_;
};

/// One schedule after another, each from the groups' initial rates (torch SequentialLR). Schedule
/// i + 1 begins at milestone i; without milestones, where the one before it has done its work.
class SequentialLR final : public Composed {
 public:
  struct Options {
    std::vector<Ref<Scheduler>> schedulers;
    std::vector<Duration> milestones;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  /// Throws Error(value) unless there is one milestone less than schedules.
  explicit SequentialLR(const Options& o);
  /// The milestones are where schedules end, which all but the last must say.
  explicit SequentialLR(std::vector<Ref<Scheduler>> schedulers);
  void step() override;

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override { return group.lr(); }
  void apply() override;
  std::optional<int64_t> duration() const override;

 private:
  int64_t milestone(size_t i) const;
  size_t active() const;

  std::optional<std::vector<Duration>> given_;
  std::vector<int64_t> milestones_;  // in optimizer steps
};

/// All schedules at once, each on the rate that the one before it leaves (torch ChainedScheduler).
class ChainedScheduler final : public Composed {
 public:
  struct Options {
    std::vector<Ref<Scheduler>> schedulers;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit ChainedScheduler(const Options& o);
  void step() override;

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override { return group.lr(); }
  void apply() override;
  std::optional<int64_t> duration() const override;
};

/// lr * (t + 1) / length while t < length: the first step is not lost to a rate of zero, and lr is
/// reached at the last one.
class warmup final : public Scheduler {
 public:
  struct Options {
    Duration length = {};
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit warmup(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;
  std::optional<int64_t> duration() const override { return length_; }

 private:
  Options o_;
  int64_t length_ = 1;
};

/// Half a cosine from lr to lr * final over all that is left of the run: CosineAnnealingLR with
/// T_max and eta_min known.
class cosine final : public Scheduler {
 public:
  struct Options {
    double final = 0;
    std::optional<Duration> per = {};
  };
  static const Spec<Options>& spec();
  explicit cosine(const Options& o) : Scheduler(o.per), o_(o) {}

 protected:
  void prepare() override;
  double get_lr(const ParamGroup& group) const override;

 private:
  Options o_;
  int64_t total_ = 1;
};

}  // namespace nnm::optim

namespace nnm {
template <>
struct Codec<Ref<optim::Scheduler>> {
  static ArgType type() { return {}; }
  static Ref<optim::Scheduler> read(const Value& v) {
    auto* s = v.is(Value::Kind::object) ? dynamic_cast<optim::Scheduler*>(v.object()) : nullptr;
    NNM_CHECK(s, value, "expected a scheduler such as `LinearLR()`, got {}", v.config_text());
    return Ref<optim::Scheduler>(s);
  }
  static Value write(const Ref<optim::Scheduler>& s) { return Value(Value::Kind::object, s.get()); }
};
template <>
struct Codec<optim::PerGroup> {
  static ArgType type() { return {}; }
  static optim::PerGroup read(const Value& v) {
    if (!v.is_sequence()) return v.real();
    return Codec<std::vector<double>>::read(v);
  }
  static Value write(const optim::PerGroup& p) {
    return p.single ? Value(p.values[0]) : Codec<std::vector<double>>::write(p.values);
  }
};
}  // namespace nnm
