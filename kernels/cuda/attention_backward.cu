// The gradients of attention. The weights are recomputed twice, once for dk and dv, whose blocks go
// over the queries, and once for dq, whose blocks go over the keys: nothing is added by two blocks.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/block.h"
#include "kernels/cuda/plugin.h"

namespace nnm::cuda {
namespace {

/// deltas (B, H, L) = the sum of g out over the columns, which is that of a row's weights times
/// their gradients. A warp has a row.
template <class T>
__global__ void row_deltas(AttentionShape s, Compute<T>* deltas, View g, View out, int64_t rows) {
  using C = Compute<T>;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  const int64_t bh = row / s.queries;
  const int query = static_cast<int>(row % s.queries);
  const auto gs = matrix_of<const T>(g, bh / s.heads, bh % s.heads),
             os = matrix_of<const T>(out, bh / s.heads, bh % s.heads);
  C sum = 0;
  for (int e = static_cast<int>(threadIdx.x); e < gs.columns; e += 32)
    sum += gs.value(query, e) * os.value(query, e);
  sum = over_warp(sum, Plus());
  if (threadIdx.x == 0) deltas[row] = sum;
}

/// Operands of both kernels.
template <class T>
struct Gradients {
  using C = Compute<T>;
  View q, k, v, g;
  const C *lse, *deltas;
};

/// The weights w of a tile, after dropout, and the gradients d of its scores.
template <class T, class C, int kWide>
__device__ inline void tile_gradients(const AttentionShape& s, AttentionMemory<C, kWide>& memory,
                                      const Gradients<T>& in, int64_t bh, int row, int key,
                                      C (&w)[4][4], C (&d)[4][4]) {
  const int t = static_cast<int>(threadIdx.x), ty = t / 16 * 4, tx = t % 16 * 4;
  const Scores<T> scores = s.scores<T>(bh);
  const auto of = [&](const View& v) { return matrix_of<const T>(v, scores.b, scores.h); };
  multiply_rows<T>(memory.strip, of(in.q), row, of(in.k), key, w);
  multiply_rows<T>(memory.strip, of(in.g), row, of(in.v), key, d);
  if (s.p.dropout_p > 0) scores.drop(d, row + ty, key + tx);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int query = row + ty + i;
    const bool there = query < s.queries;
    const C lse = there ? in.lse[bh * s.queries + query] : scores.kNever,
            delta = there ? in.deltas[bh * s.queries + query] : C(0);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const C score = scores.score(w[i][j], query, key + tx + j);
      w[i][j] = lse == scores.kNever ? C(0) : std::exp(score - lse);
      d[i][j] = w[i][j] * (d[i][j] - delta) * C(s.p.scale);
    }
  }
  if (s.p.dropout_p > 0) scores.drop(w, row + ty, key + tx);
}

template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    key_gradients(AttentionShape s, View dk, View dv, Gradients<T> in) {
  using C = Compute<T>;
  using Memory = AttentionMemory<C, kWide>;
  NNM_DYNAMIC_SHARED(Memory, memory);
  const int t = static_cast<int>(threadIdx.x), ty = t / 16 * 4, tx = t % 16 * 4;
  const unsigned blocks = static_cast<unsigned>((s.keys + kTileSide - 1) / kTileSide);
  const int64_t bh = blockIdx.x / blocks, b = bh / s.heads, h = bh % s.heads;
  const int key = static_cast<int>(blockIdx.x % blocks) * kTileSide,
            column = static_cast<int>(blockIdx.y) * kWide;
  C dk_sum[4][kWide / 16] = {}, dv_sum[4][kWide / 16] = {};
  // Causal queries before the first key of the block see none of it.
  for (int row = s.p.causal ? key : 0; row < s.queries; row += kTileSide) {
    C w[4][4], d[4][4];
    tile_gradients<T>(s, *memory, in, bh, row, key, w, d);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) memory->tile[ty + i][tx + j] = w[i][j];
    multiply_tile<T>(*memory, matrix_of<const T>(in.g, b, h), row, column, dv_sum);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) memory->tile[ty + i][tx + j] = d[i][j];
    multiply_tile<T>(*memory, matrix_of<const T>(in.q, b, h), row, column, dk_sum);
  }
  write_rows(matrix_of<T>(dk, b, h), key, column, dk_sum);
  write_rows(matrix_of<T>(dv, b, h), key, column, dv_sum);
}

