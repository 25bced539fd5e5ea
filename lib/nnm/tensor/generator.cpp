// Streams by name, and the default one.
#include "nnm/tensor/generator.h"

namespace nnm {

Generator Generator::for_name(uint64_t seed, std::string_view name) {
  // FNV-1a over the name, then the finaliser of SplitMix64 over both.
  uint64_t h = 1469598103934665603u;
  for (char c : name) h = (h ^ static_cast<uint8_t>(c)) * 1099511628211u;
  uint64_t z = seed + 0x9e3779b97f4a7c15u * (h | 1);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return Generator(z ^ z >> 31);
}

Generator& default_generator() {
  static Generator g(0);
  return g;
}

void manual_seed(uint64_t seed) { default_generator() = Generator(seed); }

}  // namespace nnm
