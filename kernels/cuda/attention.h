// What the three kernels of attention share: tiles of 64 queries by 64 keys, their scores and
// weights.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/attention.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/tile.h"
#include "kernels/philox.h"

namespace nnm::cuda {
namespace {

constexpr int kTileSide = 64;

/// One matrix (b, h) of a (B, H, rows, columns) tensor.
template <class T>
struct Matrix {
  T* data;
  int64_t row_stride, column_stride;
  int rows, columns;

  __device__ T& at(int row, int column) const {
    return data[row * row_stride + column * column_stride];
  }
  /// 0 beyond the sizes.
  __device__ auto value(int row, int column) const {
    using C = Compute<std::remove_const_t<T>>;
    return row < rows && column < columns ? static_cast<C>(at(row, column)) : C(0);
  }
};

template <class T>
__device__ inline Matrix<T> matrix_of(const View& v, int64_t b, int64_t h) {
  return {static_cast<T*>(v.data) + b * v.stride[0] + h * v.stride[1], v.stride[2], v.stride[3],
          static_cast<int>(v.size[2]), static_cast<int>(v.size[3])};
}

/// Memory of a block: a strip of the operands of the scores, a tile of weights whose rows are the
/// depth of the product they go into, and a strip of that product's other operand.
template <class C, int kWide>
struct AttentionMemory {
  Strip<C, kTileSide, kTileSide> strip;
  C tile[kTileSide][kTileSide + 4];
  C wide[kTileDepth][kWide + 4];
};

/// The columns that one block has of a result; others recompute its weights.
template <class C>
constexpr int kWidest = sizeof(C) == 8 ? 64 : 128;

/// sum = rows [row, row + 64) of a times rows [column, column + 64) of b, transposed.
template <class T, class C>
__device__ inline void multiply_rows(Strip<C, kTileSide, kTileSide>& s, const Matrix<const T>& a,
                                     int row, const Matrix<const T>& b, int column,
                                     C (&sum)[4][4]) {
  const int t = static_cast<int>(threadIdx.x), k = t % kTileDepth, first = t / kTileDepth;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] = 0;
  for (int e = 0; e < a.columns; e += kTileDepth) {
#pragma unroll
    for (int i = 0; i < kTileSide; i += kThreads / kTileDepth) {
      s.a[k][first + i] = a.value(row + first + i, e + k);
      s.b[k][first + i] = b.value(column + first + i, e + k);
    }
    __syncthreads();
    multiply(s, t / 16, t % 16, sum);
    __syncthreads();
  }
}

/// sum += the tile, transposed, times rows [row, row + 64) of b, of which it takes the columns
/// [column, column + kWide). The tile may be written just before.
template <class T, class C, int kWide>
__device__ inline void multiply_tile(AttentionMemory<C, kWide>& s, const Matrix<const T>& b,
                                     int row, int column, C (&sum)[4][kWide / 16]) {
  const int t = static_cast<int>(threadIdx.x), ty = t / 16, tx = t % 16;
  for (int first = 0; first < kTileSide; first += kTileDepth) {
#pragma unroll
    for (int k = t / kWide; k < kTileDepth; k += kThreads / kWide)
      s.wide[k][t % kWide] = b.value(row + first + k, column + t % kWide);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kTileDepth; ++k) {
      C x[4], y[kWide / 16];
#pragma unroll
      for (int i = 0; i < 4; ++i) x[i] = s.tile[first + k][ty * 4 + i];
#pragma unroll
      for (int j = 0; j < kWide / 16; ++j) y[j] = s.wide[k][tile_place(tx, j)];
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < kWide / 16; ++j) sum[i][j] += x[i] * y[j];
    }
    __syncthreads();
  }
}

