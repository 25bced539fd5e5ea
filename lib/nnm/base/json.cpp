// JSON text, piece by piece.
#include "nnm/base/json.h"

#include <algorithm>
#include <cmath>

#include "nnm/base/text.h"

namespace nnm {
namespace {

void append_string(std::string& out, std::string_view s) {
  out += '"';
  while (!s.empty()) {
    const char c = s[0];
    const size_t n = utf8_length(s);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<uint8_t>(c));
    } else if (n == 0) {
      out += "\xef\xbf\xbd";
    } else {
      out += s.substr(0, n);
    }
    s.remove_prefix(std::max<size_t>(n, 1));
  }
  out += '"';
}

}  // namespace

void Json::newline() {
  if (indent_ == 0) return;
  out_ += '\n';
  out_.append(stack_.size() * static_cast<size_t>(indent_), ' ');
}

void Json::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (stack_.empty()) return;
  if (!first_) out_ += indent_ ? "," : ", ";
  newline();
  first_ = false;
}

Json& Json::open(char c) {
  before_value();
  out_ += c;
  stack_.push_back(c);
  first_ = true;
  return *this;
}

Json& Json::end() {
  const char c = stack_.back();
  stack_.pop_back();
  if (!first_) newline();
  out_ += c == '{' ? '}' : ']';
  first_ = false;
  return *this;
}

Json& Json::key(std::string_view k) {
  before_value();
  append_string(out_, k);
  out_ += ": ";
  after_key_ = true;
  return *this;
}

Json& Json::raw(std::string_view s) {
  before_value();
  out_ += s;
  return *this;
}

Json& Json::value(std::string_view s) {
  before_value();
  append_string(out_, s);
  return *this;
}

Json& Json::value(double d) {
  if (!std::isfinite(d)) return raw("null");
  return raw(fmt::format("{}", d));
}

Json& Json::value(int64_t i) { return raw(std::to_string(i)); }
Json& Json::value(uint64_t i) { return raw(std::to_string(i)); }

Json& Json::value(const Value& v) {
  switch (v.kind()) {
    case Value::Kind::none: return raw("null");
    case Value::Kind::boolean: return value(v.boolean());
    case Value::Kind::integer: return value(v.integer());
    case Value::Kind::real: return value(v.real());
    case Value::Kind::string: return value(v.string());
    case Value::Kind::list:
    case Value::Kind::tuple: {
      array();
      for (const Value& x : v.items()) value(x);
      return end();
    }
    case Value::Kind::dict: {
      object();
      for (const auto& [k, x] : v.entries()) key(k).value(x);
      return end();
    }
    default: return value(v.repr());
  }
}

}  // namespace nnm
