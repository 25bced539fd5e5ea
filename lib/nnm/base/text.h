// Text for people: UTF-8, names that a terminal must not obey, sizes and counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nnm {

/// Bytes of the well-formed UTF-8 sequence at the start of s (not empty); 0 if there is none:
/// overlong forms, surrogates and what lies beyond U+10FFFF are malformed.
size_t utf8_length(std::string_view s);
bool is_utf8(std::string_view s);
/// Characters of s; a malformed byte counts as one.
size_t code_points(std::string_view s);

/// s with control characters (C0, C1, DEL), direction marks and malformed bytes written as `\n`,
/// `\t`, `\x1b`, `\u202e`: what comes from files and is printed to a terminal.
std::string escape_terminal(std::string_view s);

/// "512 B", "1.2 MiB", "3.0 GiB".
std::string human_bytes(uint64_t bytes);
/// Of "300", "64MiB", "2 gb": units are powers of 1024. None for what is no size, or one that does
/// not fit.
std::optional<int64_t> parse_bytes(std::string_view text);
/// "11,689,512".
std::string with_thousands(int64_t n);
/// "1 step", "1,200 steps".
std::string counted(int64_t n, std::string_view what);

}  // namespace nnm