/// Writes rows [row, row + 64) and columns [column, column + kWide) of a result.
template <class T, class C, int kWide>
__device__ inline void write_rows(const Matrix<T>& m, int row, int column,
                                  const C (&sum)[4][kWide]) {
  const int t = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < kWide; ++j) {
      const int r = row + t / 16 * 4 + i, c = column + tile_place(t % 16, j);
      if (r < m.rows && c < m.columns) m.at(r, c) = T(sum[i][j]);
    }
  }
}

/// The block's head, and what becomes of its products q k^T.
template <class T>
struct Scores {
  using C = Compute<T>;
  View mask;
  Attention p;
  Draw draw;
  int64_t b, h, heads;
  int queries, keys;

  static constexpr C kNever = -std::numeric_limits<C>::infinity();

  /// The score of query i for key j, -inf where it may not see it.
  __device__ C score(C product, int i, int j) const {
    if (i >= queries || j >= keys || (p.causal && j > i)) return kNever;
    const C s = product * C(p.scale);
    if (!mask.data) return s;
    const int64_t at =
        b * mask.stride[0] + h * mask.stride[1] + i * mask.stride[2] + j * mask.stride[3];
    if (mask.dtype == DType::b8) return static_cast<const uint8_t*>(mask.data)[at] ? s : kNever;
    return s + static_cast<C>(static_cast<const T*>(mask.data)[at]);
  }

  /// What dropout makes of the weights w of queries i, i + 1, … and keys j, j + 1, …
  __device__ void drop(C (&w)[4][4], int i, int j) const {
    const C scale = C(p.dropout_p < 1 ? 1 / (1 - p.dropout_p) : 0);
    const auto limit = static_cast<uint32_t>(p.dropout_p * 16777216.0);
    const uint64_t offset = draw.at();
    for (int y = 0; y < 4; ++y) {
      const auto first =
          static_cast<uint64_t>(((b * heads + h) * queries + i + y) * int64_t{keys} + j);
      auto bits = philox(draw.seed, offset + first / 4);
#pragma unroll
      for (int x = 0; x < 4; ++x) {
        const uint64_t at = first + static_cast<uint64_t>(x);
        if (x > 0 && at % 4 == 0) bits = philox(draw.seed, offset + at / 4);
        w[y][x] = (bits[at % 4] >> 8) >= limit ? w[y][x] * scale : C(0);
      }
    }
  }
  __device__ int keys_of(int end) const { return p.causal && end < keys ? end : keys; }
};

/// One of the kernels' launches: what they work on, and the block's part of it.
struct AttentionShape {
  AttentionShape(const View& q, const View& k, const View& mask, const Attention& p)
      : mask(mask),
        p(p),
        draw(p.dropout_p > 0 ? draw_from(p.seed, p.offset) : Draw{}),
        heads(static_cast<int>(q.size[1])),
        queries(static_cast<int>(q.size[2])),
        keys(static_cast<int>(k.size[2])) {}
  View mask;
  Attention p;
  Draw draw;
  int heads, queries, keys;

  template <class T>
  __device__ Scores<T> scores(int64_t bh) const {
    return {mask, p, draw, bh / heads, bh % heads, heads, queries, keys};
  }
};

/// Of all heads, where each block has `side` of a head's rows.
inline unsigned attention_blocks(const View& q, int64_t rows, int side = kTileSide) {
  return static_cast<unsigned>(q.size[0] * q.size[1] * ((rows + side - 1) / side));
}

/// body.template operator()<T, kWide>() with tiles wide enough for `columns`, as far as they may
/// be.
template <class Body>
void by_width(DType t, int64_t columns, const Body& body) {
  by_floating(t, [&]<class T>() {
    if constexpr (kWidest < Compute < T >>> 64) {
      if (columns > 64) return body.template operator()<T, 128>();
    }
    body.template operator()<T, 64>();
  });
}

inline unsigned pieces(int64_t columns, int wide) {
  return static_cast<unsigned>(columns > wide ? (columns + wide - 1) / wide : 1);
}

}  // namespace
}  // namespace nnm::cuda
