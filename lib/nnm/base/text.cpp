// UTF-8 by its table of well-formed sequences, and numbers as people read them.
#include "nnm/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

namespace nnm {

size_t utf8_length(std::string_view s) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  const size_t n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
  if (n == 0 || n > s.size()) return 0;
  // The second byte's range rules out overlong forms, surrogates and too large numbers.
  const unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  if (at(1) < low || at(1) > high) return 0;
  for (size_t i = 2; i < n; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  return n;
}

bool is_utf8(std::string_view s) {
  while (!s.empty()) {
    const size_t n = utf8_length(s);
    if (n == 0) return false;
    s.remove_prefix(n);
  }
  return true;
}

size_t code_points(std::string_view s) {
  size_t count = 0;
  for (; !s.empty(); ++count) s.remove_prefix(std::max<size_t>(utf8_length(s), 1));
  return count;
}

namespace {

uint32_t decode(std::string_view sequence) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1) return at(0);
  uint32_t point = at(0) & (0xffu >> (sequence.size() + 1));
  for (size_t i = 1; i < sequence.size(); ++i) point = point << 6 | (at(i) & 0x3fu);
  return point;
}

/// Characters that move text about or hide it.
bool commands_terminal(uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x200e || point == 0x200f ||
         (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
         point == 0xfeff;
}

}  // namespace

std::string escape_terminal(std::string_view s) {
  std::string out;
  while (!s.empty()) {
    const size_t n = utf8_length(s);
    const std::string_view sequence = s.substr(0, std::max<size_t>(n, 1));
    s.remove_prefix(sequence.size());
    const uint32_t point = n ? decode(sequence) : static_cast<unsigned char>(sequence[0]);
    if (point == '\n') {
      out += "\\n";
    } else if (point == '\t') {
      out += "\\t";
    } else if (n == 0 || (commands_terminal(point) && point < 0x100)) {
      out += fmt::format("\\x{:02x}", point);
    } else if (commands_terminal(point)) {
      out += fmt::format("\\u{:04x}", point);
    } else {
      out += sequence;
    }
  }
  return out;
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double amount = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would print as 1024.0.
  for (; amount >= 1023.95 && unit + 1 < std::size(kUnits); ++unit) amount /= 1024;
  return fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  double amount = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, amount);
  if (error != std::errc() || amount < 0) return std::nullopt;
  std::string unit(stop, end);
  unit.erase(0, unit.find_first_not_of(' '));
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  int power = 0;
  for (const std::string prefix : {"", "k", "m", "g", "t"}) {
    const bool named =
        unit == prefix || unit == prefix + "b" || (!prefix.empty() && unit == prefix + "ib");
    const double bytes = std::ldexp(amount, power);
    if (named && bytes < 0x1p63) return static_cast<int64_t>(bytes);
    power += 10;
  }
  return std::nullopt;
}

std::string with_thousands(int64_t n) {
  std::string digits = fmt::format("{}", n);
  const long first = n < 0 ? 1 : 0;
  for (long at = static_cast<long>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string counted(int64_t n, std::string_view what) {
  const char* ending = n == 1 ? "" : what.ends_with("tch") ? "es" : "s";
  return fmt::format("{} {}{}", with_thousands(n), what, ending);
}

}  // namespace nnm
