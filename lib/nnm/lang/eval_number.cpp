// Python's arithmetic of numbers, sequences and durations.
#include <cmath>

#include "nnm/lang/eval.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

[[noreturn]] void throw_overflow(std::string_view op, const Value& a, const Value& b) {
  fail(ErrorKind::value, "integer overflow in {} {} {}: integers have 64 bits", a.config_text(), op,
       b.config_text());
}

[[noreturn]] void throw_unsupported(std::string_view op, const Value& a, const Value& b) {
  fail(ErrorKind::type, "unsupported operands of `{}`: {} and {}", op, a.type_name(),
       b.type_name());
}

double floor_mod(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

int64_t integer_power(const Value& base, const Value& exponent) {
  int64_t result = 1, factor = base.integer();
  for (int64_t n = exponent.integer(); n > 0; n >>= 1) {
    if ((n & 1) && __builtin_mul_overflow(result, factor, &result))
      throw_overflow("**", base, exponent);
    // A factor that is not needed any more may overflow.
    if (n > 1 && __builtin_mul_overflow(factor, factor, &factor))
      throw_overflow("**", base, exponent);
  }
  return result;
}

Value power(const Value& a, const Value& b) {
  const double x = a.real(), y = b.real();
  const bool integers = !a.is(Kind::real) && !b.is(Kind::real);
  if (integers && b.integer() >= 0) return integer_power(a, b);
  NNM_CHECK(x != 0 || y >= 0, value, "0 cannot be raised to the negative power {}",
            b.config_text());
  NNM_CHECK(x >= 0 || y == std::floor(y), value,
            "{} cannot be raised to the fraction {}: the result is not real", a.config_text(),
            b.config_text());
  return std::pow(x, y);
}

Value integer_binary(std::string_view op, const Value& a, const Value& b) {
  const int64_t x = a.integer(), y = b.integer();
  int64_t r = 0;
  switch (op[0]) {
    case '+':
      if (__builtin_add_overflow(x, y, &r)) throw_overflow(op, a, b);
      return r;
    case '-':
      if (__builtin_sub_overflow(x, y, &r)) throw_overflow(op, a, b);
      return r;
    case '*':
      if (__builtin_mul_overflow(x, y, &r)) throw_overflow(op, a, b);
      return r;
    default: break;
  }
  NNM_CHECK(y != 0, value, "division by zero: {} {} 0", a.config_text(), op);
  if (y == -1) {  // the one case in which the quotient leaves the range
    if (op == "%") return int64_t{0};
    if (__builtin_sub_overflow(int64_t{0}, x, &r)) throw_overflow(op, a, b);
    return r;
  }
  const int64_t quotient = x / y, rest = x % y;
  const bool down = rest != 0 && (rest < 0) != (y < 0);
  return op == "%" ? rest + (down ? y : 0) : quotient - (down ? 1 : 0);
}

Value number_binary(std::string_view op, const Value& a, const Value& b) {
  if (op == "**") return power(a, b);
  if (op != "/" && !a.is(Kind::real) && !b.is(Kind::real)) return integer_binary(op, a, b);
  const double x = a.real(), y = b.real();
  if (op == "+") return x + y;
  if (op == "-") return x - y;
  if (op == "*") return x * y;
  NNM_CHECK(y != 0, value, "division by zero: {} {} {}", a.config_text(), op, b.config_text());
  if (op == "/") return x / y;
  return op == "%" ? floor_mod(x, y) : std::floor(x / y);
}

void check_length(int64_t n) {
  NNM_CHECK(n <= kMaxItems, value, "a length of {} is more than the {} allowed", n, kMaxItems);
}

Value joined(const Value& a, const Value& b) {
  Values out = a.items();
  check_length(extent(a) + extent(b));
  out.insert(out.end(), b.items().begin(), b.items().end());
  return a.is(Kind::list) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

Value repeated(const Value& v, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const auto n = static_cast<int64_t>(v.is(Kind::string) ? v.string().size() : v.items().size());
  check_length(n && times > kMaxItems ? times : n ? extent(v) * times : 0);
  if (v.is(Kind::string)) {
    std::string out;
    for (int64_t i = 0; n && i < times; ++i) out += v.string();
    return out;
  }
  Values out;
  for (int64_t i = 0; n && i < times; ++i)
    out.insert(out.end(), v.items().begin(), v.items().end());
  return v.is(Kind::list) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

/// Durations add within a unit and are scaled by numbers.
std::optional<Value> duration_binary(std::string_view op, const Value& a, const Value& b) {
  const bool both = a.is(Kind::duration) && b.is(Kind::duration);
  if (both && a.unit() == b.unit()) {
    if (op == "+") return Value::duration(a.amount() + b.amount(), a.unit());
    if (op == "-") return Value::duration(a.amount() - b.amount(), a.unit());
    if (op == "/" && b.amount() != 0) return a.amount() / b.amount();
  }
  if (op == "*" && a.is(Kind::duration) && b.is_number())
    return Value::duration(a.amount() * b.real(), a.unit());
  if (op == "*" && b.is(Kind::duration) && a.is_number())
    return Value::duration(a.real() * b.amount(), b.unit());
  if (op == "/" && a.is(Kind::duration) && b.is_number() && b.real() != 0)
    return Value::duration(a.amount() / b.real(), a.unit());
  return std::nullopt;
}

bool countable(const Value& v) { return v.is_sequence() || v.is(Kind::string); }

bool is_index(const Value& v) { return v.is(Kind::integer) || v.is(Kind::boolean); }

}  // namespace

int64_t extent(const Value& v, int depth) {
  constexpr int kMaxNesting = 64;
  if (v.is(Kind::string)) return static_cast<int64_t>(v.string().size());
  if (!v.is_sequence()) return 1;
  NNM_CHECK(depth < kMaxNesting, value, "lists nested deeper than {}", kMaxNesting);
  int64_t n = 0;
  for (const Value& item : v.items()) {
    n += extent(item, depth + 1);
    NNM_CHECK(n <= kMaxItems, value, "lists of more than {} items, those in them counted",
              kMaxItems);
  }
  return n;
}

Value binary(std::string_view op, const Value& a, const Value& b) {
  if (a.is(Kind::tensor) || b.is(Kind::tensor)) return detail::tensor_binary(op, a, b);
  if (op == "@")
    fail(ErrorKind::type, "`@` needs tensors, got {} and {}", a.type_name(), b.type_name());
  if (a.is_number() && b.is_number()) return number_binary(op, a, b);
  if (op == "+" && a.is(Kind::string) && b.is(Kind::string)) {
    check_length(static_cast<int64_t>(a.string().size() + b.string().size()));
    return a.string() + b.string();
  }
  if (op == "+" && a.is_sequence() && a.kind() == b.kind()) return joined(a, b);
  if (op == "*" && countable(a) && is_index(b)) return repeated(a, b.integer());
  if (op == "*" && countable(b) && is_index(a)) return repeated(b, a.integer());
  if (const auto d = duration_binary(op, a, b)) return *d;
  throw_unsupported(op, a, b);
}

Value unary(std::string_view op, const Value& a) {
  if (op == "not") return !truth(a);
  if (a.is(Kind::tensor)) return op == "+" ? a : detail::tensor_negative(a);
  NNM_CHECK(a.is_number(), type, "`{}` needs a number, got {}", op, a.type_name());
  if (op == "+") return a.is(Kind::boolean) ? Value(a.integer()) : a;
  if (a.is(Kind::real)) return -a.real();
  int64_t r = 0;
  NNM_CHECK(!__builtin_sub_overflow(int64_t{0}, a.integer(), &r), value,
            "integer overflow in -({}): integers have 64 bits", a.integer());
  return r;
}

namespace {

/// -1, 0, 1; 2 where a NaN takes part. A long double holds every int64 and every double.
int order(const Value& a, const Value& b) {
  const auto wide = [](const Value& v) {
    return v.is(Kind::real) ? static_cast<long double>(v.real())
                            : static_cast<long double>(v.integer());
  };
  if (a.is_number() && b.is_number()) {
    const long double x = wide(a), y = wide(b);
    if (std::isnan(x) || std::isnan(y)) return 2;
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.is(Kind::string) && b.is(Kind::string)) {
    const int c = a.string().compare(b.string());
    return c < 0 ? -1 : c > 0 ? 1 : 0;
  }
  if (a.is(Kind::duration) && b.is(Kind::duration) && a.unit() == b.unit())
    return order(a.amount(), b.amount());
  if (a.is_sequence() && a.kind() == b.kind()) {
    const size_t n = std::min(a.items().size(), b.items().size());
    for (size_t i = 0; i < n; ++i) {
      if (!(a.items()[i] == b.items()[i])) return order(a.items()[i], b.items()[i]);
    }
    return order(static_cast<int64_t>(a.items().size()), static_cast<int64_t>(b.items().size()));
  }
  fail(ErrorKind::type, "{} and {} have no order", a.type_name(), b.type_name());
}

bool contains(const Value& item, const Value& in) {
  if (in.is(Kind::string)) {
    NNM_CHECK(item.is(Kind::string), type, "`in` a string needs a string, got {}",
              item.type_name());
    return in.string().find(item.string()) != std::string::npos;
  }
  if (in.is(Kind::dict)) return item.is(Kind::string) && in.find(item.string());
  if (in.is(Kind::module) && has_keys(*in.as<Ref<Module>>())) {
    const std::vector<std::string> keys = keys_of(*in.as<Ref<Module>>());
    return item.is(Kind::string) &&
           std::find(keys.begin(), keys.end(), item.string()) != keys.end();
  }
  NNM_CHECK(in.is_sequence(), type, "`in` needs a list, tuple, string or dict, got {}",
            in.type_name());
  for (const Value& v : in.items()) {
    if (v == item) return true;
  }
  return false;
}

/// Identity: of plain values, equality of kind and value.
bool same(const Value& a, const Value& b) { return a.kind() == b.kind() && a == b; }

}  // namespace

Value compare(std::string_view op, const Value& a, const Value& b) {
  if (op == "is") return same(a, b);
  if (op == "is not") return !same(a, b);
  const bool membership = op == "in" || op == "not in";
  if (membership) return contains(a, b) == (op == "in");
  if (a.is(Kind::tensor) || b.is(Kind::tensor)) return detail::tensor_compare(op, a, b);
  if (op == "==" || op == "!=") {
    // The shape of a tensor is a tuple; `x.shape == [2, 3]` means what it says.
    const bool sequences = a.is_sequence() && b.is_sequence();
    return (sequences ? a.items() == b.items() : a == b) == (op == "==");
  }
  const int c = order(a, b);
  if (c == 2) return false;
  if (op == "<") return c < 0;
  if (op == "<=") return c <= 0;
  return op == ">" ? c > 0 : c >= 0;
}

}  // namespace nnm::lang
