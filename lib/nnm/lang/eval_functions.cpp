// The functions of plain values: Python's built-ins and mathematics, and pairs.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "nnm/lang/eval.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

/// The entries of a mapping, of named outputs or of a module that is a dict.
Items entries_of(const Value& v) {
  if (v.is(Kind::dict)) return v.entries();
  NNM_CHECK(v.is(Kind::module) && has_keys(*v.as<Ref<Module>>()), type,
            "expected a mapping, got {}", v.type_name());
  const Ref<Module> m = v.as<Ref<Module>>();
  Items out;
  for (const std::string& key : keys_of(*m)) out.emplace_back(key, m->get_attribute(key));
  return out;
}
Value keys(const Value* a) {
  Values out;
  for (const auto& [key, value] : entries_of(a[0])) out.push_back(key);
  return Value::list(std::move(out));
}
Value values(const Value* a) {
  Values out;
  for (const auto& [key, value] : entries_of(a[0])) out.push_back(value);
  return Value::list(std::move(out));
}
Value items(const Value* a) {
  Values out;
  for (const auto& [key, value] : entries_of(a[0])) out.push_back(Value::tuple({key, value}));
  return Value::list(std::move(out));
}

Value len(const Value* a) {
  if (a[0].is(Kind::dict)) return static_cast<int64_t>(a[0].entries().size());
  return static_cast<int64_t>(iterate(a[0]).size());
}

Value range(const Value* a) {
  const Values& given = a[0].items();
  NNM_CHECK(!given.empty() && given.size() <= 3, type, "range takes 1 to 3 arguments, got {}",
            given.size());
  const int64_t start = given.size() > 1 ? given[0].integer() : 0;
  const int64_t stop = given[given.size() > 1 ? 1 : 0].integer();
  const int64_t step = given.size() > 2 ? given[2].integer() : 1;
  NNM_CHECK(step != 0, value, "range() arg 3 must not be zero");
  // Unsigned, since stop - start may leave the range of int64.
  const uint64_t gap = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t stride =
      step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const bool none = step > 0 ? stop <= start : stop >= start;
  const uint64_t n = none ? 0 : (gap - 1) / stride + 1;
  NNM_CHECK(n <= static_cast<uint64_t>(kMaxItems), value,
            "a range of {} items is more than the {} allowed", n, kMaxItems);
  Values out;
  out.reserve(n);
  for (uint64_t i = 0; i < n; ++i) out.push_back(start + static_cast<int64_t>(i) * step);
  return Value::list(std::move(out));
}

Value enumerate(const Value* a) {
  Values out;
  int64_t i = a[1].integer();
  for (Value& v : iterate(a[0])) out.push_back(Value::tuple({i++, std::move(v)}));
  return Value::list(std::move(out));
}

Value pairs(const Value* a) {
  const Values items = iterate(a[0]);
  Values out;
  for (size_t i = 1; i < items.size(); ++i) out.push_back(Value::tuple({items[i - 1], items[i]}));
  return Value::list(std::move(out));
}

Value zip(const Value* a) {
  std::vector<Values> columns;
  for (const Value& v : a[0].items()) columns.push_back(iterate(v));
  size_t n = columns.empty() ? 0 : columns[0].size();
  for (const Values& c : columns) n = std::min(n, c.size());
  Values out;
  for (size_t i = 0; i < n; ++i) {
    Values row;
    for (const Values& c : columns) row.push_back(c[i]);
    out.push_back(Value::tuple(std::move(row)));
  }
  return Value::list(std::move(out));
}

Value sum(const Value* a) {
  Value total = a[1];
  for (const Value& v : iterate(a[0])) total = binary("+", total, v);
  return total;
}

Value prod(const Value* a) {
  Value total(1);
  for (const Value& v : iterate(a[0])) total = binary("*", total, v);
  return total;
}

/// min(xs) or min(a, b, …).
Value extreme(const Value* a, const char* name, const char* better) {
  const Values& given = a[0].items();
  const Values items = given.size() == 1 ? iterate(given[0]) : given;
  NNM_CHECK(!items.empty(), value, "{} of nothing", name);
  Value best = items[0];
  for (const Value& v : items) {
    if (truth(compare(better, v, best))) best = v;
  }
  return best;
}
Value min_of(const Value* a) { return extreme(a, "min", "<"); }
Value max_of(const Value* a) { return extreme(a, "max", ">"); }

Value abs_of(const Value* a) {
  if (a[0].is(Kind::real)) return std::fabs(a[0].real());
  return a[0].integer() < 0 ? unary("-", a[0]) : Value(a[0].integer());
}

int64_t to_integer(double d) {
  NNM_CHECK(d >= -0x1p63 && d < 0x1p63, value, "{} is no 64-bit integer", python_float(d));
  return static_cast<int64_t>(d);
}

Value round_of(const Value* a) {
  if (a[1].is_none())
    return a[0].is(Kind::real) ? Value(to_integer(std::nearbyint(a[0].real()))) : a[0];
  if (!a[0].is(Kind::real)) return a[0];
  const int64_t digits = std::clamp<int64_t>(a[1].integer(), -308, 308);
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(a[0].real() / unit) * unit;
  }
  // Rounding the decimal expansion is exact, as Python's round is.
  return std::stod(fmt::format("{:.{}f}", a[0].real(), digits));
}

template <double (*F)(double)>
Value real_function(const Value* a) {
  return F(a[0].real());
}

Value sqrt_of(const Value* a) {
  NNM_CHECK(a[0].real() >= 0, value, "sqrt of the negative {}", a[0].config_text());
  return std::sqrt(a[0].real());
}

template <double (*F)(double)>
Value logarithm(const Value* a) {
  NNM_CHECK(a[0].real() > 0, value, "the logarithm of {}, which is not positive",
            a[0].config_text());
  return F(a[0].real());
}

