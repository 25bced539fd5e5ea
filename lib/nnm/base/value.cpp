// Value's boxes, checked access, Python's spelling and equality.
#include "nnm/base/value.h"

#include <algorithm>
#include <cmath>

#include "nnm/base/pool.h"

namespace nnm {

void detail::check_movable(const Object& o) {
  NNM_CHECK(o.use_count() == 0, runtime, "a {} that others hold cannot be moved", o.value_text());
}

namespace {

struct StringBox final : Object, Pooled {
  explicit StringBox(std::string s) : text(std::move(s)) {}
  std::string text;
};
struct ItemsBox final : Object, Pooled {
  explicit ItemsBox(Values v) : items(std::move(v)) {}
  Values items;
};
struct DictBox final : Object, Pooled {
  explicit DictBox(Items v) : entries(std::move(v)) {}
  Items entries;
};

}  // namespace

Value::Value(std::string s) : Value(Kind::string, new StringBox(std::move(s))) {}

Value::Value(Kind kind, Object* o) : kind_(o ? kind : Kind::none) {
  if (!o) return;
  u_.o = o;
  o->retain();
}

Value Value::list(Values items) { return Value(Kind::list, new ItemsBox(std::move(items))); }
Value Value::tuple(Values items) { return Value(Kind::tuple, new ItemsBox(std::move(items))); }
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
  for (const Value* part : {&start, &stop, &step}) {
    NNM_CHECK(part->is_none() || part->is(Kind::integer), type,
              "slice indices must be integers or none, got {}", part->repr());
  }
  return Value(Kind::slice,
               new ItemsBox(Values{std::move(start), std::move(stop), std::move(step)}));
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
  if (kind_ != Kind::boolean) throw_kind("float");
  return u_.b;
}

Scalar Value::scalar() const {
  switch (kind_) {
    case Kind::boolean: return u_.b;
    case Kind::integer: return u_.i;
    case Kind::real: return u_.d;
    default: throw_kind("number");
  }
}

const std::string& Value::string() const {
  if (kind_ != Kind::string) throw_kind("str");
  return static_cast<const StringBox*>(u_.o)->text;
}

DType Value::dtype() const {
  if (kind_ != Kind::dtype) throw_kind("dtype");
  return static_cast<DType>(u_.i);
}

double Value::amount() const {
  if (kind_ != Kind::duration) throw_kind("duration");
  return u_.d;
}

const Values& Value::items() const {
  if (!is_sequence() && kind_ != Kind::slice) throw_kind("list or tuple");
  return static_cast<const ItemsBox*>(u_.o)->items;
}

const Items& Value::entries() const {
  if (kind_ != Kind::dict) throw_kind("dict");
  return static_cast<const DictBox*>(u_.o)->entries;
}

Values& Value::mutable_items() {
  if (kind_ != Kind::list) throw_kind("list");
  return static_cast<ItemsBox*>(u_.o)->items;
}

const Value* Value::find(std::string_view key) const {
  for (const auto& [name, value] : entries()) {
    if (name == key) return &value;
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

void Value::throw_kind(const char* expected) const {
  fail(ErrorKind::type, "expected {}, got {}", expected, type_name());
}

bool Value::truthy() const {
  switch (kind_) {
    case Kind::none: return false;
    case Kind::boolean: return u_.b;
    case Kind::integer: return u_.i != 0;
    case Kind::real: return u_.d != 0;
    case Kind::duration: return u_.d != 0;
    case Kind::string: return !string().empty();
    case Kind::list:
    case Kind::tuple: return !items().empty();
    case Kind::dict: return !entries().empty();
    default: return true;
  }
}

namespace {

/// Python compares an int and a float by their exact values, without rounding the int.
bool equal_exactly(int64_t i, double d) {
  if (!(d >= -0x1p63 && d < 0x1p63) || d != std::floor(d)) return false;
  return static_cast<int64_t>(d) == i;
}

bool equal_numbers(const Scalar& a, const Scalar& b) {
  const bool a_real = a.kind == Scalar::Kind::real, b_real = b.kind == Scalar::Kind::real;
  if (a_real && b_real) return a.d == b.d;
  if (a_real) return equal_exactly(b.i, a.d);
  if (b_real) return equal_exactly(a.i, b.d);
  return a.i == b.i;
}

bool equal_dicts(const Value& a, const Value& b) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& e) {
    const Value* other = b.find(e.first);
    return other && e.second == *other;
  });
}

}  // namespace

bool operator==(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return equal_numbers(a.scalar(), b.scalar());
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Value::Kind::none:
    case Value::Kind::ellipsis: return true;
    case Value::Kind::string: return a.string() == b.string();
    case Value::Kind::list:
    case Value::Kind::tuple:
    case Value::Kind::slice: return a.items() == b.items();
    case Value::Kind::dict: return equal_dicts(a, b);
    case Value::Kind::dtype: return a.u_.i == b.u_.i;
    case Value::Kind::duration: return a.u_.d == b.u_.d && a.unit_ == b.unit_;
    default: return a.u_.o == b.u_.o;
  }
}

}  // namespace nnm
