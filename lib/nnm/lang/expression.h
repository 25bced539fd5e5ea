// Expression: an expression of a config outside of classes (loss, metrics, hooks, asserts),
// compiled once to slots and run per step.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "nnm/lang/ast.h"
#include "nnm/ops/function.h"

namespace nnm::lang {

class Compiled;  // the compiled form, shared with forward

/// Names it may use are given when it is compiled; each run gives their values in that order. All
/// functions of the function table, arithmetic of Python's numbers and of tensors.
class Expression {
 public:
  Expression() = default;
  /// Throws DiagnosticError (E03xx) for an unknown name, function or argument, with the nearest.
  /// `own` are functions that only these expressions know; they hide others of their name. `vars`:
  /// the config's, whose names are suggested where one is written without `vars.`.
  static Expression compile(const ExprRef& expr, const std::vector<std::string>& names,
                            std::span<const Function> own = {}, const Value& vars = {});
  /// The same from text: `where` names it in messages ("--loss").
  static Expression compile(const Located& code, const std::vector<std::string>& names,
                            const Value& vars = {});
  static Expression compile(const std::string& text, const std::string& where,
                            const std::vector<std::string>& names);

  explicit operator bool() const { return compiled_ != nullptr; }
  /// Which of the names it reads.
  const std::vector<std::string>& uses() const { return uses_; }
  const Span& span() const { return span_; }
  /// Throws DiagnosticError that points into the expression. `training` is the mode of functions
  /// that have one; those that create tensors do so on the device of the first tensor given.
  Value run(std::span<const Value> values, bool training = false) const;

 private:
  std::shared_ptr<const Compiled> compiled_;
  std::vector<std::string> uses_;
  Span span_;
};

/// A constant expression (a literal, arithmetic, `vars.…`): its value. Durations, lists, tuples.
Value evaluate_constant(const Located& code, const Value& vars);

/// Text with its `${…}` replaced by values: strings as they are, others as a config spells them.
std::string evaluate_text(const Located& text, const Value& vars);

/// A call in a config that makes a registered object: `AdamW(lr=3e-4)`, `StepLR(step_size=10
/// epochs)`, `scale(1 / 255)`, `patience(val.loss, 5 epochs)`. Arguments are evaluated; a name that
/// is neither a function nor a value stays text ("val.loss").
struct CallSpec {
  std::string name;
  Args args;
  Span span, name_span;
  std::vector<Span> arg_spans;  ///< positional, then keyword ones
  /// Arguments that are texts because they are no names, though `vars.` before them makes them one.
  std::set<std::string> slips = {};

  /// Where an argument stands, by its position or its name; nowhere if it is not given.
  Span place_of(int position, const std::string& argument) const;
};
/// A call as an argument of a call (`SequentialLR([LinearLR(), …])`): a value of kind object.
struct CallValue final : Object {
  explicit CallValue(CallSpec call) : call(std::move(call)) {}
  std::string value_repr() const override { return call.name + "(…)"; }
  CallSpec call;
};
/// `a |> b |> c` gives three; one call one.
std::vector<CallSpec> read_calls(const Located& code, const Value& vars);

/// A DiagnosticError at the places of a call's arguments, from what binding them threw; its note is
/// what the call should look like.
[[noreturn]] void throw_at(const CallSpec& call, const BindError& error, const std::string& code,
                           const std::string& signature);

}  // namespace nnm::lang
