// The lexer: numbers, durations, strings with `${…}`, names with `${…}`, operators.
#include "nnm/lang/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "nnm/base/literal.h"
#include "nnm/base/signature.h"
#include "nnm/base/text.h"

namespace nnm::lang {

namespace {

constexpr int kMaxInserts = 8;  // of `${}` in `${}`

bool digit(char c) { return c >= '0' && c <= '9'; }
bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool name_char(char c) { return name_start(c) || digit(c); }

constexpr std::array kKeywords = {"for", "if",  "elif", "else",   "let",     "in",
                                  "or",  "and", "not",  "return", "require", "is"};
constexpr std::array kOperators = {
    "...", "|>", "**", "//", "==", "!=", "<=", ">=", "+=", "+", "-", "*", "/",
    "%",   "@",  "(",  ")",  "[",  "]",  ",",  ":",  "=",  "<", ">", "."};

struct KnownUnit {
  const char* word;
  Unit unit;
  double factor;
};
// The plural first: of two that are equally near to a slip it is the likelier.
constexpr std::array kUnits = {
    KnownUnit{"steps", Unit::step, 1},    KnownUnit{"step", Unit::step, 1},
    KnownUnit{"epochs", Unit::epoch, 1},  KnownUnit{"epoch", Unit::epoch, 1},
    KnownUnit{"batches", Unit::batch, 1}, KnownUnit{"batch", Unit::batch, 1},
    KnownUnit{"s", Unit::second, 1},      KnownUnit{"min", Unit::second, 60},
    KnownUnit{"h", Unit::second, 3600},   KnownUnit{"d", Unit::second, 86400}};

struct Advice {
  const char* token;
  const char* help;
};
// What other languages have and this one has not.
constexpr std::array kForeign = {
    Advice{"**=", "write `x = x ** …`"},
    Advice{"//=", "write `x = x // …`"},
    Advice{"%=", "write `x = x % …`"},
    Advice{"-=", "write `x = x - …`"},
    Advice{"*=", "write `x = x * …`"},
    Advice{"/=", "write `x = x / …`"},
    Advice{"++", "write `x = x + 1`"},
    Advice{"->", "a type or a mapping is not written with an arrow here"},
    Advice{":=", "assign in a statement of its own: `x = …`"},
    Advice{"&&", "write `and`; elementwise, `logical_and(a, b)`"},
    Advice{"||", "write `or`; elementwise, `logical_or(a, b)`"},
    Advice{"<>", "write `!=`"},
    Advice{"<<", "write `x * 2 ** n`"},
    Advice{">>", "write `x // 2 ** n`"},
    Advice{"&", "write `and`; elementwise, `logical_and(a, b)`"},
    Advice{"|", "write `or`; elementwise, `logical_or(a, b)`; a pipe is `|>`"},
    Advice{"!", "write `not`"},
    Advice{"^", "a power is `**`; elementwise, `logical_xor(a, b)`"},
    Advice{"~", "write `not`; elementwise, `logical_not(a)`"},
    Advice{"?", "write `a if condition else b`"},
    Advice{";", "one statement a list item"},
    Advice{"{", "there are no dictionaries in code; a list is `[a, b]`, a made name `layer_${i}`"},
    Advice{"}", "a `${` is missing before it"},
    Advice{"$", "a value in a name is written `${…}`"},
    Advice{"#", "a comment stands after a space, at the end of a line"},
    Advice{"\\", "a statement may go on in the next line without it"},
    Advice{"`", "strings stand in \"…\" or '…'"},
    Advice{"“", "strings stand in straight quotes: \"…\" or '…'"},
    Advice{"”", "strings stand in straight quotes: \"…\" or '…'"},
    Advice{"‘", "strings stand in straight quotes: \"…\" or '…'"},
    Advice{"’", "strings stand in straight quotes: \"…\" or '…'"},
    Advice{"×", "write `*`"},
    Advice{"−", "write `-`"},
    Advice{"–", "this is a dash; write `-`"},
    Advice{"（", "write a plain `(`"},
    Advice{"）", "write a plain `)`"},
    Advice{"，", "write a plain `,`"},
    Advice{"\u00a0", "this is a no-break space; write a plain one"},
};

class Lexer {
 public:
  Lexer(const Located& code, int depth) : code_(code), text_(code.text()), depth_(depth) {}

  std::vector<Token> run() {
    for (skip_blanks(); at_ < text_.size(); skip_blanks()) next();
    push(Token::Kind::end, at_);
    return std::move(tokens_);
  }
  /// The content of a string or of text: `${…}` and `$$`, with escapes unless `raw`.
  Template content(size_t begin, size_t end, bool raw);

