// Philox4x32-10: a counter-based generator. Element i of a draw is lane i % 4 of counter offset + i
// / 4. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace nnm {

/// The four numbers of one counter; `stream` tells apart draws that share it.
NNM_HD inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter, uint64_t stream = 0) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0,
                   n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

/// A uniform number in [0, 1) with 24 bits.
NNM_HD inline float uniform24(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 5.9604644775390625e-08f;
}
/// A uniform number in [0, 1) with 53 bits, from two words.
NNM_HD inline double uniform53(uint32_t a, uint32_t b) {
  return static_cast<double>((uint64_t{a} << 32 | b) >> 11) * 1.1102230246251565e-16;
}
/// A standard normal number from two words (Box and Muller), computed in double.
NNM_HD inline double normal_from(uint32_t a, uint32_t b) {
  const double u = (static_cast<double>(a) + 1.0) * 2.3283064365386963e-10;  // (0, 1]
  const double v = static_cast<double>(b) * 2.3283064365386963e-10;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
}

}  // namespace nnm
