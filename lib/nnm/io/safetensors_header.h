// The JSON header of a .safetensors file. Private to lib/nnm/io.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nnm::io {

/// A tensor as the header describes it; begin and end count from the end of the header.
struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

/// Entries in the order of the text; __metadata__ is checked and dropped. Throws std::string, the
/// problem, for anything but an object of {dtype, shape, data_offsets}.
std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view json);

/// A JSON string with its quotes.
std::string json_quoted(std::string_view text);

}  // namespace nnm::io