 private:
  std::string_view rest() const { return text_.substr(at_); }
  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \n\t\r").find(text_[at_]) != text_.npos) ++at_;
  }
  Token& push(Token::Kind kind, size_t begin) {
    Token t;
    t.kind = kind;
    t.begin = begin;
    t.end = at_;
    return tokens_.emplace_back(std::move(t));
  }
  [[noreturn]] void fail(const char* code, size_t begin, size_t end, std::string message,
                         std::string help = {}) const {
    throw SyntaxError{{code, std::move(message), code_.span(begin, end), std::move(help), {}}};
  }
  /// Whether a `.` here goes on with what stands right before it.
  bool after_operand() const {
    if (tokens_.empty() || tokens_.back().end != at_) return false;
    const Token& t = tokens_.back();
    return t.kind == Token::Kind::name || t.is(")") || t.is("]");
  }

  /// Whether a minus stands here that is a sign, no operator between two operands.
  bool after_sign() const {
    const size_t n = tokens_.size();
    if (n == 0 || !tokens_[n - 1].is("-")) return false;
    return n == 1 || (tokens_[n - 2].kind == Token::Kind::op && !tokens_[n - 2].is(")") &&
                      !tokens_[n - 2].is("]"));
  }

  void next();
  void number();
  bool prefixed_number();
  Value integer(size_t begin, const std::string& digits);
  Value real(size_t begin, const std::string& digits);
  void unit(size_t begin, Value amount);
  void string();
  void name();
  void attribute_digits();
  ExprRef insert(size_t& at);
  char escape(size_t& at, std::string& out);

  const Located& code_;
  std::string_view text_;
  size_t at_ = 0;
  int depth_;
  std::vector<Token> tokens_;
};

void Lexer::next() {
  const char c = text_[at_];
  const bool dot_digit = c == '.' && at_ + 1 < text_.size() && digit(text_[at_ + 1]);
  if (dot_digit && after_operand()) return attribute_digits();
  if (digit(c) || dot_digit) return number();
  if (c == '"' || c == '\'') return string();
  if (name_start(c) || rest().starts_with("${")) return name();
  for (const Advice& f : kForeign) {
    const std::string_view token = f.token;
    if (!rest().starts_with(token) || rest().starts_with("|>") || rest().starts_with("!="))
      continue;
    fail("E0201", at_, at_ + token.size(), fmt::format("`{}` is not an operator", token), f.help);
  }
  for (const std::string_view op : kOperators) {
    if (!rest().starts_with(op)) continue;
    at_ += op.size();
    push(Token::Kind::op, at_ - op.size()).text = op;
    return;
  }
  const size_t length = std::max<size_t>(1, utf8_length(rest()));
  fail("E0201", at_, at_ + length,
       fmt::format("unexpected character `{}`", escape_terminal(rest().substr(0, length))),
       static_cast<unsigned char>(c) >= 0x80 ? "names are made of ASCII letters, digits and `_`"
                                             : "");
}

/// `.0` behind a name: a child whose name is a number, as in `h.0.attn`.
void Lexer::attribute_digits() {
  ++at_;
  push(Token::Kind::op, at_ - 1).text = ".";
  const size_t begin = at_;
  while (at_ < text_.size() && digit(text_[at_])) ++at_;
  Token& t = push(Token::Kind::name, begin);
  t.text = text_.substr(begin, at_ - begin);
  t.name = {{{t.text, nullptr}}, code_.span(begin, at_)};
}

/// 0x1f, 0o17, 0b11: Python's and YAML's. False where the text is another number.
bool Lexer::prefixed_number() {
  const int base = rest().starts_with("0x")   ? 16
                   : rest().starts_with("0o") ? 8
                   : rest().starts_with("0b") ? 2
                                              : 0;
  const char *from = text_.data() + at_ + 2, *end = text_.data() + text_.size();
  if (base == 0 || from >= end || !std::isxdigit(static_cast<unsigned char>(*from))) return false;
  int64_t i = 0;
  const auto read = std::from_chars(from, end, i, base);
  if (read.ptr == from) return false;
  const size_t begin = std::exchange(at_, static_cast<size_t>(read.ptr - text_.data()));
  if (read.ec != std::errc())
    fail("E0203", begin, at_, "this integer does not fit into 64 bits", "");
  unit(begin, i);
  return true;
}

void Lexer::number() {
  if (prefixed_number()) return;
  const size_t begin = at_;
  std::string digits;
  bool is_real = false;
  const auto take_digits = [&] {
    for (; at_ < text_.size(); ++at_) {
      const bool joint = text_[at_] == '_' && at_ > begin && digit(text_[at_ - 1]) &&
                         at_ + 1 < text_.size() && digit(text_[at_ + 1]);
      if (!digit(text_[at_]) && !joint) break;
      if (!joint) digits += text_[at_];
    }
  };
  take_digits();
  if (at_ < text_.size() && text_[at_] == '.' && !rest().starts_with("..")) {
    is_real = true;
    digits += text_[at_++];
    take_digits();
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    const size_t sign = at_ + 1 < text_.size() && (text_[at_ + 1] == '-' || text_[at_ + 1] == '+');
    if (at_ + 1 + sign < text_.size() && digit(text_[at_ + 1 + sign])) {
      is_real = true;
      digits += text_.substr(at_, 1 + sign);
      at_ += 1 + sign;
      take_digits();
    }
  }
  unit(begin, is_real ? real(begin, digits) : integer(begin, digits));
}

Value Lexer::integer(size_t begin, const std::string& digits) {
  int64_t i = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), i);
  if (read.ec == std::errc()) return i;
  // The least integer is no other's negative.
  if (digits == "9223372036854775808" && after_sign()) {
    tokens_.pop_back();
    return std::numeric_limits<int64_t>::min();
  }
  fail("E0203", begin, at_, "this integer does not fit into 64 bits", "a float is written `1e20`");
}

