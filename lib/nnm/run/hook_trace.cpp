// Trace files of captures.
#include "nnm/run/hook_trace.h"

#include <filesystem>

#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/base/text.h"
#include "nnm/trace/earlier.h"

namespace nnm::run {

io::TraceHeader trace_header(Session& session, const std::string& checkpoint) {
  io::TraceHeader h;
  h.nnm_version = NNM_VERSION;
  h.config = session.config().text();
  h.config_sha256 = sha256(h.config);
  if (!checkpoint.empty()) h.checkpoint_sha256 = sha256_file(checkpoint);
  h.hooks = tracing::hooks_text(session.hooks().list());
  session.hooks().captures().describe(h);
  return h;
}

std::string trace_path(const Session& session, const std::string& weights, const char* verb) {
  const std::string run = weights.empty() ? "" : run_of(weights);
  if (!run.empty()) return fmt::format("{}/traces/{}.h5", run, verb);
  const std::filesystem::path config = session.config().path();
  return fmt::format("{}-{}.h5", config.stem().string(), verb);
}

HookTrace::HookTrace(Session& session, std::string path, const std::string& checkpoint,
                     int64_t step)
    : session_(session), path_(std::move(path)) {
  tracing::Captures& captures = session.hooks().captures();
  if (captures.empty()) return;
  make_folders(folder_of(path_));
  io::TraceHeader header = trace_header(session, checkpoint);
  tracing::EarlierTrace earlier(step > 0 ? path_ : "");
  if (earlier) earlier.extend(header);
  writer_ = std::make_unique<io::TraceWriter>(path_, header);
  if (earlier) earlier.copy(*writer_, header, step);
  captures.record_into(*writer_, header);
}

HookTrace::~HookTrace() {
  try {
    close();
  } catch (const Error& e) {
    log_warning("{}", e.what());
  }
}

void HookTrace::event(const std::string& kind, const std::string& message) {
  if (writer_) writer_->event(kind, message);
}

void HookTrace::flush() {
  if (!writer_) return;
  session_.hooks().captures().settle();
  writer_->flush();
}

void HookTrace::close() {
  if (!writer_) return;
  session_.hooks().captures().stop();
  const std::unique_ptr<io::TraceWriter> writer = std::move(writer_);
  writer->close();
  if (writer->dropped())
    log_warning("{}: {} did not fit", path_, counted(writer->dropped(), "record"));
  log_note("captures are in {}", path_);
}

}  // namespace nnm::run
