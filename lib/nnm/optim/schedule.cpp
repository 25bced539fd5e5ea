// Scheduler: counting steps in a schedule's own unit, and one schedule after another.
#include "nnm/optim/schedule.h"

#include <algorithm>
#include <cmath>

namespace nnm::optim {

namespace {

int64_t number(const Items& items, const std::string& key) {
  for (const auto& [name, value] : items) {
    if (name == key) return value.integer();
  }
  fail(ErrorKind::value, "the scheduler's state has no `{}`", key);
}

}  // namespace

double Scheduler::per_steps() const {
  if (per_.unit != Unit::epoch) return per_.amount;
  NNM_CHECK(length_.steps_per_epoch > 0, value,
            "`per={}`: the number of steps in an epoch is not known",
            duration_text(per_.amount, per_.unit));
  return per_.amount * length_.steps_per_epoch;
}

int64_t Scheduler::steps(Duration d, const char* argument, int64_t least) const {
  const std::string text = Codec<Duration>::write(d).config_text();
  double n = d.amount;
  if (d.unit == Unit::second) {
    fail(ErrorKind::value, "`{}`: a schedule counts steps or epochs, not time, got {}", argument,
         text);
  } else if (d.unit == Unit::step) {
    n /= per_steps();
  } else if (d.unit == Unit::epoch && per_.unit == Unit::epoch) {
    n /= per_.amount;
  } else if (d.unit == Unit::epoch) {
    NNM_CHECK(length_.steps_per_epoch > 0, value,
              "`{}`: the number of steps in an epoch is not known", argument);
    n *= length_.steps_per_epoch / per_steps();
  } else {
    NNM_CHECK(n == std::floor(n), value, "`{}`: expected a whole number, got {}", argument, text);
  }
  NNM_CHECK(n < 9e15, value, "`{}`: too long: {}", argument, text);
  NNM_CHECK(std::llround(n) >= least, value, "`{}`: must be at least {} step{}, got {}", argument,
            least, least == 1 ? "" : "s", text);
  return std::llround(n);
}

int64_t Scheduler::total(const char* schedule) const {
  if (length_.total_steps <= 0) {
    throw Error(ErrorKind::value,
                fmt::format("{} needs the length of the run, which is not known", schedule),
                "give `max` in steps or epochs");
  }
  const double n = static_cast<double>(length_.total_steps) / per_steps();
  return std::max<int64_t>(1, std::llround(n));
}

void Scheduler::bind(Ref<Optimizer> optimizer, RunLength length) {
  NNM_CHECK(per_.unit != Unit::second && per_.amount > 0, value,
            "`per`: must be a positive number of steps or epochs, got {}",
            Codec<Duration>::write(per_).config_text());
  optimizer_ = std::move(optimizer);
  length_ = length;
  (void)per_steps();  // throws where epochs have no length, before the first step
  optimizer_steps_ = last_epoch_ = 0;
  prepare();
}

void Scheduler::attach(Ref<Optimizer> optimizer, RunLength length) {
  bind(std::move(optimizer), length);
  apply();
}

void Scheduler::apply() {
  for (ParamGroup& group : optimizer_->groups()) {
    group.set_lr(after_another_ ? closed_form(group) : get_lr(group));
  }
}

void Scheduler::step() {
  ++optimizer_steps_;
  // Epochs may end between two steps; the factor forgives what rounding does to their lengths.
  const double due = static_cast<double>(optimizer_steps_) / per_steps() * (1 + 1e-12);
  while (static_cast<double>(last_epoch_ + 1) <= due) {
    ++last_epoch_;
    apply();
  }
}

std::vector<double> Scheduler::get_last_lr() const {
  std::vector<double> rates;
  for (const ParamGroup& group : optimizer_->groups()) rates.push_back(group.lr());
  return rates;
}

Items Scheduler::state() const {
  return {{"optimizer_steps", optimizer_steps_}, {"last_epoch", last_epoch_}};
}

void Scheduler::load_state(const Items& state) {
  optimizer_steps_ = number(state, "optimizer_steps");
  last_epoch_ = number(state, "last_epoch");
}

/// Schedules one after the other; milestones in optimizer steps.
class SequentialLR final : public Scheduler {
 public:
  explicit SequentialLR(std::vector<Ref<Scheduler>> parts)
      : Scheduler(std::nullopt), parts_(std::move(parts)) {}

