// CRC-32C: three interleaved streams of the SSE4.2 instruction, or tables.
#include <array>
#include <cstring>

#include "nnm/base/file.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace nnm {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;

constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
  std::array<std::array<uint32_t, 256>, 8> t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ kPolynomial : c >> 1;
    t[0][i] = c;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (uint32_t i = 0; i < 256; ++i) t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 0xff];
  }
  return t;
}
constexpr auto kTables = make_tables();

uint32_t by_table(uint32_t c, const uint8_t* p, size_t n) {
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    w ^= c;
    c = 0;
    for (size_t k = 0; k < 8; ++k) c ^= kTables[7 - k][w >> (8 * k) & 0xff];
  }
  for (; n > 0; --n) c = c >> 8 ^ kTables[0][(c ^ *p++) & 0xff];
  return c;
}

#if defined(__x86_64__)
// The state after `n` zero bytes, as a 32x32 matrix over GF(2), one column per state bit.
using Matrix = std::array<uint32_t, 32>;

constexpr uint32_t times(const Matrix& m, uint32_t v) {
  uint32_t out = 0;
  for (size_t i = 0; v; ++i, v >>= 1) {
    if (v & 1) out ^= m[i];
  }
  return out;
}

constexpr Matrix zeros_matrix(size_t bytes) {
  Matrix step{};
  for (size_t i = 0; i < 32; ++i) {
    uint32_t c = uint32_t{1} << i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ kPolynomial : c >> 1;
    step[i] = c;
  }
  Matrix out{};
  for (size_t i = 0; i < 32; ++i) out[i] = uint32_t{1} << i;
  for (; bytes; bytes >>= 1) {
    if (bytes & 1) {
      for (uint32_t& column : out) column = times(step, column);
    }
    Matrix square{};
    for (size_t i = 0; i < 32; ++i) square[i] = times(step, step[i]);
    step = square;
  }
  return out;
}

constexpr size_t kBlock = 4096;
constexpr Matrix kShiftOne = zeros_matrix(kBlock), kShiftTwo = zeros_matrix(2 * kBlock);

__attribute__((target("sse4.2"))) uint32_t by_instruction(uint32_t crc, const uint8_t* p,
                                                          size_t n) {
  uint64_t c = crc;
  auto word = [](const uint8_t* at) {
    uint64_t w;
    std::memcpy(&w, at, 8);
    return w;
  };
  for (; n >= 3 * kBlock; n -= 3 * kBlock, p += 3 * kBlock) {
    uint64_t a = c, b = 0, d = 0;
    for (size_t i = 0; i < kBlock; i += 8) {
      a = _mm_crc32_u64(a, word(p + i));
      b = _mm_crc32_u64(b, word(p + kBlock + i));
      d = _mm_crc32_u64(d, word(p + 2 * kBlock + i));
    }
    c = times(kShiftTwo, static_cast<uint32_t>(a)) ^ times(kShiftOne, static_cast<uint32_t>(b)) ^ d;
  }
  for (; n >= 8; n -= 8, p += 8) c = _mm_crc32_u64(c, word(p));
  for (; n > 0; --n) c = _mm_crc32_u8(static_cast<uint32_t>(c), *p++);
  return static_cast<uint32_t>(c);
}
#endif

}  // namespace

uint32_t crc32c(const void* data, size_t bytes, uint32_t crc) {
  const auto* p = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast) return ~by_instruction(~crc, p, bytes);
#endif
  return ~by_table(~crc, p, bytes);
}

}  // namespace nnm
