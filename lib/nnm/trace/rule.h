// Rule: what can be wrong with tensors, parameters and losses while a model runs, and from which
// numbers on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kernels/statistics.h"
#include "nnm/base/registry.h"
#include "nnm/tensor/tensor.h"
#include "nnm/trace/capture.h"

namespace nnm::tracing {

/// Numbers of a tensor, as far as they are known; NaN where they are not.
struct Numbers {
  double numel, nonfinite, zero;
  double absmax, l2;  ///< of the finite elements
  static Numbers of(const Tensor& t);
  static Numbers of(const TensorStatistics& s);
};

/// What a rule is shown.
class Sight {
 public:
  Sight(std::string_view type, Tensor tensor) : type(type), tensor(std::move(tensor)) {}
  /// Without the tensor, as statistics in a trace tell of it.
  Sight(std::string_view type, const Numbers& numbers) : type(type), numbers_(numbers) {}

  /// Computed once for all rules that ask.
  const Numbers& numbers() const;
  /// Those that are known so far.
  const std::optional<Numbers>& known() const { return numbers_; }
  void know(const Numbers& n) { numbers_ = n; }

  std::string_view type;  ///< of the module
  Tensor tensor;          ///< undefined where only its numbers are known
  Tensor before;          ///< the same one a step ago, for rules that compare
  double loss = 0;        ///< of the step, for rules about it

 private:
  mutable std::optional<Numbers> numbers_;
};

/// What a rule found.
struct Reading {
  bool bad = false;
  double value = 0, threshold = 0;
  std::string text;  ///< "3 of 10 values are not finite"
};

/// Registered like layers; named in a config as `rule: dead_relu(threshold_layer=40)`. One object
/// watches one place, and may remember.
class Rule : public Object {
 public:
  static constexpr const char* kRegistryKind = "rule";

  enum class Subject : uint8_t { tensors, parameters, loss };
  virtual Subject subject() const { return Subject::tensors; }
  /// Whether Sight::before is needed.
  virtual bool compares() const { return false; }
  /// When and where it looks unless the config says.
  virtual HookKind kind() const { return HookKind::forward; }
  virtual const char* at() const { return "**"; }
  /// How often in a row it must be bad, unless the config says.
  virtual int64_t patience() const { return 1; }
  /// Whether it looks at Sight::numbers() alone, which may come later than the tensor.
  virtual bool by_numbers() const { return false; }
  /// Whether a run that it stops ended because of values that are not finite.
  virtual bool about_nonfinite() const { return false; }
  /// Throws Error(config) where it cannot judge modules of this type.
  virtual void check(std::string_view type) const { (void)type; }

  /// None where there is nothing to say: not yet, or not of this tensor or without it.
  virtual std::optional<Reading> look(const Sight& s) = 0;

  /// What it remembers beside Sight::before, for a run that goes on; and takes it back.
  virtual Items memory() const { return {}; }
  virtual void remember(const Items& memory) { (void)memory; }
};

}  // namespace nnm::tracing
