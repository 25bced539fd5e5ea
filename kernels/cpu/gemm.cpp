// GEMM: packed panels and a register tile of two vectors a row; vector-matrix products and thin
// sums of their own. Method: Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication" (2008).
#include "kernels/gemm.h"

#include <algorithm>
#include <memory>

#include "kernels/cpu/gemm_tiles.h"
#include "kernels/half.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

template <class T>
struct Problem {
  int64_t m, n, k;
  Mat<const T> a, b;
  Mat<T> c;
  const T* bias;
  int64_t bias_stride;
  T alpha, beta;
};

// A block of the product: rows [i0, i0 + rows) and columns [j0, j0 + cols), `depth` terms from k0.
struct Block {
  int64_t i0, rows, j0, cols, k0, depth;
  template <class S>
  int64_t tile_rows() const {
    return (rows + S::kRows - 1) / S::kRows;
  }
  template <class S>
  int64_t tile_cols() const {
    return (cols + S::kCols - 1) / S::kCols;
  }
};

// The rows and terms of a whose turn is next over the same columns, none at the end.
template <class T>
Block after(Block b, int64_t rows, int64_t terms, int64_t depth) {
  b.i0 += b.rows;
  if (b.i0 == rows) b.i0 = 0, b.k0 += b.depth;
  b.rows = std::min(Tile<T>::kRowBlock, rows - b.i0);
  b.depth = std::min(depth, terms - b.k0);
  if (b.depth == 0) b.rows = 0;
  return b;
}

// What is read next, on its way into the second cache a few lines at a time.
template <class T>
class Ahead {
 public:
  // Whose lines take `turns` calls of `fetch`.
  Ahead(Mat<const T> m, int64_t rows, int64_t cols, int64_t turns)
      : row_(m.p), step_(m.cs == 1 ? m.rs : m.cs), rows_(m.cs == 1 ? rows : cols) {
    length_ = m.cs == 1 ? cols : rows;
    const int64_t lines = rows_ * (length_ / kLine<T> + 1);
    at_once_ = (lines + turns - 1) / turns;
  }
  void fetch() {
    for (int64_t n = at_once_; n > 0 && rows_ > 0; --n) {
      __builtin_prefetch(row_ + at_, 0, 2);
      at_ += kLine<T>;
      if (at_ < length_ + kLine<T>) continue;
      at_ = 0;
      row_ += step_;
      --rows_;
    }
  }

 private:
  const T* row_;
  int64_t step_, rows_, length_, at_once_, at_ = 0;
};

// A product this narrow is made a column of tiles after another, whose part of b stays in the first
// cache; a wide one a row of tiles after another, as it lies in memory.
constexpr int64_t kNarrow = 256;

template <class T>
void multiply_block(const Problem<T>& p, const Block& block, Mat<const T> a, int64_t slab,
                    const T* b, int64_t b_row, int64_t b_panel, Ahead<T> ahead) {
  using S = Tile<T>;
  const bool first = block.k0 == 0, wide = p.n > kNarrow;
  const bool in_rows = p.c.cs == 1 && (!p.bias || p.bias_stride == 1);
  const int64_t down = block.tile_rows<S>(), along = block.tile_cols<S>();
  const Tiles<T>& whole = tiles_for<T>(S::kCols, in_rows);
  const Tiles<T>& rest = tiles_for<T>(block.cols - (along - 1) * S::kCols, in_rows);
  const Mat<T> c = p.c.sub(block.i0, block.j0);
  for (int64_t i = 0, j = 0; i < down && j < along;) {
    Target<T> to{&c.at(i * S::kRows, j * S::kCols),
                 c.rs,
                 c.cs,
                 nullptr,
                 p.bias_stride,
                 p.alpha,
                 first ? p.beta : T(1),
                 std::min(S::kCols, block.cols - j * S::kCols)};
    if (first && p.bias) to.bias = p.bias + (block.j0 + j * S::kCols) * p.bias_stride;
    const int64_t rows = std::min(S::kRows, block.rows - i * S::kRows);
    // The sum takes longer than the way of its place in memory to the cache.
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t x = 0; x < S::kCols; x += kLine<T>) __builtin_prefetch(to.c + r * to.rs + x, 1);
    ahead.fetch();
    const Source<T> from{block.depth, a.p + i * slab, a.rs, a.cs, b + j * b_panel, b_row};
    (j + 1 < along ? whole : rest)[static_cast<size_t>(rows - 1)](from, to);
    if (wide && ++j == along) j = 0, ++i;
    if (!wide && ++i == down) i = 0, ++j;
  }
}

