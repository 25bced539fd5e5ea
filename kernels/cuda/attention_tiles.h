// What the kernels of attention on tensor cores share: rows in shared memory, operands in
// registers, products of a warp's tiles. A block has four warps, each with its own 16 or 32 rows of
// the result.
#pragma once

#include <initializer_list>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/mma.h"

namespace nnm::cuda {
namespace {

constexpr int kTileWarps = 4, kTileThreads = 32 * kTileWarps;
constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

/// Whether a matrix's rows are dense, short enough, and copied by pieces of 16 bytes.
inline bool tile_rows(const View& v) {
  bool good =
      v.size[3] > 0 && v.size[3] <= 128 && (v.stride[3] == 1 || v.size[3] == 1) && aligned(v.data);
  for (int d = 0; d < 3; ++d) good = good && (v.size[d] <= 1 || v.stride[d] % 8 == 0);
  return good;
}

/// Whether the tensor cores' kernels know the case. Their exponents have no place for scales that
/// turn the order of scores around, or vanish.
inline bool for_tensor_cores(const Attention& p, std::initializer_list<const View*> operands) {
  bool good = device_facts().major >= 8 && p.scale > 1e-30 && p.scale < 1e30;
  for (const View* v : operands)
    good = good && (v->dtype == DType::bf16 || v->dtype == DType::f16) && tile_rows(*v);
  return good;
}

/// body.template operator()<T, kWidth, kPlain>() for a type of 16 bits, tiles as wide as `columns`,
/// and neither mask nor dropout, or perhaps both: of f16, which training does not use, there is no
/// copy of the kernels for the former.
template <class Body>
void by_tiles(DType t, int64_t columns, bool plain, const Body& body) {
  const auto by_plain = [&]<class T, int kWidth>() {
    if constexpr (std::is_same_v<T, Half>) body.template operator()<T, kWidth, false>();
    else
      plain ? body.template operator()<T, kWidth, true>()
            : body.template operator()<T, kWidth, false>();
  };
  const auto by_columns = [&]<class T>() {
    columns > 64 ? by_plain.template operator()<T, 128>() : by_plain.template operator()<T, 64>();
  };
  t == DType::bf16 ? by_columns.template operator()<BFloat16>()
                   : by_columns.template operator()<Half>();
}

/// Where a piece of 8 elements of a row lies among rows in shared memory: those of eight rows that
/// are read at once, in different banks.
template <int kWidth>
__device__ inline int piece_at(int row, int piece) {
  return row * kWidth + (piece ^ (row & 7)) * 8;
}

/// Begins to copy the rows from `row` on, zeros beyond the sizes.
template <int kRows, int kWidth, class T>
__device__ inline void fetch_rows(T* to, const Matrix<const T>& m, int row) {
  constexpr int kPieces = kWidth / 8;
  const int t = static_cast<int>(threadIdx.x), piece = t % kPieces;
  const int left = (m.columns - piece * 8) * 2;
  const int bytes = left > 16 ? 16 : left > 0 ? left : 0;
  // Steps from row to row: places of their own for each would take registers from the sums.
  constexpr int kAtOnce = kTileThreads / kPieces;
  const int first = t / kPieces;
  const T* from = m.data + (row + first) * m.row_stride + piece * 8;
#pragma unroll
  for (int i = 0; i < kRows; i += kAtOnce) {
    const bool there = row + first + i < m.rows && bytes > 0;
    copy_async<16>(to + piece_at<kWidth>(first + i, piece), there ? from : m.data,
                   there ? bytes : 0);
    from += kAtOnce * m.row_stride;
  }
}

/// The first operand of a product, 16 rows and columns from these on.
template <int kWidth, class T>
__device__ inline void load_first(uint32_t (&a)[4], const T* rows, int row, int column) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  load_matrices(a, rows + piece_at<kWidth>(row + lane % 16, column / 8 + lane / 16));
}
/// The second operands of two products: 16 rows as their columns, 16 columns as their rows.
template <int kWidth, class T>
__device__ inline void load_turned(uint32_t (&b)[4], const T* rows, int row, int column) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  load_matrices(b,
                rows + piece_at<kWidth>(row + lane % 8 + lane / 16 * 8, column / 8 + lane / 8 % 2));
}
/// The same: 16 rows as their rows, 16 columns as their columns.
template <int kWidth, class T>
__device__ inline void load_second(uint32_t (&b)[4], const T* rows, int row, int column) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  load_transposes(b, rows + piece_at<kWidth>(row + lane % 16, column / 8 + lane / 16));
}

