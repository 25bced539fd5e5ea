// The JSON header of a .safetensors file: the little of JSON that it may use, read strictly.
#include "nnm/io/safetensors_header.h"

#include <fmt/format.h>

#include <unordered_set>

namespace nnm::io {
namespace {

constexpr size_t kMaxName = 4096;
constexpr size_t kMaxTensors = 100'000;

void put_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::vector<SafetensorsEntry> run() {
    std::vector<SafetensorsEntry> entries;
    std::unordered_set<std::string> names;
    object([&](const std::string& name) {
      if (!names.insert(name).second) fail(fmt::format("'{}' twice", name));
      if (name == "__metadata__") return metadata();
      if (entries.size() == kMaxTensors) fail(fmt::format("more than {} tensors", kMaxTensors));
      entries.push_back(entry(name));
    });
    space();
    if (at_ != text_.size()) fail("text after the header's object");
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw fmt::format("{} (at byte {} of the header)", what, at_);
  }
  void space() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool accept(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}' expected", c));
  }

  template <class F>
  void object(F&& member) {
    expect('{');
    if (accept('}')) return;
    do {
      const std::string key = string();
      expect(':');
      member(key);
    } while (accept(','));
    expect('}');
  }

  uint32_t hex4() {
    if (text_.size() - at_ < 4) fail("an unfinished \\u escape");
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const int digit = c >= '0' && c <= '9'                 ? c - '0'
                        : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                             : -1;
      if (digit < 0) fail("a \\u escape that is not hexadecimal");
      v = v * 16 + static_cast<uint32_t>(digit);
    }
    return v;
  }

  void escape(std::string& out) {
    if (at_ >= text_.size()) fail("an unfinished string");
    const char c = text_[at_++];
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    if (const size_t i = kNames.find(c); i != std::string_view::npos) {
      out += kValues[i];
      return;
    }
    if (c != 'u') fail("an unknown escape");
    uint32_t v = hex4();
    if (v >= 0xd800 && v < 0xdc00) {
      if (text_.substr(at_, 2) != "\\u") fail("half a surrogate pair");
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("half a surrogate pair");
      v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    } else if (v >= 0xdc00 && v < 0xe000) {
      fail("half a surrogate pair");
    }
    put_utf8(out, v);
  }

  std::string string() {
    expect('"');
    std::string out;
    while (true) {
      if (at_ >= text_.size()) fail("an unfinished string");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c == '\\') escape(out);
      else out += c;
    }
  }

  uint64_t natural() {
    space();
    const size_t start = at_;
    uint64_t v = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (__builtin_mul_overflow(v, 10u, &v) ||
          __builtin_add_overflow(v, uint64_t(text_[at_] - '0'), &v) ||
          v > static_cast<uint64_t>(INT64_MAX)) {
        fail("a number beyond 63 bits");
      }
      ++at_;
    }
    if (at_ == start || (text_[start] == '0' && at_ > start + 1)) fail("a natural number expected");
    return v;
  }

  std::vector<uint64_t> naturals() {
    std::vector<uint64_t> out;
    expect('[');
    if (accept(']')) return out;
    do out.push_back(natural());
    while (accept(','));
    expect(']');
    return out;
  }

  void metadata() {
    object([&](const std::string&) { string(); });
  }

  SafetensorsEntry entry(const std::string& name) {
    if (name.empty() || name.size() > kMaxName)
      fail(fmt::format("a name of {} bytes", name.size()));
    SafetensorsEntry e{.name = name};
    unsigned seen = 0;
    object([&](const std::string& key) {
      const unsigned bit = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0;
      if (bit == 0) fail(fmt::format("'{}' in the description of '{}'", key, name));
      if (seen & bit) fail(fmt::format("'{}' twice for '{}'", key, name));
      seen |= bit;
      if (bit == 1) {
        e.dtype = string();
      } else if (bit == 2) {
        const std::vector<uint64_t> shape = naturals();
        e.shape.assign(shape.begin(), shape.end());
      } else {
        const std::vector<uint64_t> offsets = naturals();
        if (offsets.size() != 2) fail("data_offsets are two numbers");
        e.begin = offsets[0];
        e.end = offsets[1];
      }
    });
    if (seen != 7) fail(fmt::format("dtype, shape or data_offsets missing for '{}'", name));
    return e;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view json) {
  return Parser(json).run();
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    else out += c;
  }
  return out + '"';
}

}  // namespace nnm::io