template <class T, int kWide>
__global__ void __launch_bounds__(kThreads)
    query_gradients(AttentionShape s, View dq, Gradients<T> in) {
  using C = Compute<T>;
  using Memory = AttentionMemory<C, kWide>;
  NNM_DYNAMIC_SHARED(Memory, memory);
  const int t = static_cast<int>(threadIdx.x), ty = t / 16 * 4, tx = t % 16 * 4;
  const unsigned blocks = static_cast<unsigned>((s.queries + kTileSide - 1) / kTileSide);
  const int64_t bh = blockIdx.x / blocks, b = bh / s.heads, h = bh % s.heads;
  // The last queries first: causal ones have the most keys.
  const int row = static_cast<int>(blocks - 1 - blockIdx.x % blocks) * kTileSide,
            column = static_cast<int>(blockIdx.y) * kWide;
  C sum[4][kWide / 16] = {};
  const int keys = s.scores<T>(bh).keys_of(row + kTileSide);
  for (int key = 0; key < keys; key += kTileSide) {
    C w[4][4], d[4][4];
    tile_gradients<T>(s, *memory, in, bh, row, key, w, d);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) memory->tile[tx + j][ty + i] = d[i][j];
    multiply_tile<T>(*memory, matrix_of<const T>(in.k, b, h), key, column, sum);
  }
  write_rows(matrix_of<T>(dq, b, h), row, column, sum);
}

/// What the weights of a query's row, exp2(score - lse), and their gradients, weight (d - delta),
/// need.
struct alignas(8) QueryFacts {
  float lse, delta;
};

constexpr int kFactLanes = 8, kFactRows = kTileThreads / kFactLanes;

