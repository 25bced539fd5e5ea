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
const char* name_of(HookKind kind);
/// Reads a kind by name (`backward` and `backward_pre` mean the full ones). Throws Error(config)
/// with the nearest one.
HookKind parse_kind(std::string_view text);
/// True for kinds that need a backward pass.
bool is_backward(HookKind kind);

/// `--hook KIND[:SELECTOR]`.
struct HookRequest {
  HookKind kind = HookKind::forward;
  std::optional<Selector> select;  ///< none: every module
};
HookRequest parse_hook(std::string_view text);

/// What a tensor of a record keeps: all of it, none, or rows [begin, end) of its first axis.
struct TensorMode {
  enum class Keep : uint8_t { full, none, slice };
  Keep keep = Keep::full;
  int64_t begin = 0, end = 0;
  /// "full", "none", "slice:0:4". Throws Error(config).
  static TensorMode parse(std::string_view text);
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
bool sees(HookKind kind, std::string_view what);

/// The values of the named statistics, in their order; `histogram` for percentiles.
std::vector<double> values_of(const TensorStatistics& s, const std::vector<std::string>& names,
                              const uint32_t* histogram);
/// The unit of a statistic: "value", "count", "value^2" ….
std::string unit_of(std::string_view statistic);

/// Tensors of a value by their names in a trace: positions through nested tuples and lists in
/// order, keys of dicts as they are.
std::vector<io::TraceArg> flatten(const Value& value);
/// The same of a call's arguments: positions, then keywords.
std::vector<io::TraceArg> flatten(const Args& args);
/// Gradients by position.
std::vector<io::TraceArg> flatten(const Tensors& grads);

}  // namespace nnm::tracing
