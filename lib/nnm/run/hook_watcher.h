// HookWatcher: the hooks of a config in a training run.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "nnm/run/hook_trace.h"
#include "nnm/train/trainer.h"

namespace nnm::run {

/// Tells hooks of the steps of a run, and the run of what rules ask for.
class HookWatcher final : public train::Watcher {
 public:
  /// Hooks follow the steps from now on; rules are muted until `act`.
  explicit HookWatcher(Session& session);

  /// Rules act, and tell of what they find.
  void act(std::function<void(const tracing::Finding&)> found);
  /// Captures go into this file from now on, which close() finishes. What a run that goes on from
  /// `step` has recorded there before stays. Throws Error(output).
  void record_into(const std::string& path, int64_t step);
  void close();

  void forward_begins(const At& at) override { hooks_.begin({at.step, at.epoch, at.micro}); }
  std::optional<uint64_t> repeats(const At& at, bool accumulates) const override {
    return hooks_.repeats({at.step, at.epoch, at.micro}, accumulates);
  }
  std::vector<uint64_t> hooks() const override { return hooks_.ids(); }
  void settle() override { hooks_.captures().settle(); }
  void recorded(uint64_t number, bool backward) override { hooks_.recorded(number, backward); }
  void repeated(uint64_t number, bool backward) override { hooks_.repeat(number, backward); }
  void backward_done(const At&) override { hooks_.end(); }
  void step_done(const At&, double loss) override { hooks_.step_done(loss); }
  void evaluation(bool begins) override { hooks_.evaluation(begins); }
  void saving() override;
  void put(io::Checkpoint& checkpoint) const override { checkpoint.rules = hooks_.memory(); }
  void take(const io::Checkpoint& checkpoint) override { hooks_.remember(checkpoint.rules); }
  std::optional<Stop> stop() const override;
  bool take_checkpoint() override { return acting_ && hooks_.take_checkpoint(); }

 private:
  Session& session_;
  tracing::Hooks& hooks_;
  std::optional<HookTrace> trace_;
  bool acting_ = false;
};

}  // namespace nnm::run
