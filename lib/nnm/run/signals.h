// Signals of a run: end after the step, checkpoint and go on.
#pragma once

#include <csignal>

#include "nnm/train/trainer.h"

namespace nnm::run {

/// While it lives, the first SIGINT or SIGTERM sets `control.signal`, a second one ends the process
/// at once with 128 + its number; SIGUSR1 and SIGHUP set `control.checkpoint`.
/// One at a time.
class SignalScope {
 public:
  explicit SignalScope(train::Control& control);
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;

 private:
  struct sigaction before_[4];
};

}  // namespace nnm::run
