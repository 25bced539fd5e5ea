// EarlierTrace: what a run that goes on has recorded before.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nnm/io/trace_file.h"

namespace nnm::tracing {

/// The trace that an earlier part of a run has left under a path: finished, or not because the
/// process died. Whatever is not readable is set aside, with a warning.
class EarlierTrace {
 public:
  /// Of several files (finished, unfinished, one that was being copied) the one that reaches
  /// farthest; "" has none. A writer may be opened on `path` then.
  explicit EarlierTrace(const std::string& path);
  ~EarlierTrace();

  /// Whether there is anything.
  explicit operator bool() const { return reader_ != nullptr; }
  /// Adds the statistics and bins that it has and `header` has not.
  void extend(io::TraceHeader& header) const;
  /// Writes what was recorded before step `until`, then removes the copy that is no longer needed.
  /// `header` is that of the writer's file, extended.
  void copy(io::TraceWriter& writer, const io::TraceHeader& header, int64_t until);

 private:
  struct Rows;
  void copy_statistics(io::TraceWriter& writer, const io::TraceHeader& header, Rows& rows,
                       size_t entry) const;
  void copy_step(io::TraceWriter& writer, Rows& rows, int64_t step) const;

  std::string aside_;  // the file's name while it is being copied, "" for a finished one
  std::unique_ptr<io::TraceReader> reader_;
  std::vector<io::TraceSite> sites_;
};

}  // namespace nnm::tracing