Value Lexer::real(size_t begin, const std::string& digits) {
  double d = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), d);
  if (read.ec != std::errc()) fail("E0203", begin, at_, "this number is out of range");
  return d;
}

/// A unit may follow a number, with or without a space.
void Lexer::unit(size_t begin, Value amount) {
  size_t from = at_;
  while (from < text_.size() && (text_[from] == ' ' || text_[from] == '\n')) ++from;
  size_t to = from;
  while (to < text_.size() && name_char(text_[to])) ++to;
  const std::string_view word = text_.substr(from, to - from);
  for (const KnownUnit& k : kUnits) {
    if (word != k.word) continue;
    at_ = to;
    push(Token::Kind::literal, begin).value = Value::duration(amount.real() * k.factor, k.unit);
    return;
  }
  if (!word.empty() && from == at_ && name_start(word.front())) {
    fail("E0203", begin, to, fmt::format("`{}` is not a number", text_.substr(begin, to - begin)),
         "units are steps, epochs, batches, s, min, h and d; a name does not start with a digit");
  }
  push(Token::Kind::literal, begin).value = std::move(amount);
}

void Lexer::string() {
  const size_t begin = at_;
  const char quote = text_[at_];
  if (rest().starts_with(std::string(3, quote))) {
    fail("E0202", at_, at_ + 3, "strings have one quote on each side", "write \"…\" or '…'");
  }
  for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
    if (text_[at_] == '\\') {
      ++at_;
    } else if (rest().starts_with("$$")) {
      ++at_;
    } else if (rest().starts_with("${")) {
      // The expression may hold quotes of its own.
      const size_t end = end_of_insert(text_, at_ + 2);
      if (end == std::string_view::npos) fail("E0202", at_, at_ + 2, "`${` without `}`");
      at_ = end - 1;
    }
  }
  if (at_ >= text_.size()) {
    fail("E0202", begin, text_.size(), "this string does not end", comment_advice(code_));
  }
  ++at_;
  Template t = content(begin + 1, at_ - 1, false);
  if (t.is_plain()) {
    push(Token::Kind::literal, begin).value = t.plain();
  } else {
    push(Token::Kind::text, begin).name = std::move(t);
  }
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

/// Appends what the escape at `at` (a backslash) stands for and moves to its last byte.
char Lexer::escape(size_t& at, std::string& out) {
  const size_t begin = at++;
  const char c = at < text_.size() ? text_[at] : '\0';
  static constexpr std::string_view from = "abfnrtv0\\'\"$", to = "\a\b\f\n\r\t\v\0\\'\"$";
  static constexpr std::string_view known(to.data(), from.size());
  if (const size_t i = from.find(c); i != from.npos && c != '\0') return out += known[i], c;
  if (c == 'x' || c == 'u') {
    const size_t length = c == 'x' ? 2 : 4;
    unsigned code = 0;
    const std::string_view hex = text_.substr(at + 1, length);
    const auto read = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (hex.size() == length && read.ptr == hex.data() + length &&
        (code < 0xd800 || code > 0xdfff)) {
      append_utf8(out, code);
      at += length;
      return c;
    }
  }
  fail("E0202", begin, std::min(at + 1, text_.size()), "unknown escape in a string",
       "a backslash itself is written `\\\\`");
}

