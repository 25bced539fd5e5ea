// Transposition of f32 in registers.
#pragma once

#include <cstdint>

namespace nnm {
namespace {

// kColumns columns of f32 that lie `step` apart, each with its elements in a row of memory, as rows
// `out_step` apart: 8 x 8 at a time by shuffles. Eight elements are written for each row, of which
// the next row takes back what lies beyond kColumns.
template <int kColumns>
inline void transpose_columns(float* out, int64_t out_step, const float* in, int64_t step,
                              int64_t depth) {
  typedef float V __attribute__((vector_size(32), aligned(4)));
  int64_t k = 0;
  for (; k + 8 <= depth; k += 8, out += 8 * out_step) {
    V r[8], p[8], q[8];
    for (int i = 0; i < 8; ++i)
      r[i] = i < kColumns ? *reinterpret_cast<const V*>(in + i * step + k) : V{};
    for (int i = 0; i < 8; i += 2) {
      p[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
      p[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
      for (int u = 0; u < 2; ++u) {
        q[i + 2 * u] = __builtin_shufflevector(p[i + u], p[i + u + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        q[i + 2 * u + 1] =
            __builtin_shufflevector(p[i + u], p[i + u + 2], 2, 3, 10, 11, 6, 7, 14, 15);
      }
    }
    for (int i = 0; i < 4; ++i)
      *reinterpret_cast<V*>(out + i * out_step) =
          __builtin_shufflevector(q[i], q[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    for (int i = 0; i < 4; ++i)
      *reinterpret_cast<V*>(out + (i + 4) * out_step) =
          __builtin_shufflevector(q[i], q[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (; k < depth; ++k, out += out_step)
    for (int i = 0; i < kColumns; ++i) out[i] = in[i * step + k];
}

inline void transpose_eight(float* out, int64_t out_step, const float* in, int64_t step,
                            int64_t depth) {
  transpose_columns<8>(out, out_step, in, step, depth);
}

#ifdef __AVX512F__
// Twelve rows of f32 that lie `step` apart as columns: `depth` rows of twelve, one after another.
// Four rows at a time by shuffles within quarters of a vector.
inline void transpose_twelve(float* out, const float* in, int64_t step, int64_t depth) {
  typedef float V __attribute__((vector_size(64), aligned(4)));
  typedef float Four __attribute__((vector_size(16), aligned(4)));
  constexpr int64_t kRows = 12;
  const auto low = [](const V& x, const V& y) {
    return __builtin_shufflevector(x, y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  };
  const auto high = [](const V& x, const V& y) {
    return __builtin_shufflevector(x, y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15,
                                   31);
  };
  const auto left = [](const V& x, const V& y) {
    return __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  };
  const auto right = [](const V& x, const V& y) {
    return __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30,
                                   31);
  };
  // Terms k, k + 4, k + 8 and k + 12 of four rows.
  const auto write = [](float* to, const V& v) {
    *reinterpret_cast<Four*>(to) = __builtin_shufflevector(v, v, 0, 1, 2, 3);
    *reinterpret_cast<Four*>(to + 4 * kRows) = __builtin_shufflevector(v, v, 4, 5, 6, 7);
    *reinterpret_cast<Four*>(to + 8 * kRows) = __builtin_shufflevector(v, v, 8, 9, 10, 11);
    *reinterpret_cast<Four*>(to + 12 * kRows) = __builtin_shufflevector(v, v, 12, 13, 14, 15);
  };
  int64_t k = 0;
  for (; k + 16 <= depth; k += 16, out += 16 * kRows) {
#pragma GCC unroll 3
    for (int64_t r = 0; r < kRows; r += 4) {
      const auto row = [&](int64_t i) {
        return *reinterpret_cast<const V*>(in + (r + i) * step + k);
      };
      const V p = low(row(0), row(1)), q = high(row(0), row(1)), s = low(row(2), row(3)),
              t = high(row(2), row(3));
      write(out + r, left(p, s));
      write(out + r + kRows, right(p, s));
      write(out + r + 2 * kRows, left(q, t));
      write(out + r + 3 * kRows, right(q, t));
    }
  }
  for (; k < depth; ++k, out += kRows)
    for (int64_t i = 0; i < kRows; ++i) out[i] = in[i * step + k];
}
#endif

}  // namespace
}  // namespace nnm
