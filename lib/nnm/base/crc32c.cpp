// CRC-32C: carry-less products of 64 bytes at a time, three interleaved streams of the SSE4.2
// instruction, or tables.
#include <array>
#include <cstring>

#include "nnm/base/file.h"

#if defined(__x86_64__)
#include <immintrin.h>
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

// What moves 128 bits of the message on by so many bits: x^(bits + 32) for their first half, and
// x^(bits - 32) for the second, modulo the polynomial, in its bit order (Gopal et al., Fast CRC
// Computation for Generic Polynomials Using PCLMULQDQ Instruction).
constexpr uint64_t power_of_x(int n) {
  uint32_t v = uint32_t{1} << 31;
  for (; n > 0; --n) v = v & 1 ? v >> 1 ^ kPolynomial : v >> 1;
  return uint64_t{v} << 1;
}
struct Shift {
  uint64_t first, second;
};
constexpr Shift shift_by(int bits) { return {power_of_x(bits + 32), power_of_x(bits - 32)}; }

// The processor's own prefetching ends with each page.
constexpr size_t kWide = 64, kRound = 4 * kWide, kPage = 4096;
#define NNM_WIDE __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))

NNM_WIDE inline __m512i folded(__m512i x, __m512i by, __m512i next) {
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(x, by, 0x00),
                                   _mm512_clmulepi64_epi128(x, by, 0x11), next, 0x96);
}

NNM_WIDE inline __m512i everywhere(Shift s) {
  const auto a = static_cast<int64_t>(s.first), b = static_cast<int64_t>(s.second);
  return _mm512_set_epi64(b, a, b, a, b, a, b, a);
}

// n >= kRound. Four registers of four lanes each go on by a round at a time; at last all that is
// left of the message so far are 16 bytes.
NNM_WIDE uint32_t by_products(uint32_t crc, const uint8_t* p, size_t n) {
  constexpr Shift kByRound = shift_by(8 * kRound), kByWide = shift_by(8 * kWide),
                  kByLane = shift_by(128);
  __m512i x[4];
  for (int i = 0; i < 4; ++i) x[i] = _mm512_loadu_si512(p + i * kWide);
  x[0] = _mm512_xor_si512(x[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(crc))));
  const __m512i by_round = everywhere(kByRound), by_wide = everywhere(kByWide);
  for (p += kRound, n -= kRound; n >= kRound; p += kRound, n -= kRound)
    for (int i = 0; i < 4; ++i) {
      __builtin_prefetch(p + kPage + i * kWide);
      x[i] = folded(x[i], by_round, _mm512_loadu_si512(p + i * kWide));
    }
  for (int i = 1; i < 4; ++i) x[i] = folded(x[i - 1], by_wide, x[i]);
  alignas(64) __m128i lanes[4];
  _mm512_store_si512(lanes, x[3]);
  const __m128i by_lane =
      _mm_set_epi64x(static_cast<int64_t>(kByLane.second), static_cast<int64_t>(kByLane.first));
  for (int i = 1; i < 4; ++i)
    lanes[i] = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(lanes[i - 1], by_lane, 0x00),
                                           _mm_clmulepi64_si128(lanes[i - 1], by_lane, 0x11)),
                             lanes[i]);
  uint64_t left[2];
  std::memcpy(left, &lanes[3], sizeof left);
  const uint64_t c = _mm_crc32_u64(_mm_crc32_u64(0, left[0]), left[1]);
  return by_instruction(static_cast<uint32_t>(c), p, n);
}
#undef NNM_WIDE
#endif

}  // namespace

uint32_t crc32c(const void* data, size_t bytes, uint32_t crc) {
  const auto* p = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  static const bool wide = fast && __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("pclmul");
  if (wide && bytes >= kRound) return ~by_products(~crc, p, bytes);
  if (fast) return ~by_instruction(~crc, p, bytes);
#endif
  return ~by_table(~crc, p, bytes);
}

}  // namespace nnm
