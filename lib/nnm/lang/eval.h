// The expression language over values: evaluation of constant expressions, and the operators and
// functions that constant expressions and forward share.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nnm/lang/ast.h"
#include "nnm/nn/module.h"
#include "nnm/ops/function.h"

namespace nnm::lang {

/// An error at a place of a config, on its way to the diagnostics of its phase.
struct Fault : Error {
  explicit Fault(Diagnostic d, ErrorKind kind = ErrorKind::config)
      : Error(kind, d.message, d.help), diagnostic(std::move(d)) {}
  Diagnostic diagnostic;
  /// The forwards it left, innermost first: the module's path and where it was called.
  struct Call {
    std::string path;
    Span from;
  };
  std::vector<Call> calls;
  bool silent = false;           ///< it follows from an error that was reported already
  std::vector<Diagnostic> more;  ///< what is wrong beside it, and independent of it
};
[[noreturn]] void fault(const Span& span, std::string code, std::string message,
                        std::string help = {}, std::vector<Note> notes = {});

/// Errors of parts that are independent of one another: one is thrown, and carries the others.
class Faults {
 public:
  template <class F>
  void attempt(const F& f) {
    try {
      f();
    } catch (const Fault& e) {
      add(e);
    }
  }
  bool empty() const { return !thrown_; }
  void throw_if_any() const {
    if (thrown_) throw *thrown_;
  }

 private:
  void add(const Fault& e);

  std::optional<Fault> thrown_;
};

struct CallArgs;

/// What names mean where a constant expression stands.
class Env {
 public:
  virtual ~Env() = default;
  /// The value of a name or of a dotted path (`vars.d`), or nothing. Of a path the longest part is
  /// asked for first; what remains are attributes of the value.
  virtual std::optional<Value> find(const std::string& path) const = 0;
  /// Whether a call of that name makes something here (a layer, say).
  virtual bool callable(const std::string&) const { return false; }
  /// The value of such a call, whose arguments are all known.
  virtual std::optional<Value> call(const std::string& name, const Expr& callee, const Expr& call,
                                    CallArgs& args) const;
  /// The value of a word that no name is, as a keyword argument of that call: PyTorch prints texts
  /// without quotes (`padding=same`).
  virtual std::optional<Value> word(const std::string& callee, const std::string& argument,
                                    const std::string& text) const;
  /// Names to suggest.
  virtual void names(std::vector<std::string>& out) const = 0;
  virtual void callables(std::vector<std::string>&) const {}
  /// What an unknown callable is said to be: "function", "layer".
  virtual const char* callable_kind() const { return "function"; }
  /// What to write in place of a name that is unknown here, where there is more to say than what
  /// is near it; else "".
  virtual std::string advice(const std::string&) const { return {}; }
};

/// Nothing but literals and functions.
const Env& empty_env();

/// The value of an expression. Throws Fault (E03xx for names and arguments, E04xx for values).
Value evaluate(const Expr& e, const Env& env);
/// Text with its `${…}` replaced: strings as they are, other values as a config spells them.
std::string expand(const Template& t, const Env& env);
/// Binds a target of a loop or comprehension to a value; `bind` gets name by name.
void bind_target(const Target& target, const Value& value, const Env& env,
                 const std::function<void(const std::string&, Value)>& bind);

// Operators. They throw Error; whoever knows the place makes a Fault of it.

/// + - * / // % @ ** of Python's numbers, sequences, strings, durations and of tensors.
Value binary(std::string_view op, const Value& a, const Value& b);
/// "-", "+", "not".
Value unary(std::string_view op, const Value& a);
/// == != < <= > >= in "not in" is "is not". Elementwise where a tensor takes part.
Value compare(std::string_view op, const Value& a, const Value& b);
/// a[b], b an int, slice, string, tuple or tensor.
Value subscript(const Value& a, const Value& b);
/// a.name: entries of a dict; shape, dtype, ndim … of a tensor; children and tensors of a module.
Value attribute(const Value& a, const std::string& name);
/// Whether a module is a dict (of modules or parameters), whose keys are gone through.
bool has_keys(const Module& m);
std::vector<std::string> keys_of(const Module& m);
/// The positions that a slice picks of n items. Throws Error(value) where its step is 0.
std::vector<size_t> slice_positions(const Value& slice, size_t n);
/// Python's truth; throws Error(type) for a tensor of several elements.
bool truth(const Value& v);
/// What a for loop goes through: the items of a sequence, keys of a dict or of a module that is
/// one, characters, rows of a tensor, children of another module.
Values iterate(const Value& v);

/// A function of plain values (`len`, `range`, `pairs` …) or null. Functions of tensors are in
/// ops' table; where both have a name, tensors among the arguments decide.
const Function* find_native(std::string_view name);
std::vector<std::string_view> native_names();

/// Bound of loops, list lengths and string lengths.
constexpr int64_t kMaxItems = 1'000'000;
/// The items of a list, those of the lists in it counted: what printing it or comparing it walks
/// through, and more than it holds where it has an item twice. Throws Error(value) where there are
/// more than kMaxItems, or lists nested deeper than anyone reads.
int64_t extent(const Value& v, int depth = 0);

namespace detail {
Value tensor_binary(std::string_view op, const Value& a, const Value& b);
Value tensor_negative(const Value& a);
Value tensor_compare(std::string_view op, const Value& a, const Value& b);
Value tensor_attribute(const Value& t, const std::string& name);
}  // namespace detail

}  // namespace nnm::lang
