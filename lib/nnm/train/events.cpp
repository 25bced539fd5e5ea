// Names of what ends a run.
#include "nnm/train/events.h"

namespace nnm::train {

const char* reason_name(Reason r) {
  static constexpr const char* kNames[] = {"max_epochs", "max_steps", "max_time", "early_stop",
                                           "signal",     "diverged",  "rule",     "error"};
  return kNames[static_cast<int>(r)];
}

}  // namespace nnm::train
