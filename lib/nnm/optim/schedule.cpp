// Scheduler: counting steps in a schedule's own unit.
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

}  // namespace nnm::optim
