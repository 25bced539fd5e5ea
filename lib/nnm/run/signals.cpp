// Handlers that do nothing but set flags.
#include "nnm/run/signals.h"

#include <unistd.h>

#include <atomic>

#include "nnm/base/file.h"

namespace nnm::run {

namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
std::atomic<train::Control*> target{nullptr};

void handle(int signal) {
  train::Control* control = target.load();
  if (!control) return;
  if (signal == SIGUSR1 || signal == SIGHUP) {
    control->checkpoint.store(true);
    return;
  }
  int none = 0;
  if (control->signal.compare_exchange_strong(none, signal)) return;
  remove_unfinished();
  ::_exit(128 + signal);
}

}  // namespace

SignalScope::SignalScope(train::Control& control) {
  target.store(&control);
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
}

SignalScope::~SignalScope() {
  for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  target.store(nullptr);
}

}  // namespace nnm::run