// The block length next to `most` at which n falls into equal parts of whole units.
constexpr int64_t even_part(int64_t n, int64_t most, int64_t unit) {
  const int64_t parts = (n + most - 1) / most;
  return round_up(round_up(n, unit) / unit, parts) / parts * unit;
}

// Operands are copied where they are read often enough: b for its second row of tiles, a for its
// fifth column of tiles, or its second where its rows do not lie in rows of memory.
template <class T>
void tiled(const Problem<T>& p) {
  using S = Tile<T>;
  const bool copy_b = p.b.cs != 1 || p.m > 2 * S::kRows || p.n % S::kCols != 0;
  const bool copy_a = p.n > (p.a.cs == 1 ? kNarrow : 2 * S::kCols);
  const int64_t col_block = even_part(p.n, S::kColBlock, S::kCols);
  const int64_t depth_block = std::max<int64_t>(1, even_part(p.k, S::kDepth, S::kLanes));
  T* const pb = copy_b ? scratch<T>(0, static_cast<size_t>(col_block * depth_block)) : nullptr;
  // Packing may write a little beyond the last slab.
  T* const pa =
      copy_a ? scratch<T>(1, static_cast<size_t>(S::kRowBlock * depth_block + S::kCols)) : nullptr;
  for (int64_t j0 = 0; j0 < p.n; j0 += col_block) {
    const int64_t cols = std::min(col_block, p.n - j0);
    for (int64_t k0 = 0; k0 < p.k; k0 += depth_block) {
      const int64_t depth = std::min(depth_block, p.k - k0);
      const Mat<const T> b = p.b.sub(k0, j0);
      if (copy_b) pack_b(pb, b, depth, cols);
      for (int64_t i0 = 0; i0 < p.m; i0 += S::kRowBlock) {
        const Block block{i0, std::min(S::kRowBlock, p.m - i0), j0, cols, k0, depth};
        Mat<const T> a = p.a.sub(i0, k0);
        int64_t slab = S::kRows * a.rs;
        const Block next = after<T>(block, p.m, p.k, depth_block);
        const Ahead<T> ahead(p.a.sub(next.i0, next.k0), next.rows, next.depth,
                             block.tile_rows<S>() * block.tile_cols<S>());
        if (copy_a) {
          pack_a(pa, a, block.rows, depth);
          a = {pa, 1, S::kRows};
          slab = S::kRows * depth;
        }
        if (copy_b) multiply_block(p, block, a, slab, pb, S::kCols, S::kCols * depth, ahead);
        else multiply_block(p, block, a, slab, b.p, b.rs, S::kCols, ahead);
      }
    }
  }
}

template <class T>
inline T finish(const Problem<T>& p, int64_t i, int64_t j, T sum) {
  T v = p.alpha * sum;
  if (p.beta != T(0)) v += p.beta * p.c.at(i, j);
  if (p.bias) v += p.bias[j * p.bias_stride];
  return v;
}

