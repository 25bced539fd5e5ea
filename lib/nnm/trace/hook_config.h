// Hooks as data: what the `hooks:` section of a config says, read and checked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nnm/lang/config.h"
#include "nnm/lang/expression.h"
#include "nnm/trace/capture.h"

namespace nnm::tracing {

/// `when: {every: 50 steps, start: 0, stop: 100, mode: train}`.
struct When {
  int64_t every = 1, start = 0;
  std::optional<int64_t> stop;
  std::optional<bool> training;
  bool holds(int64_t step, bool is_training) const {
    return step >= start && (!stop || step < *stop) && (step - start) % every == 0 &&
           (!training || *training == is_training);
  }
};

/// A hook that changes a value: a new input, output or gradient.
struct ChangeHook {
  std::string name;             ///< as given, else "forward_pre at fc1"
  std::vector<HookKind> kinds;  ///< `on`
  Selector select;              ///< modules, or of kind `tensor` what `part` is of
  std::string part;             ///< of kind `tensor`: input or output of a module, "" a parameter
  std::string what;             ///< input, output, grad, grad_input, grad_output
  lang::Expression change;      ///< of `what`, by that name
  std::string arg = "0";        ///< a position, a name, or "all"
  std::optional<int64_t> call;  ///< of a shared module
  When when;
  bool prepend = false, always_call = false, optional = false;
  Span at;  ///< of the selector
};

/// The enabled hooks of a config. Adds an error (E0331…) to `d` for each that cannot be: an effect
/// that its kind does not have, expressions, selectors and files that cannot be read.
std::vector<ChangeHook> read_hooks(const lang::Config& config, Diagnostics& d);

}  // namespace nnm::tracing
