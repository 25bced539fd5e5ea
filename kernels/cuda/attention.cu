// Attention by tiles of queries and keys. On tensor cores the weights stay in registers, elsewhere
// in shared memory.
// Source: Dao, "FlashAttention-2" (2023): one pass over the keys with a running maximum.
#include "kernels/cuda/attention.h"

#include "kernels/cuda/attention_tiles.h"
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

/// The softmax of a warp's rows, of which each thread has two in every 16, as far as their keys
/// have been seen. As Softmax, but to the base 2.
template <int kTiles>
struct TileSoftmax {
  float top[kTiles][2], sum[kTiles][2];

  __device__ TileSoftmax() {
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i)
      top[i / 2][i % 2] = -std::numeric_limits<float>::infinity(), sum[i / 2][i % 2] = 0;
  }

  /// Turns scores, to be multiplied by `factor`, into weights, and takes the output along.
  template <int kParts, int kWide>
  __device__ void add(float (&s)[kTiles][kParts][4], float factor, float (&out)[kTiles][kWide][4]) {
    float before[kTiles][2];
    bool moved = false;
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) {
      const int m = i / 2, half = i % 2 * 2;
      float most = top[m][i % 2];
#pragma unroll
      for (int n = 0; n < kParts; ++n) most = fmaxf(most, fmaxf(s[m][n][half], s[m][n][half + 1]));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
      const float from = most == -std::numeric_limits<float>::infinity() ? 0.0f : most * factor;
      before[m][i % 2] = power_of_2(top[m][i % 2] * factor - from);
      moved = moved || before[m][i % 2] != 1;
      top[m][i % 2] = most;
      float added = 0;
#pragma unroll
      for (int n = 0; n < 2 * kParts; ++n) {
        float& x = s[m][n / 2][half + n % 2];
        x = power_of_2(fmaf(x, factor, -from));
        added += x;
      }
      sum[m][i % 2] = sum[m][i % 2] * before[m][i % 2] + added;
    }
    // Mostly the first keys have the largest score already.
    if (!__any_sync(~0u, moved)) return;
#pragma unroll
    for (int i = 0; i < kTiles * kWide * 4; ++i)
      out[i / 4 / kWide][i / 4 % kWide][i % 4] *= before[i / 4 / kWide][i % 4 / 2];
  }

  /// Ends it: what the output is still to be multiplied by comes into `sum`, and the logarithm of
  /// the sum of the weights into `top`.
  __device__ void close(float factor) {
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) {
      float& total = sum[i / 2][i % 2];
      total += __shfl_xor_sync(~0u, total, 1);
      total += __shfl_xor_sync(~0u, total, 2);
      top[i / 2][i % 2] = top[i / 2][i % 2] * factor * kLn2 + std::log(total);
      total = total == 0 ? 0.0f : 1 / total;
    }
  }
};

/// The queries of a block: 32 for each warp.
constexpr int kQueryTiles = 2, kQueryRows = 16 * kQueryTiles, kBlockRows = kQueryRows * kTileWarps;

/// The keys that a warp works on at a time, as the registers have room.
template <int kWidth, bool kPlain>
constexpr int kKeyStep = kWidth <= 64 && kPlain ? kTileSide : 32;

/// Shared memory: the queries; keys and values of two tiles, of which one is read while the other
/// comes.
template <class T, int kWidth>
struct ForwardMemory {
  T queries[kBlockRows * kWidth];
  struct {
    T keys[kTileSide * kWidth], values[kTileSide * kWidth];
  } tiles[2];
};

/// What dropout makes of weights, but for its factor.
template <class T, int kTiles, int kParts>
__device__ inline void drop_tiles(const Scores<T>& s, float (&w)[kTiles][kParts][4], int row,
                                  int column) {
  const TileDropout dropout(s);
#pragma unroll
  for (int i = 0; i < kTiles * kParts; ++i) {
    const int m = i / kParts, n = i % kParts;
    const uint32_t keeps = dropout.of_tile<false>(row + m * 16, column + n * 8);
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if ((keeps >> e & 1) == 0) w[m][n][e] = 0;
  }
}

/// Divides the output by the sums of weights, and writes these.
template <bool kPlain, class T, int kTiles, int kParts>
__device__ inline void finish_tiles(const Scores<T>& s, const TileSoftmax<kTiles>& softmax,
                                    float (&out)[kTiles][kParts][4], int row, float* lse) {
  const float kept = !kPlain && s.p.dropout_p > 0 ? TileDropout(s).scale : 1.0f;
#pragma unroll
  for (int m = 0; m < kTiles; ++m)
#pragma unroll
    for (int n = 0; n < kParts; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) out[m][n][e] *= softmax.sum[m][e / 2] * kept;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int i = 0; i < 2 * kTiles; ++i) {
    const int query = row + i * 8 + lane / 4;
    if (lane % 4 == 0 && query < s.queries) lse[query] = softmax.top[i / 2][i % 2];
  }
}

