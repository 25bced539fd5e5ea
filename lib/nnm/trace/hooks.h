// Hooks: all hooks of a config at work on a model — changes, captures and rules, in their order.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nnm/trace/captures.h"
#include "nnm/trace/changes.h"
#include "nnm/trace/watch.h"

namespace nnm::tracing {

/// Registers the hooks in the order of the config, and removes them when it goes.
class Hooks {
 public:
  /// Throws DiagnosticError with all selectors that match nothing; no hook is left on the model
  /// then.
  Hooks(Module& root, std::vector<Hook> hooks);
  ~Hooks();
  Hooks(const Hooks&) = delete;

  size_t size() const { return hooks_.size(); }
  const std::vector<Hook>& list() const { return hooks_; }
  Captures& captures() { return captures_; }
  /// The fields that expressions read, and their values in the batch that follows.
  const std::vector<std::string>& fields() const { return fields_; }
  void see_fields(const Values& values) { changes_.see_fields(fields_, values); }

  /// From now on the caller says where steps begin and end. Otherwise each call of the root is a
  /// step of its own, and a rule that stops throws at its end: Error(negative), or Error(diverged)
  /// for values that are not finite.
  void drive() { driven_ = true; }
  /// Before the forward pass; `call` counts from here. The first step is 0.
  struct At {
    int64_t step = 0, epoch = 0, micro = 0;
  };
  void begin(const At& at);
  /// After the backward pass, if there is one: captures and rules look no further.
  void end();
  /// After the update of the parameters.
  void step_done(double loss);
  /// Around an evaluation within a driven run, each call of which is recorded on its own.
  void evaluation(bool begins);

  /// Whether what hooks do in this step of training may be recorded on a GPU, and done again
  /// without calling them: a number for those that are due, the same where the same are. Nothing
  /// where one must be called.
  std::optional<uint64_t> repeats(const At& at, bool accumulates) const;
  /// In a step that is recorded, after its forward and after its backward.
  void recorded(uint64_t number, bool backward);
  /// In place of the calls of a step that is done again: what hooks told of it when it was recorded
  /// with that number, `backward`: of its backward, too.
  void repeat(uint64_t number, bool backward);
  /// The ids of the hooks on modules and parameters, sorted.
  std::vector<uint64_t> ids() const;

  /// What a rule with `action: stop` has found.
  const std::optional<Finding>& stopped() const { return stopped_; }
  /// Whether a rule has asked for a checkpoint since the last time.
  bool take_checkpoint() { return std::exchange(checkpoint_, false); }
  /// From now on rules look and say nothing.
  void mute_rules() { watch_.tell = nullptr; }
  /// From now on rules act; `found` is told of every finding, after stderr.
  void speak(std::function<void(const Finding&)> found);

  /// What a run that goes on has to know of the steps done, for a checkpoint: of each hook whether
  /// it has fired, and what rules have seen.
  Items memory() const;
  /// Takes that back; hooks that are not written as they were then begin anew. Throws
  /// Error(input_file) for what is not of that kind.
  void remember(const Items& memory);

  /// The hooks that never fired, with what they waited for, "`late` (when: {start: 99})"; without
  /// those that could not: `backward`, whether there were backward passes.
  std::vector<std::string> silent(bool backward) const;

 private:
  /// What hooks told of a step up to a part of it.
  struct Script {
    Captures::Script captures;
    Watch::Script rules;
    std::vector<int64_t> changes;  // how often each fired
  };
  std::vector<int64_t> fired() const;
  void start(const At& at, bool outside);
  void found(const Finding& f);

  Module& root_;
  std::vector<Hook> hooks_;
  std::vector<std::string> fields_;
  Changes changes_;
  Captures captures_;
  Watch watch_;
  std::vector<RemovableHandle> handles_;
  At at_;  // of the newest step
  bool driven_ = false, evaluating_ = false, trained_ = false, checkpoint_ = false;
  int64_t calls_ = 0;  // of the root, where nobody says what a step is, or in this evaluation
  std::vector<bool> fired_before_;  // in the part of the run that a checkpoint remembers
  struct Scripts {
    Script forward, all;
  };
  std::map<uint64_t, Scripts> scripts_;  // of steps that were recorded
  std::vector<int64_t> changes_before_;  // the step: how often each change had fired
  std::function<void(const Finding&)> told_;
  std::optional<Finding> stopped_;
};

}  // namespace nnm::tracing
