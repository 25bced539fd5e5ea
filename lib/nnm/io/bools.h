// What the bytes of a bool may be.
#pragma once

#include <algorithm>
#include <cstdint>

namespace nnm::io {

/// Whether n bytes are bools: each is 0 or 1.
inline bool are_bools(const void* bytes, int64_t n) {
  const auto* b = static_cast<const uint8_t*>(bytes);
  return std::all_of(b, b + n, [](uint8_t v) { return v <= 1; });
}

}  // namespace nnm::io
