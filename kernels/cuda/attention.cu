// Attention by tiles of queries and keys; the weights stay in shared memory.
// Source: Dao, "FlashAttention-2" (2023): one pass over the keys with a running maximum.
#include "kernels/cuda/attention.h"

#include "kernels/cuda/plugin.h"

namespace nnm::cuda {
namespace {

/// The largest over the 16 threads that share a row of a tile.
template <class C>
__device__ inline C tile_row_max(C v) {
  for (int d = 8; d > 0; d /= 2) {
    const C other = __shfl_xor_sync(~0u, v, d);
    v = other > v ? other : v;
  }
  return v;
}
template <class C>
__device__ inline C tile_row_sum(C v) {
  for (int d = 8; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
  return v;
}

/// The softmax of four rows of queries, as far as their keys have been seen.
template <class C>
struct Softmax {
  C top[4], sum[4];  ///< the largest score; this thread's part of the sum of weights

  /// Turns scores into weights relative to the new maximum; factor[i] takes the old to it. A row
  /// that sees nothing keeps weights of 0, and NaN stays NaN.
  __device__ void add(C (&s)[4][4], C (&factor)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      C most = top[i];
#pragma unroll
      for (int j = 0; j < 4; ++j) most = s[i][j] > most ? s[i][j] : most;
      most = tile_row_max(most);
      const C from = most == -std::numeric_limits<C>::infinity() ? C(0) : most;
      factor[i] = std::exp(top[i] - from);
      top[i] = most;
      sum[i] *= factor[i];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s[i][j] = std::exp(s[i][j] - from);
        sum[i] += s[i][j];
      }
    }
  }
};

template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    attend(AttentionShape s, View out, Compute<T>* lse, View q, View k, View v) {
  using C = Compute<T>;
  using Memory = AttentionMemory<C, kWide>;
  NNM_DYNAMIC_SHARED(Memory, memory);
  const int t = static_cast<int>(threadIdx.x), ty = t / 16 * 4, tx = t % 16 * 4;
  const int blocks = (s.queries + kTileSide - 1) / kTileSide;
  const int64_t bh = blockIdx.x / static_cast<unsigned>(blocks);
  // The last queries first: causal ones have the most keys.
  const int row = (blocks - 1 - static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks))) *
                  kTileSide,
            column = static_cast<int>(blockIdx.y) * kWide;
  const Scores<T> scores = s.scores<T>(bh);
  const auto qs = matrix_of<const T>(q, scores.b, scores.h),
             ks = matrix_of<const T>(k, scores.b, scores.h),
             vs = matrix_of<const T>(v, scores.b, scores.h);
  Softmax<C> softmax;
  for (int i = 0; i < 4; ++i) softmax.top[i] = scores.kNever, softmax.sum[i] = 0;
  C sum[4][kWide / 16] = {};
  const int keys = scores.keys_of(row + kTileSide);
  for (int key = 0; key < keys; key += kTileSide) {
    C w[4][4], factor[4];
    multiply_rows<T>(memory->strip, qs, row, ks, key, w);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) w[i][j] = scores.score(w[i][j], row + ty + i, key + tx + j);
    softmax.add(w, factor);
    if (s.p.dropout_p > 0) scores.drop(w, row + ty, key + tx);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) memory->tile[tx + j][ty + i] = w[i][j];
#pragma unroll
      for (int j = 0; j < kWide / 16; ++j) sum[i][j] *= factor[i];
    }
    multiply_tile<T>(*memory, vs, key, column, sum);
  }
  for (int i = 0; i < 4; ++i) {
    const C total = tile_row_sum(softmax.sum[i]), scale = total == C(0) ? C(0) : C(1) / total;
#pragma unroll
    for (int j = 0; j < kWide / 16; ++j) sum[i][j] *= scale;
    const int query = row + ty + i;
    if (blockIdx.y == 0 && tx == 0 && query < s.queries)
      lse[bh * s.queries + query] = softmax.top[i] + std::log(total);
  }
  write_rows(matrix_of<T>(out, scores.b, scores.h), row, column, sum);
}

void attention_cuda(const View& out, const View& lse, const View& q, const View& k, const View& v,
                    const View& mask, const Attention& p) {
  const AttentionShape s(q, k, mask, p);
  by_width(q.dtype, v.size[3], [&]<class T, int kWide>() {
    using C = Compute<T>;
    NNM_LAUNCH((attend<T, kWide>), dim3(attention_blocks(q, q.size[2]), pieces(v.size[3], kWide)),
               dim3(kThreads), sizeof(AttentionMemory<C, kWide>), s, out, lse.as<C>(), q, k, v);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(attention, nnm::cuda::attention_cuda);
