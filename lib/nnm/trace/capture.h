// Captures: what to record of a model's hooks, and the statistics a record is reduced to.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/statistics.h"
#include "nnm/base/select.h"
#include "nnm/io/trace_file.h"
#include "nnm/nn/module.h"

namespace nnm::tracing {

enum class HookKind : uint8_t {
  forward_pre,
  forward,
  full_backward_pre,
  full_backward,
  tensor,
  post_accumulate_grad
};
inline constexpr int kHookKinds = 6;
/// "full_backward".
std::string_view name_of(HookKind kind);
/// When it fires, and on what.
const char* doc_of(HookKind kind);
/// Reads a kind by name (`backward` and `backward_pre` mean the full ones). Throws Error(config)
/// with the nearest one.
HookKind parse_kind(std::string_view text);
/// True for kinds that need a backward pass.
bool is_backward(HookKind kind);

/// What a hook can see of a call.
enum class What : uint8_t { input, output, grad_input, grad_output, weight, weight_grad };
inline constexpr int kWhats = 6;
/// "grad_input".
const std::string& name_of(What what);
/// By its name, which is one of them.
What parse_what(std::string_view name);

/// Whether `arg` (a position, a name, or "all") means the tensor at this position, of this name.
/// `named`: the position that it is the name of, where calls give by position what has one.
inline bool means_arg(const std::string& arg, size_t position, const std::string& name,
                      std::optional<size_t> named = {}) {
  return arg == "all" || arg == name || arg == std::to_string(position) ||
         (named == position && name == std::to_string(position));
}

/// `--hook KIND[:SELECTOR]`. A selector names modules, for `tensor` and `post_accumulate_grad` also
/// parameters (fc1.weight), and for `tensor` what a module takes or gives (fc1.input, fc1.output).
struct HookRequest {
  HookKind kind = HookKind::forward;
  Selector select;     ///< "**": every module
  bool parts = false;  ///< `.input` and `.output` at the end of an item are of the module before it
};
HookRequest parse_hook(std::string_view text);

/// What a tensor of a record keeps: all of it, none, or rows [begin, end) of its first axis.
struct TensorMode {
  enum class Keep : uint8_t { full, none, slice };
  Keep keep = Keep::full;
  int64_t begin = 0, end = 0;
  /// "full", "none", "slice:0:4". Throws Error(config).
  static TensorMode parse(std::string_view text);
  std::string text() const;
  /// The part of t to keep: a view; undefined for none.
  Tensor of(const Tensor& t) const;
};

/// The names `--reduce` knows, in the order of their columns.
const std::vector<std::string>& statistic_names();

struct CaptureOptions {
  std::vector<HookRequest> hooks;
  std::vector<std::string> what;  ///< input, output, …; empty: each kind's own
  std::vector<std::string> reduce = {"mean",   "std", "min", "max", "l2",
                                     "absmax", "nan", "inf", "zero"};
  TensorMode tensor;
  std::string arg = "all";      ///< of inputs, outputs, gradients: a position or a name
  std::optional<int64_t> call;  ///< of a shared module; none: each
  HookOptions place;            ///< before hooks that are there, after errors
  bool optional = false;        ///< selectors may match nothing

  /// Whether the tensor at this position, of this name, is wanted.
  bool wants(size_t position, const std::string& name, std::optional<size_t> named) const {
    return means_arg(arg, position, name, named);
  }
  /// Comma lists of `--what` and `--reduce` (`none`: no statistics). Throw Error(config) with the
  /// nearest name.
  void set_what(std::string_view list);
  void set_reduce(std::string_view list);
  bool histogram() const;
  /// The columns of the cube: `reduce` without the histogram.
  std::vector<std::string> statistics() const;
  /// Whether something asked for only exists after a backward pass.
  bool needs_backward() const;
  /// Throws Error(config) where something asked for in `what` comes with none of the hooks.
  void check() const;
};

/// Whether a hook of this kind can see `what`.
bool sees(HookKind kind, What what);

/// What TensorStatistics come to: the named statistics, in their order.
class Reduction {
 public:
  explicit Reduction(const std::vector<std::string>& names);
  size_t size() const { return values_.size(); }
  /// Whether one of them is read off a histogram.
  bool needs_histogram() const { return needs_histogram_; }
  /// Whether kernels::moments knows them all.
  bool moments_only() const { return moments_only_; }
  /// Fills `size()` values.
  void operator()(const TensorStatistics& s, const uint32_t* histogram, double* out) const {
    for (const Value value : values_) *out++ = value(s, histogram);
  }

 private:
  using Value = double (*)(const TensorStatistics&, const uint32_t*);
  std::vector<Value> values_;
  bool needs_histogram_ = false, moments_only_ = true;
};
/// The unit of a statistic: "value" or "count"; and what it is.
std::string unit_of(std::string_view statistic);
std::string doc_of(std::string_view statistic);

/// Tensors of a value by their names in a trace: positions through nested tuples and lists in
/// order, keys of dicts as they are.
std::vector<io::TraceArg> flatten(const Value& value);
/// The same of a call's arguments: positions, then keywords.
std::vector<io::TraceArg> flatten(const Args& args);
/// Gradients by position.
std::vector<io::TraceArg> flatten(const Tensors& grads);
/// The same at the end of a list.
void flatten(const Value& value, std::vector<io::TraceArg>& out);
void flatten(const Args& args, std::vector<io::TraceArg>& out);
void flatten(const Tensors& grads, std::vector<io::TraceArg>& out);

}  // namespace nnm::tracing