Value log_of(const Value* a) {
  Value natural = logarithm<std::log>(a);
  if (a[1].is_none()) return natural;
  return natural.real() / logarithm<std::log>(a + 1).real();
}

Value floor_of(const Value* a) {
  return a[0].is(Kind::real) ? Value(to_integer(std::floor(a[0].real()))) : Value(a[0].integer());
}
Value ceil_of(const Value* a) {
  return a[0].is(Kind::real) ? Value(to_integer(std::ceil(a[0].real()))) : Value(a[0].integer());
}

template <class T>
T number_of(const std::string& text, const char* what) {
  T out{};
  const auto r = std::from_chars(text.data(), text.data() + text.size(), out);
  NNM_CHECK(r.ec == std::errc() && r.ptr == text.data() + text.size(), value, "{} is no {}",
            Value(text).config_text(), what);
  return out;
}

Value int_of(const Value* a) {
  if (a[0].is(Kind::string)) return number_of<int64_t>(a[0].string(), "int");
  return a[0].is(Kind::real) ? Value(to_integer(a[0].real())) : Value(a[0].integer());
}
Value float_of(const Value* a) {
  if (a[0].is(Kind::string)) return number_of<double>(a[0].string(), "float");
  return a[0].real();
}
Value bool_of(const Value* a) { return truth(a[0]); }
Value str_of(const Value* a) { return a[0].is(Kind::string) ? a[0].string() : a[0].config_text(); }
Value list_of(const Value* a) { return Value::list(iterate(a[0])); }
Value tuple_of(const Value* a) { return Value::tuple(iterate(a[0])); }

Value sorted(const Value* a) {
  Values items = iterate(a[0]);
  const char* op = a[1].boolean() ? ">" : "<";
  std::stable_sort(items.begin(), items.end(),
                   [&](const Value& x, const Value& y) { return truth(compare(op, x, y)); });
  return Value::list(std::move(items));
}
Value reversed(const Value* a) {
  Values items = iterate(a[0]);
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items));
}
Value any_of(const Value* a) {
  const Values items = iterate(a[0]);
  return std::any_of(items.begin(), items.end(), truth);
}
Value all_of(const Value* a) {
  const Values items = iterate(a[0]);
  return std::all_of(items.begin(), items.end(), truth);
}
Value power(const Value* a) { return binary("**", a[0], a[1]); }

const Function kNative[] = {
    {"len(x: any)", "how many items a list, text or tensor has", len},
    {"range(*args: int)", "the integers from start (0) below stop by step (1), as a list", range},
    {"enumerate(xs: any, start: int = 0)", "pairs (i, item)", enumerate},
    {"pairs(xs: any)", "neighbours: pairs([a, b, c]) is [(a, b), (b, c)]", pairs},
    {"keys(xs: any)", "the names in a mapping, in named outputs or in a ModuleDict", keys},
    {"values(xs: any)", "what stands under these names", values},
    {"items(xs: any)", "pairs (name, value) of these", items},
    {"zip(*xs: any)", "tuples of the items that stand at the same place", zip},
    {"sum(xs: any, start: any = 0)", "the sum of a list's items", sum},
    {"prod(xs: any)", "the product of a list's items", prod},
    {"min(*xs: any)", "the least of a list or of the arguments", min_of},
    {"max(*xs: any)", "the greatest of a list or of the arguments", max_of},
    {"abs(x: number)", "|x|", abs_of},
    {"round(x: number, digits: int = none)", "to an int, or to digits; halves to even", round_of},
    {"sqrt(x: number)", "square root", sqrt_of},
    {"exp(x: number)", "e^x", real_function<std::exp>},
    {"log(x: number, base: number = none)", "natural logarithm, or to a base", log_of},
    {"log2(x: number)", "logarithm to 2", logarithm<std::log2>},
    {"log10(x: number)", "logarithm to 10", logarithm<std::log10>},
    {"sin(x: number)", "sine", real_function<std::sin>},
    {"cos(x: number)", "cosine", real_function<std::cos>},
    {"tan(x: number)", "tangent", real_function<std::tan>},
    {"tanh(x: number)", "hyperbolic tangent", real_function<std::tanh>},
    {"floor(x: number)", "the next integer below", floor_of},
    {"ceil(x: number)", "the next integer above", ceil_of},
    {"pow(x: number, exponent: number)", "x ** exponent", power},
    {"int(x: any)", "as an integer, towards zero", int_of},
    {"float(x: any)", "as a float", float_of},
    {"bool(x: any)", "its truth", bool_of},
    {"str(x: any)", "as text", str_of},
    {"list(x: any)", "its items as a list", list_of},
    {"tuple(x: any)", "its items as a tuple", tuple_of},
    {"sorted(xs: any, reverse: bool = false)", "the items in order", sorted},
    {"reversed(xs: any)", "the items backwards", reversed},
    {"any(xs: any)", "whether one item is true", any_of},
    {"all(xs: any)", "whether all items are true", all_of},
};

const std::map<std::string_view, const Function*>& table() {
  static const auto* t = [] {
    auto* out = new std::map<std::string_view, const Function*>();
    for (const Function& f : kNative) {
      const std::string_view text = f.signature_text;
      out->emplace(text.substr(0, text.find('(')), &f);
    }
    return out;
  }();
  return *t;
}

}  // namespace

const Function* find_native(std::string_view name) {
  const auto it = table().find(name);
  return it == table().end() ? nullptr : it->second;
}

std::vector<std::string_view> native_names() {
  std::vector<std::string_view> out;
  for (const auto& [name, f] : table()) out.push_back(name);
  return out;
}

}  // namespace nnm::lang
