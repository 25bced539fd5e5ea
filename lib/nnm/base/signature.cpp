// Reading signatures, and binding calls to them.
#include "nnm/base/signature.h"

#include <algorithm>
#include <charconv>
#include <cctype>

#include <fmt/ranges.h>

namespace nnm {
namespace {

using Base = ArgType::Base;

struct BaseName { const char* name; Base base; };
constexpr BaseName kBases[] = {{"any", Base::any},       {"bool", Base::boolean},   {"int", Base::integer},
                               {"float", Base::real},    {"number", Base::number},  {"str", Base::string},
                               {"dtype", Base::dtype},   {"module", Base::module},  {"Tensor", Base::tensor},
                               {"duration", Base::duration}};

/// A cursor over signature text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  void skip() { while (at_ < text_.size() && std::isspace(static_cast<uint8_t>(text_[at_]))) ++at_; }
  bool done() { skip(); return at_ >= text_.size(); }
  char peek() { skip(); return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view s) {
    skip();
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  void need(std::string_view s) { if (!take(s)) bad(fmt::format("expected `{}`", s)); }
  std::string name() {
    skip();
    const size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<uint8_t>(text_[at_])) || text_[at_] == '_')) ++at_;
    if (start == at_) bad("expected a name");
    return std::string(text_.substr(start, at_ - start));
  }
  std::optional<double> number() {
    skip();
    double v = 0;
    const char* end = text_.data() + text_.size();
    auto [p, ec] = std::from_chars(text_.data() + at_, end, v);
    if (ec != std::errc()) return std::nullopt;
    // `1..` is a bound followed by a range, not the number `1.`.
    size_t stop = static_cast<size_t>(p - text_.data());
    if (stop > at_ && text_[stop - 1] == '.' && stop < text_.size() && text_[stop] == '.') --stop;
    at_ = stop;
    return v;
  }
  std::string quoted() {
    skip();
    const char q = text_[at_++];
    const size_t end = text_.find(q, at_);
    if (end == std::string_view::npos) bad("unbalanced quotes");
    std::string s(text_.substr(at_, end - at_));
    at_ = end + 1;
    return s;
  }
  size_t position() const { return at_; }
  std::string_view since(size_t start) const { return text_.substr(start, at_ - start); }
  [[noreturn]] void bad(const std::string& why) const {
    fail(ErrorKind::value, "in `{}`, at `{}`: {}", text_, text_.substr(std::min(at_, text_.size())), why);
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

void read_choices_or_range(Cursor& c, ArgType& t) {
  if (t.base == Base::string) {
    do t.choices.push_back(c.quoted());
    while (c.take(","));
  } else {
    t.min = c.number();
    if (c.take("..")) {
      t.max = c.number();
    } else {
      t.tuple = t.min ? static_cast<int>(*t.min) : 0;
      t.min.reset();
      if (t.base != Base::integer || t.tuple < 1) c.bad("expected a range such as `int(1..)`");
    }
  }
  c.need(")");
}

ArgType read_type(Cursor& c) {
  const std::string name = c.name();
  ArgType t;
  const auto* base = std::find_if(std::begin(kBases), std::end(kBases), [&](const BaseName& b) { return name == b.name; });
  if (base == std::end(kBases)) {
    std::vector<std::string> names;
    for (const BaseName& b : kBases) names.emplace_back(b.name);
    const std::string near = nearest(name, names);
    throw Error(ErrorKind::value, fmt::format("unknown type `{}`", name),
                near.empty() ? fmt::format("types are {}", fmt::join(names, ", ")) : fmt::format("did you mean `{}`?", near));
  }
  t.base = base->base;
  if (c.take("(")) read_choices_or_range(c, t);
  if (c.take("[]")) t.list = true;
  if (c.take("?")) t.optional = true;
  return t;
}

Value read_literal(Cursor& c) {
  if (c.peek() == '"' || c.peek() == '\'') return Value(c.quoted());
  if (c.peek() == '(' || c.peek() == '[') {
    const bool tuple = c.take("(");
    if (!tuple) c.need("[");
    Values items;
    while (c.peek() != (tuple ? ')' : ']')) {
      items.push_back(read_literal(c));
      if (!c.take(",")) break;
    }
    c.need(tuple ? ")" : "]");
    return tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
  }
  const size_t start = c.position();
  if (auto v = c.number()) {
    const std::string_view text = c.since(start);
    if (text.find_first_of(".einf") == std::string_view::npos) return Value(static_cast<int64_t>(*v));
    return Value(*v);
  }
  const std::string word = c.name();
  if (word == "true" || word == "True") return Value(true);
  if (word == "false" || word == "False") return Value(false);
  if (word == "none" || word == "None") return Value();
  for (int i = 0; i < kDTypes; ++i) {
    if (word == kDTypeInfo[i].name) return Value(static_cast<DType>(i));
  }
  c.bad("a default must be a literal");
}

std::string config_repr(const Value& v) {
  switch (v.kind()) {
    case Value::Kind::none: return "none";
    case Value::Kind::boolean: return v.boolean() ? "true" : "false";
    case Value::Kind::dtype: return info(v.dtype()).name;
    case Value::Kind::string: return fmt::format("\"{}\"", v.string());
    case Value::Kind::list:
    case Value::Kind::tuple: {
      std::string out;
      for (const Value& x : v.items()) out += (out.empty() ? "" : ", ") + config_repr(x);
      if (v.is(Value::Kind::list)) return "[" + out + "]";
      return "(" + out + (v.items().size() == 1 ? ",)" : ")");
    }
    default: return v.repr();
  }
}

std::string number_text(double d) { return d == static_cast<double>(static_cast<int64_t>(d)) ? std::to_string(static_cast<int64_t>(d)) : python_float(d); }

std::string described(const Value& v) {
  return v.is(Value::Kind::tensor) ? std::string("a Tensor") : v.is(Value::Kind::module) ? std::string("a module") : config_repr(v);
}

void check_bounds(const ArgType& t, double d, const Value& v) {
  if (t.min && (t.exclusive_min ? d <= *t.min : d < *t.min)) {
    fail(ErrorKind::value, "must be {} {}, got {}", t.exclusive_min ? "greater than" : "at least", number_text(*t.min), config_repr(v));
  }
  if (t.max && d > *t.max) fail(ErrorKind::value, "must be at most {}, got {}", number_text(*t.max), config_repr(v));
}

Value convert_one(const ArgType& t, const Value& v) {
  using Kind = Value::Kind;
  auto wrong = [&] [[noreturn]] { fail(ErrorKind::type, "expected {}, got {}", t.text(), described(v)); };
  switch (t.base) {
    case Base::any: return v;
    case Base::boolean: if (!v.is(Kind::boolean)) wrong(); return v;
    case Base::integer:
      if (!v.is(Kind::integer)) wrong();
      check_bounds(t, static_cast<double>(v.integer()), v);
      return v;
    case Base::real:
    case Base::number:
      if (!v.is(Kind::integer) && !v.is(Kind::real)) wrong();
      check_bounds(t, v.real(), v);
      return t.base == Base::real ? Value(v.real()) : v;
    case Base::string:
      if (!v.is(Kind::string)) wrong();
      if (!t.choices.empty() && std::find(t.choices.begin(), t.choices.end(), v.string()) == t.choices.end()) {
        std::string all;
        for (const std::string& c : t.choices) all += (all.empty() ? "\"" : ", \"") + c + "\"";
        const std::string near = nearest(v.string(), t.choices);
        throw Error(ErrorKind::value, fmt::format("must be one of {}, got {}", all, config_repr(v)),
                    near.empty() ? "" : fmt::format("did you mean \"{}\"?", near));
      }
      return v;
    case Base::dtype: if (!v.is(Kind::dtype)) wrong(); return v;
    case Base::module: if (!v.is(Kind::module) && !v.is(Kind::callable)) wrong(); return v;
    case Base::tensor: if (!v.is(Kind::tensor)) wrong(); return v;
    case Base::duration: if (!v.is(Kind::duration) && !v.is_number()) wrong(); return v;
  }
  return v;
}

}  // namespace

