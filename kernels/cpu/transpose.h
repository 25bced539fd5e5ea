// Transposition of f32 in registers.
#pragma once

#include <cstdint>

namespace nnm {
namespace {

// Eight columns of f32 that lie `step` apart, each with its elements in a row of memory, as rows
// `out_step` apart: 8 x 8 at a time by shuffles.
inline void transpose_eight(float* out, int64_t out_step, const float* in, int64_t step,
                            int64_t depth) {
  typedef float V __attribute__((vector_size(32), aligned(4)));
  int64_t k = 0;
  for (; k + 8 <= depth; k += 8, out += 8 * out_step) {
    V r[8], p[8], q[8];
    for (int i = 0; i < 8; ++i) r[i] = *reinterpret_cast<const V*>(in + i * step + k);
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
    for (int i = 0; i < 4; ++i) {
      V* to = reinterpret_cast<V*>(out + i * out_step);
      V* below = reinterpret_cast<V*>(out + (i + 4) * out_step);
      *to = __builtin_shufflevector(q[i], q[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
      *below = __builtin_shufflevector(q[i], q[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
  }
  for (; k < depth; ++k, out += out_step)
    for (int i = 0; i < 8; ++i) out[i] = in[i * step + k];
}

}  // namespace
}  // namespace nnm
