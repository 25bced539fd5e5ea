// HookTrace: the file that the captures of a config write while something runs.
#pragma once

#include <memory>
#include <string>

#include "nnm/io/trace_file.h"
#include "nnm/run/session.h"

namespace nnm::run {

/// The header of a trace of this session's hooks: its config, and what captures will record.
/// `checkpoint`: the file whose weights the model has, or "".
io::TraceHeader trace_header(Session& session, const std::string& checkpoint);

/// Where captures of a verb go: `traces/VERB.h5` in the run of the weights, else
/// `<config>-VERB.h5` in the working directory.
std::string trace_path(const Session& session, const std::string& weights, const char* verb);

/// Captures of the session's hooks go into a file while it lives; nothing happens where there are
/// no captures.
class HookTrace {
 public:
  /// What a run that goes on from `step` has recorded there before stays. Throws Error(output).
  HookTrace(Session& session, std::string path, const std::string& checkpoint, int64_t step = 0);
  /// Finishes the file as far as that is possible.
  ~HookTrace();
  HookTrace(const HookTrace&) = delete;

  void event(const std::string& kind, const std::string& message);
  /// What has been recorded so far survives the process.
  void flush();
  /// Finishes the file, and says where it is.
  void close();

 private:
  Session& session_;
  std::string path_;
  std::unique_ptr<io::TraceWriter> writer_;
};

}  // namespace nnm::run
