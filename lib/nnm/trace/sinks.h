// The list of what a recorder would record, and the headers of traces.
#pragma once

#include "nnm/trace/recorder.h"

namespace nnm::tracing {

/// Counts what steps on the meta device would record.
class ListSink final : public Sink {
 public:
  struct Row {
    io::TraceSite site;
    int64_t bytes = 0;  ///< of its tensors that are kept
  };
  /// Counts what follows as that of so many steps.
  void weigh(int64_t steps) { weight_ = steps; }
  const std::vector<Row>& rows() const { return rows_; }
  int64_t bytes() const;

  int64_t site(const io::TraceSite& s) override;
  void stats(int64_t, std::span<const double>, std::span<const uint32_t>) override {}
  void tensors(const std::string& module, const std::string& what, int64_t call,
               std::span<const io::TraceArg> args) override;
  void call(HookKind, const std::string&, int64_t, const std::string&) override {}
  void timing(HookKind, const std::string&, int64_t, int64_t, int64_t) override {}
  void flops(const std::string&, int64_t) override {}

 private:
  std::vector<Row> rows_;
  int64_t weight_ = 1;
};

/// The header of a trace: statistics, bins and module tree of what `options` records.
void describe(const CaptureOptions& options, Module& root, io::TraceHeader& header);

}  // namespace nnm::tracing
