// Sinks of a recorder: a trace file, and the list of what would be recorded.
#pragma once

#include "nnm/trace/recorder.h"

namespace nnm::tracing {

/// Writes to a trace file; the writer's steps are the caller's.
class FileSink final : public Sink {
 public:
  explicit FileSink(io::TraceWriter& writer) : writer_(writer) {}
  int64_t site(const io::TraceSite& s) override { return sites_ = writer_.add_site(s), sites_++; }
  void stats(int64_t site, std::span<const double> values,
             std::span<const uint32_t> histogram) override {
    writer_.stats(site, values, histogram);
  }
  void tensors(const std::string& module, const std::string& what, int64_t call,
               std::span<const io::TraceArg> args) override {
    writer_.record(module, what, call, args);
  }
  void call(HookKind kind, const std::string& module, int64_t call) override {
    writer_.call(name_of(kind), module, call);
  }
  void timing(HookKind kind, const std::string& module, int64_t call, int64_t start_ns,
              int64_t ns) override {
    writer_.timing(name_of(kind), module, call, start_ns, ns);
  }
  void flops(const std::string& module, int64_t flops) override { writer_.flops(module, flops); }
  int64_t sites() const { return sites_; }

 private:
  io::TraceWriter& writer_;
  int64_t sites_ = 0;
};

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
  void call(HookKind, const std::string&, int64_t) override {}
  void timing(HookKind, const std::string&, int64_t, int64_t, int64_t) override {}
  void flops(const std::string&, int64_t) override {}

 private:
  std::vector<Row> rows_;
  int64_t weight_ = 1;
};

/// The header of a trace: statistics, bins and module tree of what `options` records.
void describe(const CaptureOptions& options, Module& root, io::TraceHeader& header);

}  // namespace nnm::tracing
