// Value: whatever a module, a function or a config expression takes and returns.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/view.h"
#include "nnm/base/error.h"
#include "nnm/base/ref.h"

namespace nnm {

class Value;
using Values = std::vector<Value>;
using Items = std::vector<std::pair<std::string, Value>>;

/// A number as Python has it: bool, int and float are told apart, since promotion and repr need it.
struct Scalar;

/// Says which handle types travel inside a Value: specialised beside Tensor, Module and the like.
///   static constexpr Value::Kind kind; static Object* get(const T&); static T make(Object*);
template <class T>
struct ValueHandle;

/// A length of training or of time, as written: `10 epochs`, `500 steps`, `1 batch`, `2 h`.
enum class Unit : uint8_t { none, step, epoch, batch, second };

/// One dynamic value, 16 bytes: none, bool, int, float, str, list, tuple, dict (string keys, in
/// order), tensor, module, dtype, duration, callable (a layer type, class or function as an
/// argument), slice, ellipsis. Copies share boxed contents.
class Value {
 public:
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    real,
    string,
    list,
    tuple,
    dict,
    tensor,
    module,
    dtype,
    duration,
    callable,
    slice,
    ellipsis,
    object
  };

  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool b) : kind_(Kind::boolean) { u_.b = b; }
  Value(int i) : Value(static_cast<int64_t>(i)) {}
  Value(int64_t i) : kind_(Kind::integer) { u_.i = i; }
  Value(long long i) : Value(static_cast<int64_t>(i)) {}
  template <std::unsigned_integral T>
  Value(T i) : Value(static_cast<int64_t>(i)) {}
  Value(double d) : kind_(Kind::real) { u_.d = d; }
  Value(const char* s) : Value(std::string(s)) {}
  Value(std::string_view s) : Value(std::string(s)) {}
  Value(std::string s);
  Value(DType t) : kind_(Kind::dtype) { u_.i = static_cast<int64_t>(t); }
  template <class T>
  requires requires { ValueHandle<T>::kind; }
  Value(const T& handle) : Value(ValueHandle<T>::kind, ValueHandle<T>::get(handle)) {}
  /// A boxed object of the given kind; null gives none.
  Value(Kind kind, Object* o);
  Value(const Value& o) : kind_(o.kind_), unit_(o.unit_), u_(o.u_) {
    if (boxed()) u_.o->retain();
  }
  Value(Value&& o) noexcept : kind_(o.kind_), unit_(o.unit_), u_(o.u_) { o.kind_ = Kind::none; }
  Value& operator=(Value o) noexcept {
    swap(o);
    return *this;
  }
  ~Value() {
    if (boxed()) u_.o->release();
  }
  void swap(Value& o) noexcept {
    std::swap(kind_, o.kind_);
    std::swap(unit_, o.unit_);
    std::swap(u_, o.u_);
  }

  static Value list(Values items);
  static Value tuple(Values items);
  static Value dict(Items items);
  static Value duration(double amount, Unit unit);
  static Value ellipsis();
  /// start, stop, step, each an int or none.
  static Value slice(Value start, Value stop, Value step);

  Kind kind() const { return kind_; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is(Kind k) const { return kind_ == k; }
  bool is_number() const {
    return kind_ == Kind::boolean || kind_ == Kind::integer || kind_ == Kind::real;
  }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }

  // Accessors throw TypeError "expected <what>, got <type>" where the kind does not fit.
  bool boolean() const;
  int64_t integer() const;  ///< int (bool counts as one, as in Python)
  double real() const;      ///< float or int
  Scalar scalar() const;    ///< bool, int or float as it is
  const std::string& string() const;
  DType dtype() const;
  Unit unit() const { return unit_; }  ///< of a duration; `real_unchecked` amount by `amount()`
  double amount() const;               ///< of a duration
  const Values& items() const;         ///< of a list, tuple or slice
  const Items& entries() const;        ///< of a dict
  Values& mutable_items();             ///< of a list; shared by all copies, as in Python
  const Value* find(std::string_view key) const;  ///< entry of a dict, or null
  Object* object() const;                         ///< the boxed object of any boxed kind
  template <class T>
  T as() const {
    if (kind_ != ValueHandle<T>::kind) throw_kind(ValueHandle<T>::name);
    return ValueHandle<T>::make(u_.o);
  }
  template <class T>
  bool holds() const {
    return kind_ == ValueHandle<T>::kind;
  }

  /// Python's type name: "int", "float", "str", "NoneType", "tuple", "Tensor", "Module" …
  const char* type_name() const;
  /// Python's repr: `1e-05`, `'text'`, `(3,)`, `True`, `None`, `{'a': 1}`; tensors and
  /// modules as PyTorch prints them.
  std::string repr() const;
  /// As repr, strings without quotes (Python's str).
  std::string str() const;
  /// The spelling of a config: `true`, `none`, `f32`, `"text"`, `10 epochs`.
  std::string config_text() const;
  /// Python truth: numbers by != 0, containers by emptiness, none false.
  bool truthy() const;
  /// Python equality of plain values (numbers by value across kinds); handles by identity.
  friend bool operator==(const Value& a, const Value& b);

 private:
  bool boxed() const {
    return kind_ == Kind::string || (kind_ >= Kind::list && kind_ <= Kind::module) ||
           kind_ == Kind::callable || kind_ == Kind::slice || kind_ == Kind::object;
  }
  enum class Style : uint8_t { python, config };
  void write(std::string& out, Style style) const;
  [[noreturn]] void throw_kind(const char* expected) const;

  Kind kind_ = Kind::none;
  Unit unit_ = Unit::none;
  union U {
    bool b;
    int64_t i;
    double d;
    Object* o;
  } u_{};
};

struct Scalar {
  enum class Kind : uint8_t { boolean, integer, real };
  Kind kind = Kind::integer;
  double d = 0;   ///< the value as a float, always valid
  int64_t i = 0;  ///< the value as an int, exact for bool and int
  Scalar() = default;
  Scalar(bool b) : kind(Kind::boolean), d(b), i(b) {}
  Scalar(int v) : d(v), i(v) {}
  Scalar(int64_t v) : d(static_cast<double>(v)), i(v) {}
  Scalar(double v) : kind(Kind::real), d(v), i(static_cast<int64_t>(v)) {}
};

/// Positional and keyword arguments of one call, in the order given.
struct Args {
  Values pos = {};
  Items kw = {};
};

/// Python's repr of a float: shortest text that reads back, `1e-05`, `0.1`, `1.0`, `inf`, `nan`.
std::string python_float(double d);
/// Python's repr of a str: single quotes unless the text has one and no double quote.
std::string python_string(std::string_view s);
/// A length as written: `1 epoch`, `500 steps`, `2 h`, `90 s`.
std::string duration_text(double amount, Unit unit);

}  // namespace nnm
