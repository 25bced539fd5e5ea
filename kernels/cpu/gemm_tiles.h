// The register tiles of a matrix product, two vectors a row, and products made of them alone.
#pragma once

#include <array>
#include <utility>

#include "kernels/cpu/gemm_panels.h"

namespace nnm {
namespace {

// What one tile is made from: `depth` terms, rows of a and rows of kCols columns of b where they
// lie.
template <class T>
struct Source {
  int64_t depth;
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row;
};

// kR rows of a product, into `write(row, vector of its columns, which of kV)`.
template <int kR, int kV, class T, class Write>
inline void multiply_rows(const Source<T>& from, const Write& write) {
  using V = typename Tile<T>::Vec;
  constexpr int64_t L = Tile<T>::kLanes;
  V acc[kR][kV] = {};
  const T *a = from.a, *b = from.b;
  const int64_t a_row = from.a_row, a_column = from.a_column, b_row = from.b_row;
  for (int64_t k = from.depth; k > 0; --k) {
    V row[kV];
    for (int v = 0; v < kV; ++v) row[v] = *reinterpret_cast<const V*>(b + v * L);
#pragma GCC unroll 12
    for (int r = 0; r < kR; ++r)
      for (int v = 0; v < kV; ++v) acc[r][v] += a[r * a_row] * row[v];
    a += a_column;
    b += b_row;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < kV; ++v) write(r, acc[r][v], v);
}

// What becomes of a sum over one block of depth.
template <class T>
struct Target {
  T* c;  ///< the tile's first element
  int64_t rs, cs;
  const T* bias;
  int64_t bias_stride;
  T alpha, beta;
  int64_t cols;
};

// A tile whose rows lie in rows of memory, all columns of kV vectors there.
template <int kR, int kV, class T>
void whole_tile(const Source<T>& from, const Target<T>& to) {
  using V = typename Tile<T>::Vec;
  multiply_rows<kR, kV>(from, [&](int r, const V& product, int v) {
    const int64_t at = v * Tile<T>::kLanes;
    V* c = reinterpret_cast<V*>(to.c + r * to.rs + at);
    V sum = to.alpha * product;
    if (to.beta != T(0)) sum += to.beta * *c;
    if (to.bias) sum += *reinterpret_cast<const V*>(to.bias + at);
    *c = sum;
  });
}

// Any other tile of at most kV vectors.
template <int kR, int kV, class T>
void ragged_tile(const Source<T>& from, const Target<T>& to) {
  using V = typename Tile<T>::Vec;
  constexpr int64_t C = kV * Tile<T>::kLanes;
  alignas(64) T tile[kR * C];
  multiply_rows<kR, kV>(from, [&](int r, const V& sum, int v) {
    *reinterpret_cast<V*>(tile + r * C + v * Tile<T>::kLanes) = to.alpha * sum;
  });
  for (int r = 0; r < kR; ++r) {
    for (int64_t x = 0; x < to.cols; ++x) {
      T* c = to.c + r * to.rs + x * to.cs;
      T sum = tile[r * C + x];
      if (to.beta != T(0)) sum += to.beta * *c;
      if (to.bias) sum += to.bias[x * to.bias_stride];
      *c = sum;
    }
  }
}

template <class T>
using MakeTile = void (*)(const Source<T>&, const Target<T>&);
template <class T>
using Tiles = std::array<MakeTile<T>, Tile<T>::kRows>;

// Tiles of one row, two rows ...
template <class T, int kV, size_t... kRow>
constexpr Tiles<T> whole_tiles(std::index_sequence<kRow...>) {
  return {whole_tile<kRow + 1, kV, T>...};
}
template <class T, int kV, size_t... kRow>
constexpr Tiles<T> ragged_tiles(std::index_sequence<kRow...>) {
  return {ragged_tile<kRow + 1, kV, T>...};
}

// ... for `cols` columns.
template <class T>
const Tiles<T>& tiles_for(int64_t cols, bool in_rows) {
  using S = Tile<T>;
  using Rows = std::make_index_sequence<S::kRows>;
  static constexpr Tiles<T> kWhole[] = {whole_tiles<T, 1>(Rows()), whole_tiles<T, 2>(Rows())};
  static constexpr Tiles<T> kRagged[] = {ragged_tiles<T, 1>(Rows()), ragged_tiles<T, 2>(Rows())};
  return (in_rows && cols % S::kLanes == 0 ? kWhole : kRagged)[cols > S::kLanes];
}

// b of a product as tiles read it: slabs of kCols columns, their rows `row` apart.
template <class T>
struct Slabs {
  const T* p;
  int64_t row, slab;
};

template <class T>
constexpr int64_t slabs_room(int64_t rows, int64_t cols) {
  return rows * round_up(cols, Tile<T>::kCols);
}

// A copy in slabs of rows x cols of b.
template <class T>
Slabs<T> slabs_of(Mat<const T> b, int64_t rows, int64_t cols, T* room) {
  pack_b(room, b, rows, cols);
  return {room, Tile<T>::kCols, Tile<T>::kCols * rows};
}

// What a row of tiles takes of a product: its first columns, `depth` terms from `first`, added to
// `beta` times what is there.
template <class T>
struct Part {
  int64_t cols, first, depth;
  T beta;
};

// c = alpha a b + beta c for `rows` rows; of the tiles of rows [i, i + r) what `part_of(i, r)`
// says. A column of tiles after another: the slab stays in the first cache.
template <class T, class PartOf>
void multiply_by_tiles(Mat<const T> a, const Slabs<T>& b, Mat<T> c, int64_t rows, int64_t cols,
                       T alpha, const PartOf& part_of) {
  using S = Tile<T>;
  for (int64_t j = 0; j < cols; j += S::kCols) {
    const T* slab = b.p + j / S::kCols * b.slab;
    for (int64_t i = 0; i < rows; i += S::kRows) {
      const int64_t r = std::min(S::kRows, rows - i);
      const Part<T> part = part_of(i, r);
      const int64_t width = std::min(S::kCols, part.cols - j);
      if (width <= 0) continue;
      const Source<T> from{part.depth, &a.at(i, part.first),      a.rs,
                           a.cs,       slab + part.first * b.row, b.row};
      const Target<T> to{&c.at(i, j), c.rs, c.cs, nullptr, 0, alpha, part.beta, width};
      tiles_for<T>(width, c.cs == 1)[static_cast<size_t>(r - 1)](from, to);
    }
  }
}

}  // namespace
}  // namespace nnm
