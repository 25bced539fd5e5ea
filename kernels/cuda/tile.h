// Products of matrices whose elements are functions: what an implicit GEMM is made of.
#pragma once

#include <utility>

#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

constexpr int kTileDepth = 16;  ///< of the strips of a tile that shared memory holds at once

/// A strip of depth of both operands. Four more columns keep rows 16-byte aligned and off each
/// other's banks.
template <class C, int kRows, int kColumns>
struct Strip {
  C a[kTileDepth][kRows + 4], b[kTileDepth][kColumns + 4];
};

/// Where thread `t` of 16 by 16 has its i-th row or column: fours, so that one access reads them,
/// 64 apart, so that neighbours' accesses meet no bank twice.
__device__ inline int tile_place(int t, int i) { return i / 4 * 64 + t * 4 + i % 4; }

/// sum += a b over a strip.
template <class C, int kRows, int kColumns>
__device__ inline void multiply(const Strip<C, kRows, kColumns>& s, int ty, int tx,
                                C (&sum)[kRows / 16][kColumns / 16]) {
#pragma unroll
  for (int k = 0; k < kTileDepth; ++k) {
    C a[kRows / 16], b[kColumns / 16];
#pragma unroll
    for (int i = 0; i < kRows / 16; ++i) a[i] = s.a[k][tile_place(ty, i)];
#pragma unroll
    for (int j = 0; j < kColumns / 16; ++j) b[j] = s.b[k][tile_place(tx, j)];
#pragma unroll
    for (int i = 0; i < kRows / 16; ++i)
#pragma unroll
      for (int j = 0; j < kColumns / 16; ++j) sum[i][j] += a[i] * b[j];
  }
}

/// What a thread fetches of the next strip while it works on the present one.
///
/// F, the product, has the type C of its sums and
///   rows, columns, depth           its sizes; m, n and k below may lie beyond them
///   row(m), level(k), a(row, level)      elements of the left operand, 0 beyond its sizes
///   column(n), step(k), b(column, step)  of the right one
///   kDeep                          neighbours of the left operand lie along k, not m
///   place(i)                       makes it the i-th of the products that one launch has
///   store(m, n, sum)               within the sizes
template <class F, int kRows, int kColumns>
struct Fetch {
  using C = typename F::C;
  static constexpr int kA = kTileDepth * kRows / kThreads, kB = kTileDepth * kColumns / kThreads;
  decltype(std::declval<const F&>().row(0)) row[F::kDeep ? kA : 1];
  decltype(std::declval<const F&>().column(0)) column;
  C a[kA], b[kB];

  __device__ Fetch(const F& f, int first_row, int first_column)
      : column(f.column(first_column + static_cast<int>(threadIdx.x) % kColumns)) {
    const int t = static_cast<int>(threadIdx.x);
    for (int i = 0; i < (F::kDeep ? kA : 1); ++i)
      row[i] =
          f.row(first_row + (F::kDeep ? t / kTileDepth + i * (kThreads / kTileDepth) : t % kRows));
  }

  __device__ void load(const F& f, int k) {
    const int t = static_cast<int>(threadIdx.x);
    if constexpr (F::kDeep) {
      const auto level = f.level(k + t % kTileDepth);
#pragma unroll
      for (int i = 0; i < kA; ++i) a[i] = f.a(row[i], level);
    } else {
#pragma unroll
      for (int i = 0; i < kA; ++i)
        a[i] = f.a(row[0], f.level(k + t / kRows + i * (kThreads / kRows)));
    }
#pragma unroll
    for (int i = 0; i < kB; ++i)
      b[i] = f.b(column, f.step(k + t / kColumns + i * (kThreads / kColumns)));
  }

  __device__ void store(Strip<C, kRows, kColumns>& s) const {
    const int t = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < kA; ++i) {
      if (F::kDeep) s.a[t % kTileDepth][t / kTileDepth + i * (kThreads / kTileDepth)] = a[i];
      else s.a[t / kRows + i * (kThreads / kRows)][t % kRows] = a[i];
    }
#pragma unroll
    for (int i = 0; i < kB; ++i) s.b[t / kColumns + i * (kThreads / kColumns)][t % kColumns] = b[i];
  }
};

inline int tiles_along(int n, int tile) { return (n + tile - 1) / tile; }

/// Blocks of this tile that share a multiprocessor's registers: their waits overlap.
template <class C, int kRows, int kColumns>
constexpr int kTogether = sizeof(Strip<C, kRows, kColumns>) > 10000 ? 2 : 3;

template <class F, int kRows, int kColumns>
__global__ void __launch_bounds__(kThreads, kTogether<typename F::C, kRows, kColumns>)
    product(F f, int row_tiles, int column_tiles) {
  using C = typename F::C;
  __shared__ __align__(16) Strip<C, kRows, kColumns> strip;
  const int tile = static_cast<int>(blockIdx.x), across = tile / row_tiles;
  const int first_row = tile % row_tiles * kRows, first_column = across % column_tiles * kColumns;
  f.place(across / column_tiles);
  const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;
  Fetch<F, kRows, kColumns> next(f, first_row, first_column);
  C sum[kRows / 16][kColumns / 16] = {};
  if (f.depth > 0) next.load(f, 0);
  for (int k = 0; k < f.depth; k += kTileDepth) {
    next.store(strip);
    __syncthreads();
    if (k + kTileDepth < f.depth) next.load(f, k + kTileDepth);
    multiply(strip, ty, tx, sum);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kRows / 16; ++i) {
    const int m = first_row + tile_place(ty, i);
#pragma unroll
    for (int j = 0; j < kColumns / 16; ++j) {
      const int n = first_column + tile_place(tx, j);
      if (m < f.rows && n < f.columns) f.store(m, n, sum[i][j]);
    }
  }
}

template <int kRows, int kColumns, class F>
void launch_product(const F& f, int products) {
  const int rows = tiles_along(f.rows, kRows), columns = tiles_along(f.columns, kColumns);
  NNM_LAUNCH((product<F, kRows, kColumns>),
             dim3(static_cast<unsigned>(rows) * static_cast<unsigned>(columns) *
                  static_cast<unsigned>(products)),
             dim3(kThreads), 0, f, rows, columns);
}

/// Runs `products` of one size at once. The largest tiles that still give every multiprocessor
/// work; sums over k run in the order of k whatever the tiles.
template <class F>
void multiply_tiles(const F& f, int products) {
  if constexpr (sizeof(typename F::C) == 4) {
    const auto blocks = [&](int rows, int columns) {
      return int64_t{tiles_along(f.rows, rows)} * tiles_along(f.columns, columns) * products;
    };
    const int64_t enough = multiprocessors();
    // Without kDeep, what a thread fetches for the largest tiles leaves its sums no registers.
    if constexpr (F::kDeep)
      if (f.rows > 64 && f.columns > 64 && blocks(128, 128) >= enough)
        return launch_product<128, 128>(f, products);
    if (f.rows > 64 && blocks(128, 64) >= enough) return launch_product<128, 64>(f, products);
  }
  launch_product<64, 64>(f, products);
}

}  // namespace
}  // namespace nnm::cuda