  void step() override {
    ++optimizer_steps_;
    const size_t i = active();
    if (i > 0 && milestones_[i - 1] == optimizer_steps_) take_over(*parts_[i]);
    else parts_[i]->step();
  }

  Items state() const override {
    Items out = Scheduler::state();
    for (size_t i = 0; i < parts_.size(); ++i) {
      for (auto& [name, value] : parts_[i]->state()) {
        out.emplace_back(fmt::format("{}.{}", i, name), value);
      }
    }
    return out;
  }

  void load_state(const Items& state) override {
    Scheduler::load_state(state);
    for (size_t i = 0; i < parts_.size(); ++i) {
      const std::string prefix = fmt::format("{}.", i);
      Items own;
      for (const auto& [name, value] : state) {
        if (name.starts_with(prefix)) own.emplace_back(name.substr(prefix.size()), value);
      }
      parts_[i]->load_state(own);
    }
  }

 protected:
  void prepare() override {
    milestones_.clear();
    int64_t begin = 0;
    for (size_t i = 0; i < parts_.size(); ++i) {
      RunLength rest = length_;
      if (rest.total_steps > 0) rest.total_steps = std::max<int64_t>(1, rest.total_steps - begin);
      parts_[i]->bind(optimizer_, rest);
      if (i + 1 < parts_.size()) milestones_.push_back(begin = begin + length_of(i));
    }
  }

  double get_lr(const ParamGroup& group) const override { return parts_[0]->get_lr(group); }

  void apply() override {
    for (ParamGroup& group : optimizer_->groups()) group.set_lr(group.initial_lr);
    parts_[active()]->apply();
  }

  std::optional<int64_t> duration() const override {
    if (!parts_.back()->duration()) return {};
    return (milestones_.empty() ? 0 : milestones_.back()) + length_of(parts_.size() - 1);
  }

 private:
  size_t active() const {
    const auto next = std::upper_bound(milestones_.begin(), milestones_.end(), optimizer_steps_);
    return static_cast<size_t>(next - milestones_.begin());
  }

  int64_t length_of(size_t part) const {
    const std::optional<int64_t> n = parts_[part]->duration();
    if (!n) {
      throw Error(ErrorKind::value,
                  fmt::format("schedule {} of {} does not say when the next one begins", part + 1,
                              parts_.size()),
                  "let a schedule with a length stand before `|>`, such as `warmup(500 steps)`");
    }
    return std::llround(static_cast<double>(*n) * parts_[part]->per_steps());
  }

  static void take_over(Scheduler& part) {
    part.after_another_ = true;
    part.apply();
    part.after_another_ = false;
  }

  std::vector<Ref<Scheduler>> parts_;
  std::vector<int64_t> milestones_;
};

Ref<Scheduler> sequential(std::vector<Ref<Scheduler>> parts) {
  NNM_CHECK(!parts.empty(), value,
            "SequentialLR expects at least one scheduler, but got no scheduler.");
  if (parts.size() == 1) return parts[0];
  for (size_t i = 0; i < parts.size(); ++i) {
    NNM_CHECK(parts[i]->metric().empty(), value,
              "SequentialLR does not support `ReduceLROnPlateau` scheduler as it requires "
              "additional kwargs to be specified when calling `step`, but got one at index {} in "
              "the given schedulers sequence.",
              i);
  }
  return make_ref<SequentialLR>(std::move(parts));
}

}  // namespace nnm::optim
