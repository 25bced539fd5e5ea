// Recorder: the hooks that capture, on a model, for as long as it lives.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nnm/ops/ops.h"
#include "nnm/trace/capture.h"

namespace nnm::tracing {

/// Where records go: a trace file, or a list of what would be recorded.
class Sink {
 public:
  virtual ~Sink() = default;
  /// A new place; gives the number by which `stats` knows it.
  virtual int64_t site(const io::TraceSite& site) = 0;
  virtual void stats(int64_t site, std::span<const double> values,
                     std::span<const uint32_t> histogram) = 0;
  /// All tensors of one firing, cut to what is kept.
  virtual void tensors(const std::string& module, const std::string& what, int64_t call,
                       std::span<const io::TraceArg> args) = 0;
  virtual void call(HookKind kind, const std::string& module, int64_t call) = 0;
  virtual void timing(HookKind kind, const std::string& module, int64_t call, int64_t start_ns,
                      int64_t ns) = 0;
  virtual void flops(const std::string& module, int64_t flops) = 0;
};

/// Registers hooks on the selected modules of `root`, after those that are there, so that it sees
/// what they left; captures never change a value. Removes them when it goes.
class Recorder {
 public:
  /// Throws Error(config) where a selector matches no module, with the nearest name.
  Recorder(Module& root, CaptureOptions options, Sink& sink);
  ~Recorder();
  Recorder(const Recorder&) = delete;

  /// Before the forward pass of a recorded step; until `end_step` hooks record.
  void begin_step();
  /// After its backward pass, if there was one: records weights and their gradients.
  void end_step();
  /// Whether any hook has recorded anything.
  bool fired() const { return fired_; }

 private:
  struct Site;

  void select(Module& root);
  void want(Site& site, HookKind kind);
  void attach(Site& site);
  void attach_forward(Site& site);
  void attach_tensors(Site& site, const Value& output, int64_t call);
  void finish(Site& site, int64_t call);
  void told(Site& site, HookKind kind, int64_t call);
  void capture(Site& site, HookKind kind, const char* what, int64_t call,
               const std::vector<io::TraceArg>& args);
  void reduce(Site& site, HookKind kind, const char* what, int64_t call, const io::TraceArg& arg);
  void capture_parameters(Site& site, const char* what);

  CaptureOptions options_;
  Sink& sink_;
  std::vector<std::string> statistics_;
  bool needs_bins_ = false;
  std::vector<std::unique_ptr<Site>> sites_;
  std::map<std::string, int64_t> numbers_;  ///< of module, what, arg and call
  std::vector<RemovableHandle> handles_;
  std::unique_ptr<FlopCounter> flops_;
  std::chrono::steady_clock::time_point start_;
  int64_t overhead_ns_ = 0;
  bool recording_ = false, fired_ = false, flops_told_ = false;
};

}  // namespace nnm::tracing
