// Argument types: their text form and the conversion of values to them.
#include <algorithm>
#include <array>
#include <cmath>

#include "nnm/base/literal.h"
#include "nnm/base/signature.h"

namespace nnm {

namespace {

using Base = ArgType::Base;

// In the order of Base.
constexpr std::array<const char*, 10> kBaseNames = {"any", "bool",  "int",    "float",  "number",
                                                    "str", "dtype", "module", "Tensor", "duration"};

const char* base_name(Base b) { return kBaseNames[static_cast<size_t>(b)]; }

bool numeric(Base b) { return b == Base::integer || b == Base::real || b == Base::number; }

/// A bound in the shortest text: `1`, `0.5`, `1e-05`.
std::string bound_text(double d) {
  return d == std::floor(d) && std::abs(d) < 1e15 ? fmt::format("{:.0f}", d) : python_float(d);
}

void parse_range(Scanner& s, ArgType& t) {
  if (!numeric(t.base)) s.fail(fmt::format("`{}` has no range", base_name(t.base)));
  t.exclusive_min = s.accept(">");
  if (!s.accept("..")) {
    t.min = s.number();
    if (!s.accept("..") && !t.exclusive_min) s.fail("expected `..`");
  }
  if (s.accept(")")) return;
  t.max = s.number();
  s.expect(")");
  if (t.min && *t.max < *t.min) s.fail("the range is empty");
}

void parse_choices(Scanner& s, ArgType& t) {
  do {
    const Value v = s.literal();
    if (!v.is(Value::Kind::string)) s.fail("expected a string");
    t.choices.push_back(v.string());
  } while (s.accept(","));
  s.expect(")");
}

}  // namespace

ArgType ArgType::parse(Scanner& s) {
  ArgType t;
  const std::string name = s.name();
  const auto it = std::find(kBaseNames.begin(), kBaseNames.end(), name);
  if (it == kBaseNames.end()) {
    throw Error(ErrorKind::value, fmt::format("unknown type `{}`", name),
                did_you_mean(name, {kBaseNames.begin(), kBaseNames.end()},
                             "write one of int, float, bool, str, dtype, module"));
  }
  t.base = static_cast<Base>(it - kBaseNames.begin());
  if (s.accept("(")) t.base == Base::string ? parse_choices(s, t) : parse_range(s, t);
  if (s.accept("[")) {
    if (s.accept("]")) {
      t.list = true;
    } else {
      const Value n = s.literal();
      if (!n.is(Value::Kind::integer) || n.integer() < 1 || n.integer() > 64) {
        s.fail("expected a length from 1 to 64");
      }
      t.tuple = static_cast<int>(n.integer());
      s.expect("]");
    }
  }
  t.optional = s.accept("?");
  return t;
}

namespace {

/// Whether a text is a number in quotes.
bool is_number_text(const Value& v) {
  if (!v.is(Value::Kind::string)) return false;
  try {
    return parse_literal(v.string()).is_number();
  } catch (const Error&) {
    return false;
  }
}

/// What to write instead, where it can be guessed.
std::string advice(const ArgType& t, const Value& v) {
  if (t.base == Base::integer && v.is(Value::Kind::real) && std::floor(v.real()) == v.real())
    return "`/` gives a float, `//` divides to an integer";
  if (numeric(t.base) && is_number_text(v))
    return fmt::format("a number stands without quotes: {}", v.string());
  if (numeric(t.base) && v.is(Value::Kind::string) && v.string().find("vars.") != std::string::npos)
    return fmt::format("values of `vars:` are data; an expression there is `${{{}}}`", v.string());
  if (t.base == Base::tensor && !t.list && v.is_sequence())
    return fmt::format("write `tensor({})`", v.config_text());
  return "";
}

[[noreturn]] void throw_expected(const ArgType& t, const Value& v) {
  std::string type = t.text();
  if (t.tuple > 0) type = fmt::format("{} or a tuple of {}", base_name(t.base), t.tuple);
  const bool handle = v.is(Value::Kind::tensor) || v.is(Value::Kind::module);
  throw Error(ErrorKind::type,
              fmt::format("expected {}, got {}", type, handle ? v.type_name() : v.config_text()),
              advice(t, v));
}

void check_limits(const ArgType& t, const Value& v) {
  if ((t.min || t.max) && v.is_number()) {
    const double d = v.real();
    const auto complain = [&](const char* what, double bound) {
      throw Error(ErrorKind::value,
                  fmt::format("must be {} {}, got {}", what, bound_text(bound), v.config_text()));
    };
    // Written so that NaN fails.
    if (t.min && t.exclusive_min && !(d > *t.min)) complain("greater than", *t.min);
    if (t.min && !t.exclusive_min && !(d >= *t.min)) complain("at least", *t.min);
    if (t.max && !(d <= *t.max)) complain("at most", *t.max);
  }
  if (!t.choices.empty() && v.is(Value::Kind::string)) {
    if (std::find(t.choices.begin(), t.choices.end(), v.string()) != t.choices.end()) return;
    std::string all;
    for (const std::string& c : t.choices) {
      all += (all.empty() ? "" : ", ") + Value(c).config_text();
    }
    const std::string near = nearest(v.string(), t.choices);
    throw Error(ErrorKind::value, fmt::format("must be one of {}, got {}", all, v.config_text()),
                near.empty() ? "" : fmt::format("did you mean {}?", Value(near).config_text()));
  }
}

bool fits(Base base, const Value& v) {
  using Kind = Value::Kind;
  switch (base) {
    case Base::any: return true;
    case Base::boolean: return v.is(Kind::boolean);
    case Base::integer: return v.is(Kind::integer);
    case Base::real:
    case Base::number: return v.is(Kind::integer) || v.is(Kind::real);
    case Base::string: return v.is(Kind::string);
    case Base::dtype: return v.is(Kind::dtype);
    case Base::module: return v.is(Kind::module) || v.is(Kind::callable);
    case Base::tensor: return v.is(Kind::tensor);
    case Base::duration:
      // A bare number stands in the unit of the key it is given to.
      return v.is(Kind::duration) || v.is(Kind::integer) || v.is(Kind::real);
  }
  return false;
}

/// One element; `whole` is the argument's type and value, for the message.
Value convert_element(const ArgType& t, const Value& element, const Value& whole) {
  if (!fits(t.base, element)) throw_expected(t, whole);
  check_limits(t, element);
  return t.base == Base::real ? Value(element.real()) : element;
}

}  // namespace

ArgType ArgType::parse(std::string_view text) {
  Scanner s(text);
  ArgType t = parse(s);
  if (!s.at_end()) s.fail("unexpected text");
  return t;
}

std::string ArgType::text() const {
  std::string out = base_name(base);
  if (!choices.empty()) {
    out += '(';
    for (size_t i = 0; i < choices.size(); ++i) {
      out += (i ? ", " : "") + Value(choices[i]).config_text();
    }
    out += ')';
  } else if (min || max) {
    out += fmt::format("({}{}..{})", exclusive_min ? ">" : "", min ? bound_text(*min) : "",
                       max ? bound_text(*max) : "");
  }
  if (list) out += "[]";
  if (tuple > 0) out += fmt::format("[{}]", tuple);
  if (optional) out += '?';
  return out;
}

Value ArgType::convert(const Value& v) const {
  if (v.is_none() && (optional || (base == Base::any && !list && tuple == 0))) return v;
  if (!list && (tuple == 0 || !v.is_sequence())) return convert_element(*this, v, v);
  if (!v.is_sequence()) {
    // PyTorch takes a bare int where a list of them is meant: LayerNorm(768).
    if (base != Base::integer || !v.is(Value::Kind::integer)) throw_expected(*this, v);
    return Value::list({convert_element(*this, v, v)});
  }
  const Values& items = v.items();
  if (tuple > 0 && items.size() != static_cast<size_t>(tuple)) {
    fail(ErrorKind::type, "expected {} value{}, got {} in {}", tuple, tuple == 1 ? "" : "s",
         items.size(), v.config_text());
  }
  Values out;
  out.reserve(items.size());
  for (const Value& item : items) out.push_back(convert_element(*this, item, v));
  return tuple > 0 ? Value::tuple(std::move(out)) : Value::list(std::move(out));
}

}  // namespace nnm
