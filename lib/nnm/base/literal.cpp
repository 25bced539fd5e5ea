// A recursive reader of literals.
#include "nnm/base/literal.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace nnm {

namespace {

constexpr int kMaxDepth = 64;

bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void Scanner::skip_blanks() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
    ++at_;
  }
}

bool Scanner::accept(std::string_view token) {
  skip_blanks();
  if (!text_.substr(at_).starts_with(token)) return false;
  at_ += token.size();
  return true;
}

void Scanner::expect(std::string_view token) {
  if (!accept(token)) fail(fmt::format("expected `{}`", token));
}

bool Scanner::at_end() {
  skip_blanks();
  return at_ == text_.size();
}

std::string Scanner::name() {
  skip_blanks();
  const size_t begin = at_;
  if (at_ < text_.size() && name_start(text_[at_])) {
    while (at_ < text_.size() && (name_start(text_[at_]) || digit(text_[at_]))) ++at_;
  }
  return std::string(text_.substr(begin, at_ - begin));
}

void Scanner::fail(const std::string& what) const {
  throw Error(ErrorKind::value, fmt::format("{} at column {} of `{}`", what, at_ + 1, text_));
}

double Scanner::number() {
  const Value v = literal();
  if (!v.is_number()) fail("expected a number");
  return v.real();
}

Values Scanner::elements(std::string_view close, bool& comma) {
  Values out;
  comma = false;
  if (++depth_ > kMaxDepth) fail("brackets nested too deeply");
  while (!accept(close)) {
    if (!out.empty() && !comma) fail(fmt::format("expected `,` or `{}`", close));
    out.push_back(literal());
    comma = accept(",");
  }
  --depth_;
  return out;
}

Value Scanner::literal() {
  skip_blanks();
  if (at_ == text_.size()) fail("expected a value");
  const char c = text_[at_];
  bool comma = false;
  if (accept("[")) return Value::list(elements("]", comma));
  if (accept("(")) {
    Values parts = elements(")", comma);
    return parts.size() == 1 && !comma ? parts[0] : Value::tuple(std::move(parts));
  }
  if (c == '"' || c == '\'') return string_literal();
  if (accept("-")) return number_literal(true);
  accept("+");
  return number_literal(false);
}

char Scanner::escape() {
  const char c = text_[++at_];
  switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'x': {
      unsigned code = 0;
      const std::string_view hex = text_.substr(at_ + 1, 2);
      const auto read = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
      if (hex.size() != 2 || read.ptr != hex.data() + 2) fail("expected two hex digits");
      at_ += 2;
      return static_cast<char>(code);
    }
    case '\\':
    case '\'':
    case '"': return c;
    default: fail(fmt::format("unknown escape `\\{}`", c));
  }
}

Value Scanner::string_literal() {
  const char quote = text_[at_++];
  std::string out;
  for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
    const bool escaped = text_[at_] == '\\' && at_ + 1 < text_.size();
    out += escaped ? escape() : text_[at_];
  }
  if (at_ == text_.size()) fail("the string does not end");
  ++at_;
  return Value(std::move(out));
}

Value Scanner::number_literal(bool negative) {
  skip_blanks();
  if (at_ < text_.size() && name_start(text_[at_])) {
    Value word = word_literal();
    if (!negative) return word;
    if (!word.is(Value::Kind::real)) fail("expected a number after `-`");
    return -word.real();
  }
  const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
  const char* stop = begin;
  bool real = false;
  while (stop < end && (digit(*stop) || *stop == '.' || *stop == 'e' || *stop == 'E' ||
                        ((*stop == '-' || *stop == '+') && (stop[-1] == 'e' || stop[-1] == 'E')))) {
    // `1..5` is a range: its dots belong to no number.
    if (*stop == '.' && stop + 1 < end && stop[1] == '.') break;
    real |= !digit(*stop++);
  }
  if (begin == stop) fail("expected a value");
  std::from_chars_result result;
  Value value;
  if (real) {
    double d = 0;
    result = std::from_chars(begin, stop, d);
    value = negative ? -d : d;
  } else {
    // Read with its sign, since the least int has no positive counterpart.
    const std::string text = (negative ? "-" : "") + std::string(begin, stop);
    int64_t i = 0;
    result = std::from_chars(text.data(), text.data() + text.size(), i);
    value = i;
    if (result.ptr == text.data() + text.size()) result.ptr = stop;
  }
  if (result.ec != std::errc() || result.ptr != stop) fail("not a number");
  at_ += static_cast<size_t>(stop - begin);
  return value;
}

Value Scanner::word_literal() {
  const size_t begin = at_;
  std::string word = name();
  while (accept(".")) word += "." + name();
  if (word == "true" || word == "True") return true;
  if (word == "false" || word == "False") return false;
  if (word == "none" || word == "None" || word == "null") return Value();
  if (word == "inf") return std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (Value t = find_dtype(word); !t.is_none()) return t;
  at_ = begin;
  fail(fmt::format("`{}` is not a literal", word));
}

Value parse_literal(std::string_view text) {
  Scanner s(text);
  Value v = s.literal();
  if (!s.at_end()) s.fail("unexpected text");
  return v;
}

Value find_dtype(std::string_view name) {
  // Functions have these names, too: alone they mean no type.
  static constexpr std::pair<std::string_view, DType> kQualified[] = {
      {"torch.float", DType::f32}, {"torch.double", DType::f64}, {"torch.half", DType::f16},
      {"torch.long", DType::i64},  {"torch.int", DType::i32},    {"torch.short", DType::i16}};
  for (const auto& [alias, dtype] : kQualified)
    if (name == alias) return dtype;
  if (name.starts_with("torch.")) name.remove_prefix(6);
  for (int i = 0; i < kDTypes; ++i) {
    if (name == kDTypeInfo[i].name || name == kDTypeInfo[i].torch_name) {
      return static_cast<DType>(i);
    }
  }
  return {};
}

}  // namespace nnm