// Dot products of x with kColumns vectors that lie `stride` apart. Each sum has the same order
// whatever kColumns is: an element must not depend on how the columns are dealt out.
// Their vectors are short ones for the sake of short sums: memory sets the pace.
template <int kColumns, class T>
inline void dots(const T* x, const T* y, int64_t stride, int64_t n, T* out) {
  typedef T V __attribute__((vector_size(32), aligned(sizeof(T))));
  constexpr int64_t L = 32 / static_cast<int64_t>(sizeof(T));
  V s[kColumns][2] = {};
  int64_t k = 0;
  for (; k + 2 * L <= n; k += 2 * L) {
    const V x0 = *reinterpret_cast<const V*>(x + k), x1 = *reinterpret_cast<const V*>(x + k + L);
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      s[c][0] += x0 * *reinterpret_cast<const V*>(y + c * stride + k);
      s[c][1] += x1 * *reinterpret_cast<const V*>(y + c * stride + k + L);
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < kColumns; ++c) {
    const V v = s[c][0] + s[c][1];
    T sum = 0;
    for (int64_t u = 0; u < L; ++u) sum += v[u];
    for (int64_t i = k; i < n; ++i) sum += x[i] * y[c * stride + i];
    out[c] = sum;
  }
}

// Few rows, and b with its k-axis in a row of memory (x Wᵀ): dot products, four columns at a time.
template <class T>
void few_rows_dot(const Problem<T>& p) {
  for (int64_t i = 0; i < p.m; ++i) {
    const T* x = p.a.p + i * p.a.rs;
    T sums[4];
    for (int64_t j = 0; j < p.n; j += 4) {
      const T* y = p.b.p + j * p.b.cs;
      const int64_t count = std::min<int64_t>(4, p.n - j);
      if (count == 4) {
        dots<4>(x, y, p.b.cs, p.k, sums);
      } else {
        for (int64_t c = 0; c < count; ++c) dots<1>(x, y + c * p.b.cs, p.b.cs, p.k, sums + c);
      }
      for (int64_t c = 0; c < count; ++c) p.c.at(i, j + c) = finish(p, i, j + c, sums[c]);
    }
  }
}

// c = (kAdd ? c : 0) + the sum of kTerms rows of b times a factor each.
template <int kTerms, bool kAdd, class T>
inline void add_rows(T* __restrict c, const T* __restrict b, int64_t stride, const T* a,
                     int64_t n) {
  T factor[kTerms];
  for (int t = 0; t < kTerms; ++t) factor[t] = a[t];
#pragma GCC unroll 4
  for (int64_t j = 0; j < n; ++j) {
    T sum = factor[0] * b[j];
    for (int t = 1; t < kTerms; ++t) sum += factor[t] * b[t * stride + j];
    c[j] = kAdd ? c[j] + sum : sum;
  }
}

// Few rows or a short sum, and b and c with their columns in a row of memory: sums of rows of b.
template <class T>
void sum_of_rows(const Problem<T>& p) {
  for (int64_t i = 0; i < p.m; ++i) {
    T* __restrict c = p.c.p + i * p.c.rs;
    bool add = p.beta != T(0) || p.bias || p.k == 0;
    if (p.beta == T(0) && add) std::fill_n(c, p.n, T(0));
    if (p.beta != T(0) && p.beta != T(1)) {
      for (int64_t j = 0; j < p.n; ++j) c[j] *= p.beta;
    }
    if (p.bias) {
      for (int64_t j = 0; j < p.n; ++j) c[j] += p.bias[j * p.bias_stride];
    }
    for (int64_t k = 0; k < p.k; add = true) {
      const T* b = p.b.p + k * p.b.rs;
      T a[4];
      const int64_t terms = p.k - k >= 4 ? 4 : 1;
      for (int64_t t = 0; t < terms; ++t) a[t] = p.alpha * p.a.at(i, k + t);
      if (terms == 4) {
        add ? add_rows<4, true>(c, b, p.b.rs, a, p.n) : add_rows<4, false>(c, b, p.b.rs, a, p.n);
      } else {
        add ? add_rows<1, true>(c, b, p.b.rs, a, p.n) : add_rows<1, false>(c, b, p.b.rs, a, p.n);
      }
      k += terms;
    }
  }
}

