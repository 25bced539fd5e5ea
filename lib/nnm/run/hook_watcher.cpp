// Between the steps of a run and its hooks.
#include "nnm/run/hook_watcher.h"

namespace nnm::run {

HookWatcher::HookWatcher(Session& session) : session_(session), hooks_(session.hooks()) {
  hooks_.drive();
  hooks_.captures().come_late();
  hooks_.mute_rules();
}

void HookWatcher::act(std::function<void(const tracing::Finding&)> found) {
  acting_ = true;
  hooks_.speak([this, found = std::move(found)](const tracing::Finding& f) {
    if (trace_) trace_->event("rule", f.message());
    found(f);
  });
}

void HookWatcher::record_into(const std::string& path, int64_t step) {
  trace_.emplace(session_, path, "", step);
}

void HookWatcher::close() {
  if (trace_) trace_->close();
}

void HookWatcher::saving() {
  if (trace_) trace_->flush();
}

std::optional<train::Watcher::Stop> HookWatcher::stop() const {
  const std::optional<tracing::Finding>& f = hooks_.stopped();
  if (!acting_ || !f) return std::nullopt;
  return Stop{exit_code(f->kind()), f->message(), f->nonfinite};
}

}  // namespace nnm::run
