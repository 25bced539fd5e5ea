// Boxes of Value, and Python's way of writing values down.
#include "nnm/base/value.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "nnm/base/pool.h"

namespace nnm {
namespace {

struct StringBox final : Object, Pooled {
  explicit StringBox(std::string s) : text(std::move(s)) {}
  std::string text;
};
struct ListBox final : Object, Pooled {
  explicit ListBox(Values v) : items(std::move(v)) {}
  Values items;
};
struct DictBox final : Object, Pooled {
  explicit DictBox(Items v) : entries(std::move(v)) {}
  Items entries;
};

constexpr const char* kUnitNames[] = {"", "step", "epoch", "s"};

std::string join_reprs(const Values& items) {
  std::string out;
  for (const Value& v : items) {
    if (!out.empty()) out += ", ";
    out += v.repr();
  }
  return out;
}

}  // namespace

Value::Value(std::string s) : Value(Kind::string, new StringBox(std::move(s))) {}

Value::Value(Kind kind, Object* o) : kind_(o ? kind : Kind::none) {
  if (o) {
    u_.o = o;
    o->retain();
  }
}

Value Value::list(Values items) { return Value(Kind::list, new ListBox(std::move(items))); }
Value Value::tuple(Values items) { return Value(Kind::tuple, new ListBox(std::move(items))); }
Value Value::dict(Items items) { return Value(Kind::dict, new DictBox(std::move(items))); }

Value Value::duration(double amount, Unit unit) {
  Value v(amount);
  v.kind_ = Kind::duration;
  v.unit_ = unit;
  return v;
}

Value Value::ellipsis() {
  Value v;
  v.kind_ = Kind::ellipsis;
  return v;
}

Value Value::slice(Value start, Value stop, Value step) {
  return Value(Kind::slice, new ListBox({std::move(start), std::move(stop), std::move(step)}));
}

void Value::throw_kind(const char* expected) const {
  fail(ErrorKind::type, "expected {}, got {}", expected, kind_ == Kind::tensor || kind_ == Kind::module ? type_name() : repr());
}

bool Value::boolean() const {
  if (kind_ != Kind::boolean) throw_kind("bool");
  return u_.b;
}

int64_t Value::integer() const {
  if (kind_ == Kind::boolean) return u_.b;
  if (kind_ != Kind::integer) throw_kind("int");
  return u_.i;
}

double Value::real() const {
  if (kind_ == Kind::real) return u_.d;
  if (kind_ == Kind::integer) return static_cast<double>(u_.i);
  if (kind_ == Kind::boolean) return u_.b;
  throw_kind("float");
}

Scalar Value::scalar() const {
  if (kind_ == Kind::boolean) return Scalar(u_.b);
  if (kind_ == Kind::integer) return Scalar(u_.i);
  if (kind_ == Kind::real) return Scalar(u_.d);
  throw_kind("number");
}

const std::string& Value::string() const {
  if (kind_ != Kind::string) throw_kind("str");
  return static_cast<StringBox*>(u_.o)->text;
}

DType Value::dtype() const {
  if (kind_ != Kind::dtype) throw_kind("dtype");
  return static_cast<DType>(u_.i);
}

double Value::amount() const {
  if (kind_ != Kind::duration) throw_kind("a duration such as `10 epochs`");
  return u_.d;
}

const Values& Value::items() const {
  if (!is_sequence() && kind_ != Kind::slice) throw_kind("list");
  return static_cast<ListBox*>(u_.o)->items;
}

Values& Value::mutable_items() {
  if (!is_sequence()) throw_kind("list");
  return static_cast<ListBox*>(u_.o)->items;
}

const Items& Value::entries() const {
  if (kind_ != Kind::dict) throw_kind("dict");
  return static_cast<DictBox*>(u_.o)->entries;
}

const Value* Value::find(std::string_view key) const {
  for (const auto& [k, v] : entries()) {
    if (k == key) return &v;
  }
  return nullptr;
}

Object* Value::object() const {
  if (!boxed()) throw_kind("object");
  return u_.o;
}

const char* Value::type_name() const {
  switch (kind_) {
    case Kind::none: return "NoneType";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::real: return "float";
    case Kind::string: return "str";
    case Kind::list: return "list";
    case Kind::tuple: return "tuple";
    case Kind::dict: return "dict";
    case Kind::tensor: return "Tensor";
    case Kind::module: return "Module";
    case Kind::dtype: return "dtype";
    case Kind::duration: return "duration";
    case Kind::callable: return "function";
    case Kind::slice: return "slice";
    case Kind::ellipsis: return "ellipsis";
    case Kind::object: return "object";
  }
  return "object";
}

std::string Value::repr() const {
  switch (kind_) {
    case Kind::none: return "None";
    case Kind::boolean: return u_.b ? "True" : "False";
    case Kind::integer: return std::to_string(u_.i);
    case Kind::real: return python_float(u_.d);
    case Kind::string: return python_string(string());
    case Kind::list: return "[" + join_reprs(items()) + "]";
    case Kind::tuple: return "(" + join_reprs(items()) + (items().size() == 1 ? ",)" : ")");
    case Kind::dict: {
      std::string out = "{";
      for (const auto& [k, v] : entries()) out += (out.size() > 1 ? ", " : "") + python_string(k) + ": " + v.repr();
      return out + "}";
    }
    case Kind::dtype: return std::string("torch.") + info(dtype()).torch_name;
    case Kind::duration: {
      const bool one = u_.d == 1 || unit_ == Unit::second;
      return fmt::format("{} {}{}", u_.d, kUnitNames[static_cast<int>(unit_)], one ? "" : "s");
    }
    case Kind::slice: return "slice(" + join_reprs(items()) + ")";
    case Kind::ellipsis: return "Ellipsis";
    default: return fmt::format("<{}>", type_name());
  }
}

std::string Value::str() const { return kind_ == Kind::string ? string() : repr(); }

bool Value::truthy() const {
  switch (kind_) {
    case Kind::none: return false;
    case Kind::boolean: return u_.b;
    case Kind::integer: return u_.i != 0;
    case Kind::real: return u_.d != 0;
    case Kind::string: return !string().empty();
    case Kind::list:
    case Kind::tuple: return !items().empty();
    case Kind::dict: return !entries().empty();
    default: return true;
  }
}

bool operator==(const Value& a, const Value& b) {
  using Kind = Value::Kind;
  if (a.is_number() && b.is_number()) {
    if (a.kind_ == Kind::real || b.kind_ == Kind::real) return a.real() == b.real();
    return a.integer() == b.integer();
  }
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Kind::none:
    case Kind::ellipsis: return true;
    case Kind::string: return a.string() == b.string();
    case Kind::list:
    case Kind::tuple:
    case Kind::slice: return a.items() == b.items();
    case Kind::dict: return a.entries() == b.entries();
    case Kind::dtype: return a.u_.i == b.u_.i;
    case Kind::duration: return a.u_.d == b.u_.d && a.unit_ == b.unit_;
    default: return a.u_.o == b.u_.o;
  }
}

std::string python_float(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), d, std::chars_format::scientific).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  const size_t e = text.find('e');
  int exponent = 0;
  const char* from = text.data() + e + 1 + (text[e + 1] == '+');
  std::from_chars(from, text.data() + text.size(), exponent);
  // Python writes an exponent outside of [1e-4, 1e16).
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02d}", text.substr(0, e), exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  char fixed[64];
  const auto fixed_end = std::to_chars(fixed, fixed + sizeof(fixed), d, std::chars_format::fixed).ptr;
  std::string out(fixed, fixed_end);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string python_string(std::string_view s) {
  const bool double_quotes = s.find('\'') != std::string_view::npos && s.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (char c : s) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    } else {
      if (c == quote || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + quote;
}

}  // namespace nnm
