// Recorder: the hooks that capture, on a model, for as long as it lives.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "nnm/base/ticks.h"
#include "nnm/ops/ops.h"
#include "nnm/trace/capture.h"
#include "nnm/trace/late_statistics.h"

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
  /// `tensor`: whose hook it is where a call has a hook of each, else "".
  virtual void call(HookKind kind, const std::string& module, int64_t call,
                    const std::string& tensor) = 0;
  /// Of a forward pass, or with `full_backward` of a backward pass; children's included, hooks'
  /// not. `start_ns` counts from the beginning of the step.
  virtual void timing(HookKind kind, const std::string& module, int64_t call, int64_t start_ns,
                      int64_t ns) = 0;
  virtual void flops(const std::string& module, int64_t flops) = 0;
};

/// Registers hooks on the selected modules of `root`, after those that are there: it sees what
/// these left, and not what later ones make of it. Captures never change a value. Removes them when
/// it goes; a graph that outlives it may still be run backward.
class Recorder {
  struct Site;

 public:
  /// Throws Error(config) where a selector matches nothing, with the nearest name, unless
  /// `optional`. `late`: by which a GPU's statistics come, so that nobody waits for each; else they
  /// are waited for.
  Recorder(Module& root, CaptureOptions options, Sink& sink, LateStatistics* late = nullptr);
  ~Recorder();
  Recorder(const Recorder&) = delete;

  /// Before the forward pass of a recorded step; until `end_step` hooks record.
  void begin_step();
  /// After its backward pass, if there was one: records weights and their gradients.
  void end_step();
  /// After `late` has sent what was asked of it: gives the sink statistics of the step that is
  /// done.
  void settle();
  /// Stops recording in a step that will have no end.
  void abandon_step();

  /// What hooks have told of a step.
  struct Told {
    Site* site;
    HookKind kind;
    int64_t call;
    std::string tensor;
  };
  struct Due {
    int64_t number;
    LateStatistics::Ticket ticket;
  };
  struct Script {
    std::vector<Told> told;
    std::vector<Due> due;
  };
  /// Of the step that is recorded, so far.
  const Script& script() const { return script_; }
  /// In a step whose hooks are not called, as a GPU does recorded work again: tells what they told,
  /// and that the same statistics are due.
  void repeat(const Script& script);
  /// The ids of its hooks, which look on, so that what they ask of a GPU may be repeated.
  void ids(std::vector<uint64_t>& out) const;
  /// Whether any hook has recorded anything.
  bool fired() const { return fired_; }

 private:
  struct Known;
  struct Hooked;
  using Sites = std::map<size_t, std::unique_ptr<Site>>;  ///< by the places of their modules

  void select(Module& root, const HookRequest& request, Sites& sites) const;
  void check_captured(const Sites& sites) const;
  void attach(Site& site);
  void attach_leaves(Site& site, std::set<const TensorImpl*>& seen);
  template <class T>
  void attach_tensors(Site& site, What what, const T& value, int64_t call);
  void begin_call(Site& site, const Args& args);
  void end_call(Site& site, const Args& args, const Value& output);
  void begin_backward(Site& site, const Tensors& grad_output);
  void end_backward(Site& site, const Tensors& grad_input, const Tensors& grad_output);
  void told(Site& site, HookKind kind, int64_t call, const std::string& tensor = "");
  template <class T>
  void capture(Site& site, HookKind kind, What what, int64_t call, const T& value);
  void keep_wanted(const Site& site, What what);
  void capture_args(Site& site, HookKind kind, What what, int64_t call);
  void capture_parameters(Site& site, What what);
  int64_t number(Site& site, HookKind kind, What what, int64_t call, size_t position);
  void reduce(int64_t number, const Tensor& t);
  void give(int64_t number, const TensorStatistics& s);

  CaptureOptions options_;
  Sink& sink_;
  LateStatistics* const late_;
  Script script_;  // of the newest step; what is due of it is gone once it has come
  Reduction reduction_;
  bool histogram_ = false;
  std::vector<std::unique_ptr<Site>> sites_;
  std::vector<RemovableHandle> handles_;
  std::shared_ptr<Hooked> hooked_;  ///< what hooks know of this, as long as a graph holds them
  std::unique_ptr<FlopCounter> flops_;
  const Ticks ticks_;
  int64_t start_ = 0, overhead_ = 0;  ///< of the step, in ticks
  bool recording_ = false, fired_ = false, flops_told_ = false;
  // Of one capture.
  std::vector<io::TraceArg> args_;
  std::vector<double> values_;
  std::vector<uint32_t> bins_;
};

}  // namespace nnm::tracing