ArgType ArgType::parse(std::string_view text) {
  Cursor c(text);
  ArgType t = read_type(c);
  if (!c.done()) c.bad("expected nothing more");
  return t;
}

std::string ArgType::text() const {
  std::string s;
  for (const BaseName& b : kBases) if (b.base == base) s = b.name;
  if (!choices.empty()) {
    s += "(";
    for (size_t i = 0; i < choices.size(); ++i) s += (i ? ", \"" : "\"") + choices[i] + "\"";
    s += ")";
  } else if (min || max) {
    s += "(" + (min ? number_text(*min) : "") + ".." + (max ? number_text(*max) : "") + ")";
  }
  if (tuple) s += fmt::format(" or a tuple of {}", tuple);
  if (list) s += "[]";
  if (optional) s += "?";
  return s;
}

Value ArgType::convert(const Value& v) const {
  if (optional && v.is_none()) return v;
  if (list) {
    if (!v.is_sequence()) {
      // PyTorch takes a bare number where a list of numbers is meant.
      if (base != Base::integer || !v.is(Value::Kind::integer)) fail(ErrorKind::type, "expected {}, got {}", text(), described(v));
      return Value::list({convert_one(*this, v)});
    }
    Values out;
    for (const Value& x : v.items()) out.push_back(convert_one(*this, x));
    return Value::list(std::move(out));
  }
  if (tuple && v.is_sequence()) {
    NNM_CHECK(v.items().size() == static_cast<size_t>(tuple), value, "expected {} numbers, got {}", tuple, config_repr(v));
    Values out;
    for (const Value& x : v.items()) out.push_back(convert_one(*this, x));
    return Value::tuple(std::move(out));
  }
  return convert_one(*this, v);
}

