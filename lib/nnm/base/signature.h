// Signature: the one description of a callable's arguments. Layers, functions, initialisers,
// optimizers, schedulers, transforms and the classes of a config's `define:` all have one;
// binding, validation, help, JSON Schema, repr and the resolved config derive from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nnm/base/value.h"

namespace nnm {

class Scanner;

/// The type of an argument in text: `int(1..)`, `float(>0)`, `float(0..1)`, `int[]`, `int[2]` (one
/// for all or two), `str("relu", "gelu")`, `dtype`, `module`, `Tensor`; `?` where none is allowed.
struct ArgType {
  enum class Base : uint8_t {
    any,
    boolean,
    integer,
    real,
    number,
    string,
    dtype,
    module,
    tensor,
    duration
  };
  Base base = Base::any;
  bool list = false;      ///< `[]`: a list or tuple of them
  int tuple = 0;          ///< n > 0: one value, or a tuple of n (PyTorch's kernel_size)
  bool optional = false;  ///< `?`: none is a value
  std::optional<double> min = {}, max = {};  ///< inclusive bounds, of each element
  bool exclusive_min = false;                ///< the lower bound itself is not allowed
  std::vector<std::string> choices = {};     ///< the strings allowed; empty: any

  /// Reads the text form; throws Error(value) that names the bad part.
  static ArgType parse(std::string_view text);
  /// Reads one at the start of a longer text.
  static ArgType parse(Scanner& s);
  std::string text() const;
  /// Converts v to the type: int to float where a float is asked (a bool is neither), sequences to
  /// a list for `[]` and to a tuple for `[n]`. Throws Error(type) "expected <type>, got <value>",
  /// Error(value) "must be at least 1, got 0".
  Value convert(const Value& v) const;
};

struct Param {
  std::string name;
  ArgType type;
  std::optional<Value> fallback;  ///< the default; absent: required
  std::string doc;
  bool keyword_only = false;
  /// `*name`: takes all remaining positional arguments as a tuple; by name, a list of them
  bool variadic = false;
  bool keywords = false;  ///< `**name`: takes all remaining keyword arguments as a dict
};

/// What went wrong in binding and which argument it was, so that a config can point at it.
struct BindError : Error {
  BindError(const std::string& message, std::string hint, int index, std::string argument,
            ErrorKind kind = ErrorKind::type)
      : Error(kind, message, std::move(hint)), position(index), name(std::move(argument)) {}
  int position;                      ///< index of the offending positional argument, or -1
  std::string name;                  ///< the parameter or unknown keyword it is about, or ""
  std::vector<BindError> more = {};  ///< what is wrong with other arguments of the same call

  /// Calls f with itself and with each of the others.
  template <class F>
  void each(const F& f) const {
    f(*this);
    for (const BindError& e : more) f(e);
  }
};

class Signature {
 public:
  Signature() = default;
  Signature(std::string name, std::vector<Param> params)
      : name_(std::move(name)), params_(std::move(params)) {}
  /// "flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1)"; `*` alone starts keyword-only
  /// parameters, `*xs: Tensor` is variadic, `**sizes: int` takes other keywords. Defaults are
  /// literals.
  static Signature parse(std::string_view text);

  const std::string& name() const { return name_; }
  const std::vector<Param>& params() const { return params_; }
  int index_of(std::string_view param) const;  ///< -1 where there is none

  /// The arguments in parameter order, converted, defaults filled in (shared defaults: do not
  /// mutate). Throws BindError: too many, unknown name ("did you mean"), given twice, missing,
  /// wrong type, out of range; it carries the errors of all arguments.
  Values bind(const Args& args) const;
  /// "Linear(in_features, out_features, bias=True)": the help line of error messages, in the
  /// config's spelling (`true`, `none`) when `config_spelling`.
  std::string text(bool config_spelling = true) const;

 private:
  std::string name_;
  std::vector<Param> params_;
};

/// Edits (insert, delete, replace, swap of neighbours) that turn a into b, in bytes.
size_t edit_distance(std::string_view a, std::string_view b);
/// The candidate nearest to `name` by edit distance (cases count as equal), if near enough to be a
/// likely slip; else "".
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);
/// "did you mean `dim`?" for an argument that there is not: by its letters, or as others call it.
std::string argument_advice(const std::string& key, const std::vector<Param>& params);
/// "did you mean `x`?" of the nearest candidate; `otherwise` where nothing is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates,
                         std::string otherwise = {});

}  // namespace nnm
