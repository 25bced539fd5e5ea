// Hooks as data: what the `hooks:` section of a config says, read and checked.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nnm/lang/config.h"
#include "nnm/lang/expression.h"
#include "nnm/trace/capture.h"
#include "nnm/trace/rule.h"

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

/// What hooks of all sorts have.
struct HookSpec {
  std::string name;             ///< as given, else "forward_pre at fc1"
  std::vector<HookKind> kinds;  ///< `on`
  Selector select;              ///< modules, parameters, and with kind `tensor` `fc1.output`
  std::string arg = "0";        ///< a position, a name, or "all"
  std::optional<int64_t> call;  ///< of a shared module
  When when;
  bool prepend = false, always_call = false, optional = false;
  Span at;               ///< of the selector
  bool of_rule = false;  ///< the selector is the rule's own, as the config has none
  std::string text;      ///< the hook as one line of YAML, defaults left out

  /// Whether the tensor at this position, of this name, is meant.
  bool means(size_t position, const std::string& tensor, std::optional<size_t> named = {}) const {
    return means_arg(arg, position, tensor, named);
  }
  /// What it asks for, for one of its kinds.
  HookRequest request(HookKind kind) const;
  /// Whether it can only fire in a backward pass.
  bool backward_only() const;
  /// Whether it sees gradients of parameters as the backward passes of a step add them up.
  bool sees_sums() const {
    return std::find(kinds.begin(), kinds.end(), HookKind::post_accumulate_grad) != kinds.end();
  }
};

/// A hook that changes a value: a new input, output or gradient.
struct ChangeHook : HookSpec {
  std::string what;         ///< input, output, grad, grad_input, grad_output
  lang::Expression change;  ///< of `what`, by that name, `vars`, and fields of the batch
  Value vars;
  std::vector<std::string> fields;  ///< that it reads
  std::string code;                 ///< of the change, as it is written
  bool keeps_shape = true, keeps_dtype = true;
  /// Whether it takes tensors from files.
  bool loads() const { return code.find("load(") != std::string::npos; }
  /// Whether a change may give one of this shape and type for another.
  bool allows(const Shape& shape, DType dtype, const Shape& was, DType was_dtype) const {
    return (!keeps_shape || shape == was) && (!keeps_dtype || dtype == was_dtype);
  }
};

/// A hook that records.
struct CaptureHook : HookSpec {
  CaptureOptions capture;
};

/// A hook that watches.
struct RuleHook : HookSpec {
  enum class Action : uint8_t { note, warn, stop, checkpoint };
  lang::CallSpec rule;  ///< checked: RuleHook::make gives one
  Action action = Action::warn;
  int64_t patience = 1;  ///< how often in a row before it acts
  Ref<Rule> make() const;
};

/// A hook of the rule's own kind, place and patience that stops.
RuleHook stopping(lang::CallSpec rule);
/// The same of a kind and place that are asked for.
RuleHook stopping(lang::CallSpec rule, const HookRequest& where);

/// Throws DiagnosticError (E0335) for an unknown rule or argument, with the nearest.
void check_rule(const lang::CallSpec& call);

using Hook = std::variant<ChangeHook, CaptureHook, RuleHook>;
const HookSpec& spec_of(const Hook& hook);

/// "stop".
const char* name_of(RuleHook::Action action);

/// The enabled hooks of a config, in their order, which is that of registration. Adds an error
/// (E0331…) to `d` for each that cannot be: an effect that its kind does not have, expressions,
/// selectors, rules and files that cannot be read, names that stand twice. `fields`: names of a
/// batch's fields, which expressions may use.
std::vector<Hook> read_hooks(const lang::Config& config, Diagnostics& d,
                             const std::vector<std::string>& fields = {});
/// The fields that hooks read.
std::vector<std::string> fields_of(const std::vector<Hook>& hooks);

/// The hooks as YAML: a list, one line each. Those of a command line are written as captures.
std::string hooks_text(const std::vector<Hook>& hooks);
std::string hooks_text(const CaptureOptions& asked);

}  // namespace nnm::tracing