/// The facts of all rows (B, H, L), as row_deltas has them, eight threads to a row.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    row_facts(AttentionShape s, QueryFacts* facts, const float* lse, View g, View out,
              int64_t rows) {
  if constexpr (kTensorCores) {
    const int t = static_cast<int>(threadIdx.x);
    const int64_t row = int64_t{blockIdx.x} * kFactRows + t / kFactLanes;
    const int64_t bh = row / s.queries;
    const int query = static_cast<int>(row % s.queries);
    float sum = 0;
    if (row < rows) {
      const auto gs = matrix_of<const T>(g, bh / s.heads, bh % s.heads),
                 os = matrix_of<const T>(out, bh / s.heads, bh % s.heads);
      for (int c = t % kFactLanes * 8; c < gs.columns; c += kFactLanes * 8) {
        if (c + 8 <= gs.columns) {
          const auto x = *reinterpret_cast<const Pack<T>*>(&gs.at(query, c)),
                     y = *reinterpret_cast<const Pack<T>*>(&os.at(query, c));
#pragma unroll
          for (int i = 0; i < 8; ++i)
            sum += static_cast<float>(x.v[i]) * static_cast<float>(y.v[i]);
        } else {
          for (int i = c; i < gs.columns; ++i) sum += gs.value(query, i) * os.value(query, i);
        }
      }
    }
    for (int d = kFactLanes / 2; d > 0; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    if (row >= rows || t % kFactLanes != 0) return;
    // A query that sees no key: the weights are 0.
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    facts[row] = {lse[row] == -kInfinity ? kInfinity : lse[row] * kLog2E, sum};
  }
}

/// Operands of the kernels on tensor cores.
struct TileGradients {
  View q, k, v, g;
  const QueryFacts* facts;
};

/// Weights w, after dropout, and gradients d of scores, but for their scale, from scores and
/// gradients of weights, for tiles that begin at this row and column. fact_of(half, column) is that
/// of the query: of the rows, the thread has one in every half of a tile.
template <bool kPlain, bool kTurned, class T, int kTiles, int kParts, class F>
__device__ inline void to_gradients(const Scores<T>& s, float factor, int row, int column,
                                    const F& fact_of, float (&w)[kTiles][kParts][4],
                                    float (&d)[kTiles][kParts][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < kTiles * kParts; ++i) {
    const int m = i / kParts, n = i % kParts;
    const bool drops = !kPlain && s.p.dropout_p > 0;
    float scale = 1;
    uint32_t keeps = ~0u;
    if (drops) {
      const TileDropout dropout(s);
      scale = dropout.scale;
      keeps = dropout.of_tile<kTurned>(row + m * 16, column + n * 8);
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const QueryFacts fact = fact_of(m * 2 + e / 2, n * 8 + e % 2 + lane % 4 * 2);
      const float kept = (keeps >> e & 1) == 0 ? 0.0f : scale;
      float &weight = w[m][n][e], &gradient = d[m][n][e];
      weight = power_of_2(fmaf(weight, factor, -fact.lse));
      gradient = weight * (gradient * kept - fact.delta);
      weight *= kept;
    }
  }
}

/// Shared memory of a block with its own kRows rows of two operands, and two tiles of the others.
template <class T, int kWidth, int kRows>
struct BackwardMemory {
  T own[2][kRows * kWidth];
  struct {
    T rows[2][kTileSide * kWidth];
    QueryFacts facts[kTileSide];
  } tiles[2];
};

/// The rows of a block of key_tiles and of query_tiles: 16 or 32 for each warp, as the registers
/// have room.
constexpr int kKeyRows = 16 * kTileWarps;
template <int kWidth>
constexpr int kQueryRows = (kWidth > 64 ? 16 : 32) * kTileWarps;
/// The columns of scores that a warp works on at a time.
constexpr int kStep = 16;

template <class T, int kWidth, bool kPlain>
__global__ void __launch_bounds__(kTileThreads, kWidth > 64 ? 2 : 3)
    key_tiles(AttentionShape s, View dk, View dv, TileGradients in) {
  if constexpr (kTensorCores) {
    using Memory = BackwardMemory<T, kWidth, kKeyRows>;
    NNM_DYNAMIC_SHARED(Memory, memory);
    const int blocks = (s.keys + kKeyRows - 1) / kKeyRows;
    const int64_t bh = blockIdx.x / static_cast<unsigned>(blocks);
    const int key = static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks)) * kKeyRows,
              own = static_cast<int>(threadIdx.x) / 32 * 16;
    const Scores<T> scores = s.scores<T>(bh);
    const auto of = [&](const View& v) { return matrix_of<const T>(v, scores.b, scores.h); };
    const auto qs = of(in.q), gs = of(in.g);
    const auto fetch = [&](int row) {
      auto& tile = memory->tiles[row / kTileSide % 2];
      fetch_rows<kTileSide, kWidth>(tile.rows[0], qs, row);
      fetch_rows<kTileSide, kWidth>(tile.rows[1], gs, row);
      const int t = static_cast<int>(threadIdx.x), query = row + t;
      if (t < kTileSide)
        copy_async<8>(tile.facts + t, in.facts + bh * s.queries + (query < s.queries ? query : 0),
                      query < s.queries ? 8 : 0);
    };
    // Causal queries before the first key of the block see none of it.
    const int begin = s.p.causal ? key : 0;
    fetch_rows<kKeyRows, kWidth>(memory->own[0], of(in.k), key);
    fetch_rows<kKeyRows, kWidth>(memory->own[1], of(in.v), key);
    if (begin < s.queries) fetch(begin);
    wait_for_copies();
    __syncthreads();
    const TileRows<T, kWidth, 1, true> ks(memory->own[0], own), vs(memory->own[1], own);
    const float factor = score_factor<kPlain>(s.p);
    TileSums<1, kWidth> dk_sum = {}, dv_sum = {};
    for (int row = begin; row < s.queries; row += kTileSide) {
      if (row + kTileSide < s.queries) fetch(row + kTileSide);
      const auto& tile = memory->tiles[row / kTileSide % 2];
      const int first = key + own;
#pragma unroll 1
      for (int i = 0; i < kTileSide; i += kStep) {
        const int query = row + i;
        if (s.p.causal && query + kStep <= first) continue;
        TileSums<1, kStep> w, d;
        multiply_along<kStep>(ks, tile.rows[0], i, w);
        multiply_along<kStep>(vs, tile.rows[1], i, d);
        to_scores<kPlain, true>(scores, w, first, query,
                                query + kStep <= s.queries && first + 16 <= s.keys &&
                                    (!s.p.causal || first + 15 <= query));
        to_gradients<kPlain, true>(
            scores, factor, first, query, [&](int, int c) { return tile.facts[i + c]; }, w, d);
        multiply_across<T, kWidth>(w, tile.rows[1], i, dv_sum);
        multiply_across<T, kWidth>(d, tile.rows[0], i, dk_sum);
      }
      wait_for_copies();
      __syncthreads();
    }
    each_sum(dk_sum, 0, 0, [&](float& x, int, int) { x *= static_cast<float>(s.p.scale); });
    write_tiles<T>(dk, bh, s.heads, key + own, dk_sum);
    write_tiles<T>(dv, bh, s.heads, key + own, dv_sum);
  }
}

