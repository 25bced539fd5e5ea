// How far a run is, and names of what ends it.
#include "nnm/train/events.h"

#include <algorithm>

namespace nnm::train {

std::optional<double> Goal::share(const Moment& now) const {
  if (!steps && seconds <= 0) return std::nullopt;
  double done = 0;
  if (steps) done = static_cast<double>(now.step) / static_cast<double>(steps);
  if (seconds > 0) done = std::max(done, now.seconds / seconds);
  return std::min(done, 1.0);
}

std::optional<double> Goal::seconds_left(const Moment& since, const Moment& now) const {
  std::optional<double> left;
  if (steps && now.step > since.step)
    left = (now.seconds - since.seconds) / static_cast<double>(now.step - since.step) *
           static_cast<double>(std::max<int64_t>(steps - now.step, 0));
  if (seconds > 0) {
    const double time = std::max(seconds - now.seconds, 0.0);
    left = left ? std::min(*left, time) : time;
  }
  return left;
}

const char* reason_name(Reason r) {
  static constexpr const char* kNames[] = {"max_epochs", "max_steps", "max_time", "early_stop",
                                           "signal",     "diverged",  "rule",     "error"};
  return kNames[static_cast<int>(r)];
}

}  // namespace nnm::train
