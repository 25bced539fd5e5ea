// Captures: the hooks of a config that record, all into one trace.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nnm/trace/hook_config.h"
#include "nnm/trace/recorder.h"

namespace nnm::tracing {

/// A Recorder for each capture, and sinks that put what they give into the file's columns: the
/// statistics of all captures side by side, NaN where one does not ask for them.
class Captures {
 public:
  explicit Captures(Module& root);
  ~Captures();
  Captures(const Captures&) = delete;

  /// After the hooks that are there. Adds an error to `d` where its selector matches nothing,
  /// unless `optional`.
  void add(const CaptureHook& hook, Diagnostics& d);
  /// One that records whenever a step is recorded: of a command line.
  void add(const CaptureOptions& options);
  bool empty() const { return parts_.empty(); }
  bool needs_backward() const;

  /// Adds the statistics, bins and modules of what will be recorded to a header.
  void describe(io::TraceHeader& header) const;
  /// Records go there from now on, beside what it has already. `header` is the file's. `steps`: who
  /// calls begin() begins the file's steps itself.
  void record_into(io::TraceWriter& writer, const io::TraceHeader& header, bool steps = false);
  /// Nothing is recorded from now on.
  void stop();
  /// Whether a capture records in this step. `outside`: in an evaluation within a training run,
  /// where only those with `mode: eval` do.
  bool due(int64_t step, bool training, bool outside = false) const;
  /// Before the forward pass: those that are due record until end().
  void begin(const io::TraceStep& step, bool outside = false);
  /// After the backward pass, if there is one.
  void end();
  /// Statistics of a GPU need not be there before settle() or the next begin().
  void come_late() { late_ = true; }
  /// Records those of the last step, so that the file has all of it.
  void settle();
  /// The step will have no end. Whether there was one.
  bool abandon();
  /// For each capture whether it is due in this step; nothing where one is that needs its hooks
  /// called, for tensors that it keeps.
  std::optional<std::vector<bool>> repeats(int64_t step, bool training) const;
  /// What the hooks have told of the step that is recorded on a GPU, so far; what they asked of it
  /// is part of the recording then.
  struct Script {
    std::vector<Recorder::Script> parts;
    size_t asked = 0;
  };
  Script script();
  /// After begin(), in a step that is done again without calling hooks: what they told of it.
  void repeat(const Script& script);
  void ids(std::vector<uint64_t>& out) const;
  /// How often each capture recorded something, in the order in which they were added.
  std::vector<int64_t> fired() const;
  bool any_fired() const;

 private:
  class Part;
  int64_t site(const io::TraceSite& s);
  /// Whether this is the first time in the step that it is told: several captures of one call are
  /// one call.
  template <class... A>
  bool first(const A&... key);

  Module& root_;
  LateStatistics statistics_;
  std::vector<std::unique_ptr<Part>> parts_;  // one for each hook
  bool late_ = false;
  io::TraceWriter* writer_ = nullptr;
  bool steps_ = false;
  std::map<std::string, int64_t> sites_;  // by module, what, arg, call
  std::set<std::string> told_;            // of the step
  io::TraceStep newest_;                  // that was begun
  std::set<std::string> flops_;           // modules whose operations are in the file
};

}  // namespace nnm::tracing