template <class T, int kWidth, bool kPlain>
__global__ void __launch_bounds__(kTileThreads, 2)
    query_tiles(AttentionShape s, View dq, TileGradients in) {
  if constexpr (kTensorCores) {
    constexpr int kRows = kQueryRows<kWidth>, kOwn = kRows / kTileWarps, kTiles = kOwn / 16;
    using Memory = BackwardMemory<T, kWidth, kRows>;
    NNM_DYNAMIC_SHARED(Memory, memory);
    const int blocks = (s.queries + kRows - 1) / kRows;
    const int64_t bh = blockIdx.x / static_cast<unsigned>(blocks);
    // The last queries first: causal ones have the most keys.
    const int row = (blocks - 1 - static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks))) *
                    kRows,
              own = static_cast<int>(threadIdx.x) / 32 * kOwn, first = row + own;
    const Scores<T> scores = s.scores<T>(bh);
    const auto of = [&](const View& v) { return matrix_of<const T>(v, scores.b, scores.h); };
    const auto ks = of(in.k), vs = of(in.v);
    const auto fetch = [&](int key) {
      auto& tile = memory->tiles[key / kTileSide % 2];
      fetch_rows<kTileSide, kWidth>(tile.rows[0], ks, key);
      fetch_rows<kTileSide, kWidth>(tile.rows[1], vs, key);
    };
    const int keys = scores.keys_of(row + kRows);
    fetch_rows<kRows, kWidth>(memory->own[0], of(in.q), row);
    fetch_rows<kRows, kWidth>(memory->own[1], of(in.g), row);
    if (keys > 0) fetch(0);
    wait_for_copies();
    __syncthreads();
    const TileRows<T, kWidth, kTiles, true> qs(memory->own[0], own), gs(memory->own[1], own);
    const float factor = score_factor<kPlain>(s.p);
    QueryFacts facts[2 * kTiles];
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) {
      const int query = first + i * 8 + static_cast<int>(threadIdx.x) % 32 / 4;
      facts[i] = in.facts[bh * s.queries + (query < s.queries ? query : s.queries - 1)];
    }
    TileSums<kTiles, kWidth> sum = {};
    for (int key = 0; key < keys; key += kTileSide) {
      if (key + kTileSide < keys) fetch(key + kTileSide);
      const auto& tile = memory->tiles[key / kTileSide % 2];
#pragma unroll 1
      for (int i = 0; i < kTileSide; i += kStep) {
        const int end = key + i + kStep;
        if (s.p.causal && key + i >= first + kOwn) continue;
        TileSums<kTiles, kStep> w, d;
        multiply_along<kStep>(qs, tile.rows[0], i, w);
        multiply_along<kStep>(gs, tile.rows[1], i, d);
        to_scores<kPlain>(scores, w, first, key + i,
                          end <= keys && (!s.p.causal || end <= first + 1));
        to_gradients<kPlain, false>(
            scores, factor, first, key + i, [&](int half, int) { return facts[half]; }, w, d);
        multiply_across<T, kWidth>(d, tile.rows[0], i, sum);
      }
      wait_for_copies();
      __syncthreads();
    }
    each_sum(sum, 0, 0, [&](float& x, int, int) { x *= static_cast<float>(s.p.scale); });
    write_tiles<T>(dq, bh, s.heads, first, sum);
  }
}