Signature Signature::parse(std::string_view text) {
  Cursor c(text);
  Signature s;
  s.name_ = c.name();
  c.need("(");
  bool keyword_only = false;
  while (c.peek() != ')') {
    Param p;
    if (c.take("*")) {
      if (c.peek() == ',') {
        keyword_only = true;
        c.take(",");
        continue;
      }
      p.variadic = true;
    }
    p.name = c.name();
    p.keyword_only = keyword_only;
    if (p.variadic) keyword_only = true;
    if (c.take(":")) p.type = read_type(c);
    if (c.take("=")) p.fallback = read_literal(c);
    if (p.fallback && p.type.base == Base::real && p.fallback->is(Value::Kind::integer)) p.fallback = Value(p.fallback->real());
    s.params_.push_back(std::move(p));
    if (!c.take(",")) break;
  }
  c.need(")");
  if (!c.done()) c.bad("expected nothing more");
  return s;
}

int Signature::index_of(std::string_view param) const {
  for (size_t i = 0; i < params_.size(); ++i) if (params_[i].name == param) return static_cast<int>(i);
  return -1;
}

namespace {

Value convert_argument(const Signature& s, const Param& p, const Value& v, int position, const std::string& keyword) {
  try {
    return p.type.convert(v);
  } catch (const Error& e) {
    throw BindError(fmt::format("{}: argument `{}` {}", s.name(), p.name, e.what()), e.hint(), position, keyword);
  }
}

}  // namespace

Values Signature::bind(const Args& args) const {
  Values out(params_.size());
  std::vector<bool> given(params_.size());
  size_t at = 0;
  for (size_t i = 0; i < args.pos.size(); ++i) {
    if (at < params_.size() && params_[at].variadic) {
      Values rest;
      for (; i < args.pos.size(); ++i) rest.push_back(convert_argument(*this, params_[at], args.pos[i], static_cast<int>(i), ""));
      out[at] = Value::tuple(std::move(rest));
      given[at] = true;
      break;
    }
    if (at >= params_.size() || params_[at].keyword_only) {
      const size_t most = static_cast<size_t>(std::count_if(params_.begin(), params_.end(), [](const Param& p) { return !p.keyword_only; }));
      throw BindError(fmt::format("{} takes at most {} positional argument{}, got {}", name_, most, most == 1 ? "" : "s", args.pos.size()),
                      text(), static_cast<int>(i), "");
    }
    out[at] = convert_argument(*this, params_[at], args.pos[i], static_cast<int>(i), "");
    given[at++] = true;
  }
  for (const auto& [key, value] : args.kw) {
    const int i = index_of(key);
    if (i < 0) {
      std::vector<std::string> names;
      for (const Param& p : params_) names.push_back(p.name);
      const std::string near = nearest(key, names);
      throw BindError(fmt::format("{} has no argument `{}`", name_, key), near.empty() ? "" : fmt::format("did you mean `{}`?", near), -1, key);
    }
    const auto k = static_cast<size_t>(i);
    if (given[k]) throw BindError(fmt::format("{}: argument `{}` is given twice", name_, key), "", -1, key);
    out[k] = convert_argument(*this, params_[k], value, -1, key);
    given[k] = true;
  }
  for (size_t i = 0; i < params_.size(); ++i) {
    if (given[i]) continue;
    if (params_[i].fallback) {
      out[i] = *params_[i].fallback;
    } else if (params_[i].variadic) {
      out[i] = Value::tuple({});
    } else {
      throw BindError(fmt::format("{} needs argument `{}`", name_, params_[i].name), text(), -1, params_[i].name);
    }
  }
  return out;
}

std::string Signature::text(bool config_spelling) const {
  std::string s = name_ + "(";
  bool starred = false;
  for (size_t i = 0; i < params_.size(); ++i) {
    const Param& p = params_[i];
    if (i) s += ", ";
    if (p.keyword_only && !starred && !(i && params_[i - 1].variadic)) s += "*, ";
    starred = starred || p.keyword_only;
    if (p.variadic) s += "*";
    s += p.name;
    if (p.fallback) s += "=" + (config_spelling ? config_repr(*p.fallback) : p.fallback->repr());
  }
  return s + ")";
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  auto lower = [](char c) { return static_cast<char>(std::tolower(static_cast<uint8_t>(c))); };
  for (const std::string& c : candidates) {
    std::vector<size_t> row(c.size() + 1);
    for (size_t j = 0; j <= c.size(); ++j) row[j] = j;
    std::vector<size_t> before;
    for (size_t i = 1; i <= name.size(); ++i) {
      const std::vector<size_t> above = row;
      row[0] = i;
      for (size_t j = 1; j <= c.size(); ++j) {
        row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (lower(name[i - 1]) != lower(c[j - 1]))});
        // Two letters the wrong way round are one slip.
        if (i > 1 && j > 1 && name[i - 1] == c[j - 2] && name[i - 2] == c[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
      }
      before = above;
    }
    if (row[c.size()] < best_distance) {
      best_distance = row[c.size()];
      best = c;
    }
  }
  return best;
}

}  // namespace nnm