template <class T, int kWidth, bool kPlain>
__global__ void __launch_bounds__(kTileThreads, 2)
    attend_tiles(AttentionShape s, View out, float* lse, View q, View k, View v) {
  if constexpr (kTensorCores) {
    constexpr int kStep = kKeyStep<kWidth, kPlain>;
    using Memory = ForwardMemory<T, kWidth>;
    NNM_DYNAMIC_SHARED(Memory, memory);
    const int blocks = (s.queries + kBlockRows - 1) / kBlockRows;
    const int64_t bh = blockIdx.x / static_cast<unsigned>(blocks);
    // The last queries first: causal ones have the most keys.
    const int row = (blocks - 1 - static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks))) *
                    kBlockRows,
              own = static_cast<int>(threadIdx.x) / 32 * kQueryRows, first = row + own;
    const Scores<T> scores = s.scores<T>(bh);
    const auto ks = matrix_of<const T>(k, scores.b, scores.h),
               vs = matrix_of<const T>(v, scores.b, scores.h);
    const auto fetch = [&](int key) {
      auto& tile = memory->tiles[key / kTileSide % 2];
      fetch_rows<kTileSide, kWidth>(tile.keys, ks, key);
      fetch_rows<kTileSide, kWidth>(tile.values, vs, key);
    };
    const int keys = scores.keys_of(row + kBlockRows);
    fetch_rows<kBlockRows, kWidth>(memory->queries, matrix_of<const T>(q, scores.b, scores.h), row);
    if (keys > 0) fetch(0);
    wait_for_copies();
    __syncthreads();
    const TileRows<T, kWidth, kQueryTiles, kWidth <= 64> queries(memory->queries, own);
    const float factor = score_factor<kPlain>(s.p);
    TileSoftmax<kQueryTiles> softmax;
    TileSums<kQueryTiles, kWidth> sum = {};
    for (int key = 0; key < keys; key += kTileSide) {
      if (key + kTileSide < keys) fetch(key + kTileSide);
      const auto& tile = memory->tiles[key / kTileSide % 2];
#pragma unroll 1
      for (int i = 0; i < kTileSide; i += kStep) {
        const int begin = key + i, end = begin + kStep;
        if (s.p.causal && begin >= first + kQueryRows) break;
        TileSums<kQueryTiles, kStep> w;
        multiply_along<kStep>(queries, tile.keys, i, w);
        to_scores<kPlain>(scores, w, first, begin,
                          end <= keys && (!s.p.causal || end <= first + 1));
        softmax.add(w, factor, sum);
        if (!kPlain && s.p.dropout_p > 0) drop_tiles(scores, w, first, begin);
        multiply_across<T, kWidth>(w, tile.values, i, sum);
      }
      wait_for_copies();
      __syncthreads();
    }
    softmax.close(factor);
    finish_tiles<kPlain>(scores, softmax, sum, first, lse + bh * s.queries);
    write_tiles<T>(out, bh, s.heads, first, sum);
  }
}

void attention_cuda(const View& out, const View& lse, const View& q, const View& k, const View& v,
                    const View& mask, const Attention& p) {
  const AttentionShape s(q, k, mask, p);
  if (for_tensor_cores(p, {&q, &k, &v})) {
    const bool plain = !mask.data && p.dropout_p == 0;
    const int64_t columns = q.size[3] > v.size[3] ? q.size[3] : v.size[3];
    by_tiles(q.dtype, columns, plain, [&]<class T, int kWidth, bool kPlain>() {
      NNM_LAUNCH((attend_tiles<T, kWidth, kPlain>),
                 dim3(attention_blocks(q, q.size[2], kBlockRows)), dim3(kTileThreads),
                 sizeof(ForwardMemory<T, kWidth>), s, out, lse.as<float>(), q, k, v);
    });
    return;
  }
  by_width(q.dtype, v.size[3], [&]<class T, int kWide>() {
    using C = Compute<T>;
    NNM_LAUNCH((attend<T, kWide>), dim3(attention_blocks(q, q.size[2]), pieces(v.size[3], kWide)),
               dim3(kThreads), sizeof(AttentionMemory<C, kWide>), s, out, lse.as<C>(), q, k, v);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(attention, nnm::cuda::attention_cuda);