template <class T>
void compute(const Problem<T>& p) {
  const bool dot = p.a.cs == 1 && p.b.rs == 1;
  const bool rows = p.b.cs == 1 && p.c.cs == 1;
  if (p.m <= 4 && dot) return few_rows_dot(p);
  if (rows && (p.m <= 4 || p.k <= 4)) return sum_of_rows(p);
  tiled(p);
}

template <class T>
Problem<T> transpose(const Problem<T>& p) {
  return {p.n,
          p.m,
          p.k,
          {p.b.p, p.b.cs, p.b.rs},
          {p.a.p, p.a.cs, p.a.rs},
          {p.c.p, p.c.cs, p.c.rs},
          nullptr,
          0,
          p.alpha,
          p.beta};
}

// Multiplications worth a second thread, about 15 us of work.
constexpr double kParallelWork = 5e5;

template <class T>
void run(Problem<T> p) {
  if (p.m == 0 || p.n == 0) return;
  if (p.c.cs != 1 && p.c.rs == 1 && !p.bias) p = transpose(p);
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) *
                      static_cast<double>(std::max<int64_t>(p.k, 1));
  const bool by_rows = p.m >= p.n;
  const int64_t extent = by_rows ? p.m : p.n;
  // Slices start at whole tiles, so that an element's sum does not depend on the thread count.
  const int64_t unit = by_rows ? Tile<T>::kRows : Tile<T>::kCols;
  const int64_t units = (extent + unit - 1) / unit;
  const auto grain =
      static_cast<int64_t>(std::max(1.0, static_cast<double>(units) * kParallelWork / work));
  parallel_for(units, grain, [&](int64_t begin, int64_t end) {
    Problem<T> q = p;
    const int64_t from = begin * unit, count = std::min(extent, end * unit) - from;
    if (by_rows) {
      q.m = count;
      q.a = p.a.sub(from, 0);
      q.c = p.c.sub(from, 0);
    } else {
      q.n = count;
      q.b = p.b.sub(0, from);
      q.c = p.c.sub(0, from);
      if (q.bias) q.bias += from * q.bias_stride;
    }
    // The path is chosen by the whole problem: a thin slice must not sum in another order.
    const bool whole_small = p.m <= 4 || p.k <= 4;
    if (whole_small) {
      compute(q);
    } else {
      tiled(q);
    }
  });
}

template <class T>
Problem<T> problem(const View& c, const View& a, const View& b, int first, double alpha,
                   double beta) {
  return {c.size[first],
          c.size[first + 1],
          a.size[first + 1],
          {a.as<const T>(), a.stride[first], a.stride[first + 1]},
          {b.as<const T>(), b.stride[first], b.stride[first + 1]},
          {c.as<T>(), c.stride[first], c.stride[first + 1]},
          nullptr,
          0,
          static_cast<T>(alpha),
          static_cast<T>(beta)};
}

template <class T>
void gemm_typed(const View& c, const View& a, const View& b, const View& bias, double alpha,
                double beta) {
  Problem<T> p = problem<T>(c, a, b, 0, alpha, beta);
  if (bias) {
    p.bias = bias.as<const T>();
    p.bias_stride = bias.stride[0];
  }
  run(p);
}

// Half types: float copies of the operands, one rounding of the result.
template <class H>
struct FloatCopy {
  FloatCopy(const View& v, bool fill)
      : rows(v.size[0]), cols(v.size[1]), data(new float[static_cast<size_t>(rows * cols)]) {
    for (int64_t i = 0; fill && i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j)
        data[static_cast<size_t>(i * cols + j)] =
            static_cast<float>(v.as<H>()[i * v.stride[0] + j * v.stride[1]]);
    }
  }
  View view() const {
    View v;
    v.data = data.get();
    v.ndim = 2;
    v.size[0] = rows;
    v.size[1] = cols;
    v.stride[0] = cols;
    v.stride[1] = 1;
    return v;
  }
  int64_t rows, cols;
  std::unique_ptr<float[]> data;
};

