// The gradients of attention. The weights are recomputed twice, once for dk and dv, whose blocks go
// over the queries, and once for dq, whose blocks go over the keys: nothing is added by two blocks.
#include "kernels/cuda/attention.h"
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

void attention_backward_cuda(const View& dq, const View& dk, const View& dv, const View& g,
                             const View& out, const View& lse, const View& q, const View& k,
                             const View& v, const View& mask, const Attention& p) {
  const int64_t rows = q.size[0] * q.size[1] * q.size[2];
  const int64_t columns = q.size[3] > v.size[3] ? q.size[3] : v.size[3];
  const AttentionShape s(q, k, mask, p);
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