/// A warp's rows, 16 kTiles from `row` on, as the first operand of products along the width: kept
/// in registers, or read anew for each.
template <class T, int kWidth, int kTiles, bool kKept>
struct TileRows {
  const T* rows;
  int row;
  uint32_t kept[kKept ? kWidth / 16 : 1][kTiles][4];

  __device__ TileRows(const T* rows, int row) : rows(rows), row(row) {
    if constexpr (kKept) {
#pragma unroll
      for (int k = 0; k < kWidth / 16; ++k) read(kept[k], k);
    }
  }
  __device__ void read(uint32_t (&a)[kTiles][4], int k) const {
#pragma unroll
    for (int m = 0; m < kTiles; ++m) load_first<kWidth>(a[m], rows, row + m * 16, k * 16);
  }
  /// The columns from 16 k on.
  __device__ void get(uint32_t (&a)[kTiles][4], int k) const {
    if constexpr (kKept) {
#pragma unroll
      for (int i = 0; i < 4 * kTiles; ++i) a[i / 4][i % 4] = kept[k][i / 4][i % 4];
    } else {
      read(a, k);
    }
  }
};

/// Sums of a warp: kTiles by kColumns / 8 tiles of 16 by 8.
template <int kTiles, int kColumns>
using TileSums = float[kTiles][kColumns / 8][4];

/// Calls f(sum, row, column) for the thread's elements of tiles that begin at this row and column.
template <int kTiles, int kParts, class F>
__device__ inline void each_sum(float (&x)[kTiles][kParts][4], int row, int column, const F& f) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kTiles; ++m)
#pragma unroll
    for (int n = 0; n < kParts; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        f(x[m][n][e], row + m * 16 + e / 2 * 8 + lane / 4, column + n * 8 + e % 2 + lane % 4 * 2);
}

/// sum = the warp's rows times kColumns rows of b from `first` on, transposed.
template <int kColumns, class T, int kWidth, int kTiles, bool kKept>
__device__ inline void multiply_along(const TileRows<T, kWidth, kTiles, kKept>& a, const T* b,
                                      int first, TileSums<kTiles, kColumns>& sum) {
  each_sum(sum, 0, 0, [](float& x, int, int) { x = 0; });
#pragma unroll
  for (int k = 0; k < kWidth / 16; ++k) {
    uint32_t x[kTiles][4];
    a.get(x, k);
#pragma unroll
    for (int n = 0; n < kColumns / 16; ++n) {
      uint32_t y[4];
      load_turned<kWidth>(y, b, first + n * 16, k * 16);
#pragma unroll
      for (int m = 0; m < kTiles; ++m) {
        mma<T>(sum[m][2 * n], x[m], y[0], y[1]);
        mma<T>(sum[m][2 * n + 1], x[m], y[2], y[3]);
      }
    }
  }
}

/// sum += w, rounded, times kColumns rows of b from `first` on.
template <class T, int kWidth, int kTiles, int kParts>
__device__ inline void multiply_across(const float (&w)[kTiles][kParts][4], const T* b, int first,
                                       TileSums<kTiles, kWidth>& sum) {
#pragma unroll
  for (int k = 0; k < kParts / 2; ++k) {
    uint32_t x[kTiles][4];
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* const pair = w[m][2 * k + i / 2] + i % 2 * 2;
        x[m][i] = pack<T>(pair[0], pair[1]);
      }
#pragma unroll
    for (int n = 0; n < kWidth / 16; ++n) {
      uint32_t y[4];
      load_second<kWidth>(y, b, first + k * 16, n * 16);
#pragma unroll
      for (int m = 0; m < kTiles; ++m) {
        mma<T>(sum[m][2 * n], x[m], y[0], y[1]);
        mma<T>(sum[m][2 * n + 1], x[m], y[2], y[3]);
      }
    }
  }
}