template <class H>
void gemm_half(const View& c, const View& a, const View& b, const View& bias, double alpha,
               double beta) {
  const FloatCopy<H> fa(a, true), fb(b, true), fc(c, beta != 0);
  gemm_typed<float>(fc.view(), fa.view(), fb.view(), View{}, alpha, beta);
  for (int64_t i = 0; i < fc.rows; ++i) {
    for (int64_t j = 0; j < fc.cols; ++j) {
      float v = fc.data[static_cast<size_t>(i * fc.cols + j)];
      if (bias) v += static_cast<float>(bias.as<H>()[j * bias.stride[0]]);
      c.as<H>()[i * c.stride[0] + j * c.stride[1]] = H(v);
    }
  }
}

// Integers wrap around, as PyTorch's do: sums are those of unsigned ones, cut to the type's bits.
template <class T>
void gemm_integer(const View& c, const View& a, const View& b, const View& bias, double alpha,
                  double beta) {
  const auto at = [](const View& v, int64_t i, int64_t j) -> T& {
    return v.as<T>()[i * v.stride[0] + j * v.stride[1]];
  };
  const auto factor = static_cast<uint64_t>(static_cast<int64_t>(alpha));
  const auto kept = static_cast<uint64_t>(static_cast<int64_t>(beta));
  for (int64_t i = 0; i < c.size[0]; ++i) {
    for (int64_t j = 0; j < c.size[1]; ++j) {
      uint64_t sum = 0;
      for (int64_t k = 0; k < a.size[1]; ++k)
        sum += static_cast<uint64_t>(at(a, i, k)) * static_cast<uint64_t>(at(b, k, j));
      sum *= factor;
      if (kept != 0) sum += kept * static_cast<uint64_t>(at(c, i, j));
      if (bias) sum += static_cast<uint64_t>(bias.as<T>()[j * bias.stride[0]]);
      at(c, i, j) = static_cast<T>(sum);
    }
  }
}

void gemm_cpu(const View& c, const View& a, const View& b, const View& bias, double alpha,
              double beta) {
  switch (c.dtype) {
    case DType::f32: return gemm_typed<float>(c, a, b, bias, alpha, beta);
    case DType::f64: return gemm_typed<double>(c, a, b, bias, alpha, beta);
    case DType::bf16: return gemm_half<BFloat16>(c, a, b, bias, alpha, beta);
    case DType::f16: return gemm_half<Half>(c, a, b, bias, alpha, beta);
    case DType::i64: return gemm_integer<int64_t>(c, a, b, bias, alpha, beta);
    case DType::i32: return gemm_integer<int32_t>(c, a, b, bias, alpha, beta);
    case DType::i16: return gemm_integer<int16_t>(c, a, b, bias, alpha, beta);
    case DType::i8: return gemm_integer<int8_t>(c, a, b, bias, alpha, beta);
    case DType::u8: return gemm_integer<uint8_t>(c, a, b, bias, alpha, beta);
    case DType::b8: return;
  }
}

// Whole matrices are dealt out to the threads: each product is too small to be cut.
void gemm_batched_cpu(const View& c, const View& a, const View& b, double alpha, double beta) {
  const double work = static_cast<double>(c.size[1]) * static_cast<double>(c.size[2]) *
                      static_cast<double>(std::max<int64_t>(a.size[2], 1));
  const auto grain = static_cast<int64_t>(std::max(1.0, kParallelWork / std::max(work, 1.0)));
  parallel_for(c.size[0], grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) gemm_cpu(c.at(i), a.at(i), b.at(i), View{}, alpha, beta);
  });
}

NNM_KERNEL(gemm, gemm_cpu);
NNM_KERNEL(gemm_batched, gemm_batched_cpu);

}  // namespace
}  // namespace nnm
