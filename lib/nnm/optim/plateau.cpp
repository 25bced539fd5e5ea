// ReduceLROnPlateau: a rate that follows a metric.
#include <algorithm>
#include <limits>

#include "nnm/optim/schedulers.h"

namespace nnm::optim {

const Spec<ReduceLROnPlateau::Options>& ReduceLROnPlateau::spec() {
  static const auto s =
      Spec<Options>("ReduceLROnPlateau", "lr times factor when a metric stops improving")
          .opt(NNM_ARG(mode), "whether smaller or larger is better", one_of({"min", "max"}))
          .opt(NNM_ARG(factor), "by which lr is reduced, below 1")
          .opt(NNM_ARG(patience), "evaluations without improvement that are let pass")
          .opt(NNM_ARG(threshold), "what counts as an improvement")
          .opt(NNM_ARG(threshold_mode), "relative to the best value, or absolute",
               one_of({"rel", "abs"}))
          .opt(NNM_ARG(cooldown), "evaluations to wait after a reduction")
          .opt(NNM_ARG(min_lr), "the smallest lr, or a list with one per group")
          .opt(NNM_ARG(eps), "the smallest change of lr that is made")
          .opt(NNM_ARG(metric), "the metric to follow");
  return s;
}

ReduceLROnPlateau::ReduceLROnPlateau(const Options& o)
    : Scheduler(std::nullopt),
      o_(o),
      best_((o.mode == "min" ? 1 : -1) * std::numeric_limits<double>::infinity()) {
  if (!(o.factor < 1)) {
    throw BindError("Factor should be < 1.0.", "", -1, "factor", ErrorKind::value);
  }
}

void ReduceLROnPlateau::prepare() {
  const size_t groups = optimizer().groups().size();
  NNM_CHECK(o_.min_lr.single || o_.min_lr.values.size() == groups, value,
            "expected {} min_lrs, got {}", groups, o_.min_lr.values.size());
}

bool ReduceLROnPlateau::better(double value) const {
  const bool relative = o_.threshold_mode == "rel";
  if (o_.mode == "min") {
    return value < (relative ? best_ * (1.0 - o_.threshold) : best_ - o_.threshold);
  }
  return value > (relative ? best_ * (o_.threshold + 1.0) : best_ + o_.threshold);
}

void ReduceLROnPlateau::step_metric(double value) {
  if (better(value)) {
    best_ = value;
    num_bad_epochs_ = 0;
  } else {
    ++num_bad_epochs_;
  }
  if (cooldown_counter_ > 0) {
    --cooldown_counter_;
    num_bad_epochs_ = 0;
  }
  if (num_bad_epochs_ <= o_.patience) return;
  reduce();
  cooldown_counter_ = o_.cooldown;
  num_bad_epochs_ = 0;
}

void ReduceLROnPlateau::reduce() {
  std::vector<ParamGroup>& groups = optimizer().groups();
  for (size_t g = 0; g < groups.size(); ++g) {
    const double rate = std::max(groups[g].lr() * o_.factor, o_.min_lr[g]);
    if (groups[g].lr() - rate > o_.eps) groups[g].set_lr(rate);
  }
}

Items ReduceLROnPlateau::state() const {
  return {{"best", best_},
          {"num_bad_epochs", num_bad_epochs_},
          {"cooldown_counter", cooldown_counter_}};
}

void ReduceLROnPlateau::load_state(const Items& state) {
  const auto number = [&](const char* key) -> const Value& {
    const auto it = std::find_if(state.begin(), state.end(),
                                 [&](const auto& item) { return item.first == key; });
    NNM_CHECK(it != state.end(), value, "the scheduler's state has no `{}`", key);
    return it->second;
  };
  best_ = number("best").real();
  num_bad_epochs_ = number("num_bad_epochs").integer();
  cooldown_counter_ = number("cooldown_counter").integer();
}

NNM_REGISTER(Scheduler, ReduceLROnPlateau);

}  // namespace nnm::optim