/// Writes a warp's rows of a result from `row` on, in the head bh of all.
template <class T, int kTiles, int kParts>
__device__ inline void write_tiles(const View& v, int64_t bh, int heads, int row,
                                   float (&sum)[kTiles][kParts][4]) {
  // Found again rather than kept in registers until here.
  const auto number = static_cast<unsigned>(bh), all = static_cast<unsigned>(heads);
  const auto m = matrix_of<T>(v, number / all, number % all);
  const bool pairs = m.column_stride == 1 && m.row_stride % 2 == 0 && m.columns % 2 == 0 &&
                     reinterpret_cast<uintptr_t>(m.data) % 4 == 0;
  each_sum(sum, row, 0, [&](float& x, int r, int c) {
    if (r >= m.rows || c >= m.columns) return;
    if (!pairs) m.at(r, c) = T(x);
    else if (c % 2 == 0) *reinterpret_cast<uint32_t*>(&m.at(r, c)) = pack<T>(x, (&x)[1]);
  });
}

/// Products become scores to the base 2, -inf where a query may not see a key; `whole` tells of
/// tiles where each sees each. Rows are queries and columns keys, or, kTurned, the other way round.
/// kPlain ones have neither mask nor dropout, and are still to be multiplied by score_factor().
template <bool kPlain, bool kTurned = false, class T, int kTiles, int kParts>
__device__ inline void to_scores(const Scores<T>& s, float (&x)[kTiles][kParts][4], int row,
                                 int column, bool whole) {
  if (kPlain && whole) return;
  each_sum(x, row, column, [&](float& x, int r, int c) {
    const int query = kTurned ? c : r, key = kTurned ? r : c;
    if constexpr (!kPlain) x = s.score(x, query, key) * kLog2E;
    else if (query >= s.queries || key >= s.keys || (s.p.causal && key > query)) x = s.kNever;
  });
}
template <bool kPlain>
__device__ inline float score_factor(const Attention& p) {
  return kPlain ? static_cast<float>(p.scale) * kLog2E : 1.0f;
}

/// Dropout of weights, as Scores::drop has it, whose factor is taken apart.
struct TileDropout {
  uint64_t seed, offset, first;
  int64_t keys;
  uint32_t limit;
  float scale;

  template <class T>
  __device__ explicit TileDropout(const Scores<T>& s)
      : seed(s.draw.seed),
        offset(s.draw.at()),
        first(static_cast<uint64_t>((s.b * s.heads + s.h) * s.queries * s.keys)),
        keys(s.keys),
        limit(static_cast<uint32_t>(s.p.dropout_p * 16777216.0)),
        scale(s.p.dropout_p < 1 ? static_cast<float>(1 / (1 - s.p.dropout_p)) : 0.0f) {}

  /// Bit i: whether dropout keeps the weight of number 4 counter + i.
  __device__ uint32_t four(uint64_t counter) const {
    const auto bits = philox(seed, offset + counter);
    uint32_t keeps = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) keeps |= static_cast<uint32_t>((bits[i] >> 8) >= limit) << i;
    return keeps;
  }
  __device__ uint64_t at(int query, int key) const {
    return first + static_cast<uint64_t>(query * keys + key);
  }

  /// Bit e: whether it keeps the thread's weight e of a tile of 16 by 8 that begins there; rows are
  /// queries or, kTurned, keys. A draw gives four keys of a query, so four lanes share theirs.
  template <bool kTurned>
  __device__ uint32_t of_tile(int row, int column) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, c = lane % 4 * 2;
    if (keys % 4 != 0) {
      uint32_t keeps = 0;
#pragma unroll 1
      for (int e = 0; e < 4; ++e) {
        const int r = row + e / 2 * 8 + g, k = column + e % 2 + c;
        const uint64_t n = kTurned ? at(k, r) : at(r, k);
        keeps |= (four(n / 4) >> n % 4 & 1) << e;
      }
      return keeps;
    }
    if constexpr (kTurned) {
      const int e = g % 4;  // this lane's to draw, for the keys of four lanes
      uint32_t all = four(at(column + c + e % 2, row + e / 2 * 8 + g / 4 * 4) / 4) << 4 * e;
      all |= __shfl_xor_sync(~0u, all, 4);
      all |= __shfl_xor_sync(~0u, all, 8);
      all >>= g % 4;
      return (all & 1) | (all >> 3 & 2) | (all >> 6 & 4) | (all >> 9 & 8);
    } else {
      const int half = lane % 2;  // this lane's to draw, for the pairs of two lanes
      const uint32_t own = four(at(row + half * 8 + g, column + lane % 4 / 2 * 4) / 4),
                     other = __shfl_xor_sync(~0u, own, 1);
      const uint32_t low = half ? other : own, high = half ? own : other;
      return (low >> 2 * half & 3) | (high >> 2 * half & 3) << 2;
    }
  }
};

}  // namespace
}  // namespace nnm::cuda