void on_tensor_cores(const View& dq, const View& dk, const View& dv, const View& g, const View& out,
                     const View& lse, const View& q, const View& k, const View& v,
                     const AttentionShape& s) {
  const int64_t rows = q.size[0] * q.size[1] * q.size[2];
  const int64_t columns = q.size[3] > v.size[3] ? q.size[3] : v.size[3];
  const bool plain = !s.mask.data && s.p.dropout_p == 0;
  by_tiles(q.dtype, columns, plain, [&]<class T, int kWidth, bool kPlain>() {
    const Scratch<QueryFacts> facts(rows);
    NNM_LAUNCH(row_facts<T>, dim3(static_cast<unsigned>((rows + kFactRows - 1) / kFactRows)),
               dim3(kTileThreads), 0, s, facts.get(), lse.as<float>(), g, out, rows);
    const TileGradients in{q, k, v, g, facts.get()};
    NNM_LAUNCH((key_tiles<T, kWidth, kPlain>), dim3(attention_blocks(q, k.size[2], kKeyRows)),
               dim3(kTileThreads), sizeof(BackwardMemory<T, kWidth, kKeyRows>), s, dk, dv, in);
    constexpr int kRows = kQueryRows<kWidth>;
    NNM_LAUNCH((query_tiles<T, kWidth, kPlain>), dim3(attention_blocks(q, q.size[2], kRows)),
               dim3(kTileThreads), sizeof(BackwardMemory<T, kWidth, kRows>), s, dq, in);
  });
}

void attention_backward_cuda(const View& dq, const View& dk, const View& dv, const View& g,
                             const View& out, const View& lse, const View& q, const View& k,
                             const View& v, const View& mask, const Attention& p) {
  const int64_t rows = q.size[0] * q.size[1] * q.size[2];
  const int64_t columns = q.size[3] > v.size[3] ? q.size[3] : v.size[3];
  const AttentionShape s(q, k, mask, p);
  if (for_tensor_cores(p, {&q, &k, &v, &g, &out}))
    return on_tensor_cores(dq, dk, dv, g, out, lse, q, k, v, s);
  by_width(q.dtype, columns, [&]<class T, int kWide>() {
    using C = Compute<T>;
    const Scratch<C> deltas(rows);
    NNM_LAUNCH(row_deltas<T>, dim3(static_cast<unsigned>((rows + 7) / 8)), dim3(32, 8), 0, s,
               deltas.get(), g, out, rows);
    const Gradients<T> in{q, k, v, g, lse.as<C>(), deltas.get()};
    constexpr size_t kMemory = sizeof(AttentionMemory<C, kWide>);
    NNM_LAUNCH((key_gradients<T, kWide>),
               dim3(attention_blocks(q, k.size[2]), pieces(columns, kWide)), dim3(kThreads),
               kMemory, s, dk, dv, in);
    NNM_LAUNCH((query_gradients<T, kWide>),
               dim3(attention_blocks(q, q.size[2]), pieces(q.size[3], kWide)), dim3(kThreads),
               kMemory, s, dq, in);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(attention_backward, nnm::cuda::attention_backward_cuda);