ExprRef Lexer::insert(size_t& at) {
  const size_t begin = at + 2, end = end_of_insert(text_, begin);
  if (end == std::string_view::npos) fail("E0202", at, at + 2, "`${` without `}`");
  if (depth_ >= kMaxInserts) fail("E0216", at, end, "`${…}` nested too deeply");
  if (text_.substr(begin, end - begin - 1).find_first_not_of(" \t\n") == std::string_view::npos) {
    fail("E0201", at, end, "`${}` holds no expression");
  }
  ExprRef e = read_expr(code_.part(begin, end - 1), depth_ + 1);
  at = end;
  return e;
}

Template Lexer::content(size_t begin, size_t end, bool raw) {
  Template out;
  out.span = code_.span(begin, end);
  std::string text;
  for (size_t at = begin; at < end;) {
    const std::string_view here = text_.substr(at, end - at);
    if (here.starts_with("$$")) {
      text += '$';
      at += 2;
    } else if (here.starts_with("${")) {
      if (!text.empty()) out.pieces.push_back({std::exchange(text, {}), nullptr});
      out.pieces.push_back({"", insert(at)});
    } else if (here.front() == '\\' && !raw) {
      escape(at, text);
      ++at;
    } else {
      text += text_[at++];
    }
  }
  if (!text.empty()) out.pieces.push_back({std::move(text), nullptr});
  return out;
}

void Lexer::name() {
  const size_t begin = at_;
  Template name;
  std::string text;
  while (at_ < text_.size()) {
    if (name_char(text_[at_])) {
      text += text_[at_++];
    } else if (rest().starts_with("${")) {
      if (!text.empty()) name.pieces.push_back({std::exchange(text, {}), nullptr});
      name.pieces.push_back({"", insert(at_)});
    } else {
      break;
    }
  }
  if (!text.empty()) name.pieces.push_back({text, nullptr});
  name.span = code_.span(begin, at_);
  const bool plain = name.is_plain();
  const bool prefix = plain && text.find_first_not_of("fFrRbBuU") == text.npos;
  if (prefix && at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
    fail("E0202", begin, at_ + 1, fmt::format("strings have no prefix `{}`", text),
         "a value in a string is written \"linear_${i}\"");
  }
  const bool keyword =
      plain && std::find(kKeywords.begin(), kKeywords.end(), text) != kKeywords.end();
  Token& t = push(keyword ? Token::Kind::keyword : Token::Kind::name, begin);
  if (plain) t.text = text;
  if (!keyword) t.name = std::move(name);
}

}  // namespace

size_t end_of_insert(std::string_view text, size_t begin) {
  int depth = 1;
  char quote = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (quote) {
      if (c == '\\') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

std::string comment_advice(const Located& code) {
  if (code.empty()) return "";
  const std::string& source = code.file()->text;
  const size_t next =
      source.find_first_not_of(" \t", code.source_offset(code.text().size() - 1) + 1);
  if (next == source.npos || source[next] != '#') return "";
  return "a ` #` starts a comment in YAML, also inside of these quotes: put the whole value into "
         "quotes of the other kind";
}

std::string unit_advice(const std::string& word, bool behind_number) {
  std::vector<std::string> units;
  for (const KnownUnit& k : kUnits) units.emplace_back(k.word);
  if (!behind_number) {
    const bool unit = std::find(units.begin(), units.end(), word) != units.end();
    const std::string one = word == "batches" ? "batch" : word.substr(0, word.find("s", 1));
    return unit ? fmt::format("a unit stands behind a number, as in `n * 1 {}`", one) : "";
  }
  static const std::map<std::string, std::string> others = {
      {"second", "s"},         {"seconds", "s"},   {"sec", "s"},    {"secs", "s"},
      {"minute", "min"},       {"minutes", "min"}, {"mins", "min"}, {"m", "min"},
      {"hour", "h"},           {"hours", "h"},     {"day", "d"},    {"days", "d"},
      {"iterations", "steps"}, {"iters", "steps"}};
  const auto other = others.find(word);
  if (other != others.end()) return fmt::format("write `{}`", other->second);
  return did_you_mean(word, units, "units are steps, epochs, batches, s, min, h and d");
}

bool is_reserved(std::string_view word) {
  static constexpr std::array kLiterals = {"true",  "false", "none", "null", "True",
                                           "False", "None",  "inf",  "nan"};
  return std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end() ||
         std::find(kLiterals.begin(), kLiterals.end(), word) != kLiterals.end();
}

std::vector<Token> tokenize(const Located& code, int depth) { return Lexer(code, depth).run(); }

Template read_template(const Located& text, int depth) {
  return Lexer(text, depth).content(0, text.text().size(), true);
}

const std::string& Template::plain() const {
  static const std::string empty;
  return pieces.empty() ? empty : pieces[0].text;
}

}  // namespace nnm::lang
