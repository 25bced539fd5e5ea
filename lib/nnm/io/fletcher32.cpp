// The checksum of HDF5's Fletcher32 filter.
#include "nnm/io/fletcher32.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace nnm::io {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kModulus = 65535;
// As many sums side by side as a vector register holds.
constexpr size_t kLanes = 8;
// So many rounds leave every 32-bit sum of prefix sums of 16-bit words without overflow.
constexpr size_t kRounds = 360;

// The two sums of the words of a block of whole rounds: all of them, and weighted with how many
// words there are from each one to the end.
struct Sums {
  uint64_t plain = 0, weighted = 0;
};

inline __attribute__((always_inline)) Sums lane_sums(const char* data, size_t rounds) {
  uint32_t a[kLanes] = {}, b[kLanes] = {};
  for (size_t r = 0; r < rounds; ++r, data += 2 * kLanes) {
    uint16_t word[kLanes];
    std::memcpy(word, data, sizeof word);
    for (size_t i = 0; i < kLanes; ++i) a[i] += word[i];
    for (size_t i = 0; i < kLanes; ++i) b[i] += a[i];
  }
  Sums s;
  for (size_t i = 0; i < kLanes; ++i) {
    s.plain += a[i];
    s.weighted += uint64_t{kLanes} * b[i] - uint64_t{i} * a[i];
  }
  return s;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) Sums wide_sums(const char* data, size_t rounds) {
  return lane_sums(data, rounds);
}
#endif

Sums block_sums(const char* data, size_t rounds) {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx2");
  if (wide) return wide_sums(data, rounds);
#endif
  return lane_sums(data, rounds);
}

// HDF5 folds carries back in, so that a sum that is a multiple of the modulus ends as the modulus
// itself, unless all was zero.
uint32_t folded(uint64_t sum) {
  return sum == 0 ? 0 : static_cast<uint32_t>((sum - 1) % kModulus) + 1;
}

// Sums of words read in the other byte order are those sums with their bytes swapped: 2^16 is 1
// modulo 65535.
uint32_t swapped(uint32_t sum) { return (sum << 8 | sum >> 8) & 0xffff; }

}  // namespace

uint32_t fletcher32(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  uint64_t plain = 0, weighted = 0;
  for (size_t words = bytes / 2; words > 0;) {
    const size_t rounds = std::min(words / kLanes, kRounds);
    Sums s;
    size_t count = rounds * kLanes;
    if (rounds > 0) {
      s = block_sums(at, rounds);
    } else {
      count = words;
      for (size_t i = 0; i < count; ++i) {
        uint16_t word;
        std::memcpy(&word, at + 2 * i, sizeof word);
        s.weighted += s.plain += word;
      }
    }
    weighted = folded(weighted + count * plain + s.weighted);
    plain = folded(plain + s.plain);
    at += 2 * count;
    words -= count;
  }
  if (bytes % 2 != 0) {
    plain = folded(plain + static_cast<unsigned char>(*at));
    weighted = folded(weighted + plain);
  }
  return swapped(static_cast<uint32_t>(weighted)) << 16 | swapped(static_cast<uint32_t>(plain));
}

}  // namespace nnm::io
