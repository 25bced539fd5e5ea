// A JSON writer: what --format json, events.jsonl and the schema are written with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nnm/base/value.h"

namespace nnm {

/// Writes one JSON text from nested calls. Numbers read back as the same number; NaN and
/// infinities, which JSON lacks, become null. Strings must be UTF-8; what is not is replaced by
/// U+FFFD.
///   Json j; j.object().key("loss").value(0.25).key("shape").array().value(2).value(3).end().end();
class Json {
 public:
  /// indent 0: one line.
  explicit Json(int indent = 0) : indent_(indent) {}
  Json& object() { return open('{'); }
  Json& array() { return open('['); }
  Json& end();
  Json& key(std::string_view k);
  Json& value(std::string_view s);
  Json& value(const char* s) { return value(std::string_view(s)); }
  Json& value(const std::string& s) { return value(std::string_view(s)); }
  Json& value(bool b) { return raw(b ? "true" : "false"); }
  Json& value(double d);
  Json& value(int i) { return value(static_cast<int64_t>(i)); }
  Json& value(int64_t i);
  Json& value(uint64_t i);
  Json& value(std::nullptr_t) { return raw("null"); }
  /// Plain values: none, numbers, strings, lists, tuples, dicts; others as their repr.
  Json& value(const Value& v);
  template <class T>
  Json& value(const std::vector<T>& xs) {
    array();
    for (const T& x : xs) value(x);
    return end();
  }
  template <class T>
  Json& entry(std::string_view k, const T& v) {
    return key(k).value(v);
  }
  /// The text; all that was opened must have been ended.
  const std::string& text() const { return out_; }

 private:
  Json& open(char c);
  Json& raw(std::string_view s);
  void before_value();
  void newline();

  std::string out_;
  std::vector<char> stack_;
  int indent_;
  bool first_ = true, after_key_ = false;
};

}  // namespace nnm
