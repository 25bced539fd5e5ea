// Generator: a counter-based random stream. State is {seed, offset}, and a draw of n elements is a
// function of the state and the element's index alone, on every device and thread count.
#pragma once

#include <cstdint>
#include <string_view>

namespace nnm {

class Generator {
 public:
  explicit Generator(uint64_t start = 0) : seed(start) {}
  /// A stream of its own for a name: seed mixed with a hash of the name. Parameters draw from the
  /// stream of their canonical path, so that one more layer does not reshuffle the others.
  static Generator for_name(uint64_t seed, std::string_view name);
  /// The offset of a draw of n elements (four to a counter), and the state moved past it.
  uint64_t advance(int64_t n) {
    const uint64_t at = offset;
    offset += (static_cast<uint64_t>(n) + 3) / 4;
    return at;
  }
  uint64_t seed = 0, offset = 0;
};

/// The process's default generator (dropout, randn without a generator).
Generator& default_generator();
/// torch.manual_seed.
void manual_seed(uint64_t seed);

}  // namespace nnm
