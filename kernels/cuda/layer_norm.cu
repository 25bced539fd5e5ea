// Layer norm and the norm by the root mean square: a warp for a short row, a block for a long one,
// which hold it in registers where they can.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/cuda/held.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/plugin.h"
#include "kernels/norm.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kWarpRow = 1024;  ///< elements up to which one warp has a row

/// Rows of n elements: how blocks are cut and how many there are.
struct Rows {
  int64_t rows, n;
  bool f16;  ///< which Short elements are
  dim3 block() const { return n <= kWarpRow ? dim3(32, 8) : dim3(kThreads, 1); }
  dim3 grid() const {
    const int64_t each = block().y;
    return dim3(static_cast<unsigned>((rows + each - 1) / each));
  }
};

__device__ inline int64_t own_row() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
}

template <class T>
__global__ void normalize_rows(Rows s, T* y, const T* x, const T* w, const T* b, Compute<T>* mean,
                               Compute<T>* rstd, double eps) {
  using C = Compute<T>;
  const int64_t row = own_row();
  if (row >= s.rows) return;
  x += row * s.n;
  y += row * s.n;
  C mu = 0, squares = 0;
  if (mean) {
    C sum = 0;
    for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) sum += widened<C>(x[i], s.f16);
    mu = row_sum(sum) / C(s.n);
  }
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const C d = widened<C>(x[i], s.f16) - mu;
    squares += d * d;
  }
  const C r = C(1) / std::sqrt(row_sum(squares) / C(s.n) + C(eps));
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x)
    y[i] = narrowed<T>((widened<C>(x[i], s.f16) - mu) * r * element_or(w, i, C(1), s.f16) +
                           element_or(b, i, C(0), s.f16),
                       s.f16);
  if (threadIdx.x != 0) return;
  if (mean) mean[row] = mu;
  rstd[row] = r;
}

template <class T, class S>
__global__ void normalize_held(Rows s, T* y, const T* x, const T* w, const T* b, Compute<T>* mean,
                               Compute<T>* rstd, double eps) {
  using C = Compute<T>;
  const int64_t row = own_row();
  if (row >= s.rows) return;
  const int n = static_cast<int>(s.n);
  typename S::Values v;
  S::load(v, x + row * n, n, C(0), s.f16);
  C mu = 0, squares = 0;
  if (mean) {
    C sum = 0;
    for (int k = 0; k < S::kPacks; ++k)
      for (const C e : v[k]) sum += e;
    mu = over_block<S::kWarps>(sum, Plus()) / C(n);
  }
  for (int k = 0; k < S::kPacks; ++k) {
    for (C& e : v[k]) {
      e -= mu;
      squares += S::place(k) < n ? e * e : C(0);
    }
  }
  const C r = C(1) / std::sqrt(over_block<S::kWarps>(squares, Plus()) / C(n) + C(eps));
#pragma unroll
  for (int k = 0; k < S::kPacks; ++k) {
    const int at = S::place(k);
    if (at >= n) continue;
    C scale[S::kWide], shift[S::kWide];
    S::load_or(scale, w, at, C(1), s.f16);
    S::load_or(shift, b, at, C(0), s.f16);
    for (int j = 0; j < S::kWide; ++j) v[k][j] = v[k][j] * r * scale[j] + shift[j];
    S::store(y + row * n, at, v[k], s.f16);
  }
  if (threadIdx.x != 0) return;
  if (mean) mean[row] = mu;
  rstd[row] = r;
}

void layer_norm_cuda(const View& y, const View& x, const View& weight, const View& bias,
                     const View& mean, const View& rstd, double eps, bool rms) {
  if (x.numel() == 0) return;
  const Rows s{x.size[0], x.size[1], x.dtype == DType::f16};
  by_memory(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    C* const centre = rms ? nullptr : mean.as<C>();
    const bool packs =
        aligned(y.data) && aligned(x.data) && aligned(weight.data) && aligned(bias.data);
    const bool held =
        packs && by_share<T>(s.n, [&]<class S>() {
          NNM_LAUNCH((normalize_held<T, S>), s.grid(), s.block(), 0, s, y.as<T>(), x.as<T>(),
                     weight.as<T>(), bias.as<T>(), centre, rstd.as<C>(), eps);
        });
    if (!held)
      NNM_LAUNCH(normalize_rows<T>, s.grid(), s.block(), 0, s, y.as<T>(), x.as<T>(), weight.as<T>(),
                 bias.as<T>(), centre, rstd.as<C>(), eps);
  });
}

/// dx of a row whose weighted gradient is g w: the parts along 1 and along the normalised x fall
/// away.
template <class T>
__global__ void row_gradients(Rows s, T* dx, Saved<T> v) {
  using C = Compute<T>;
  const int64_t row = own_row();
  if (row >= s.rows) return;
  const T *x = v.x + row * s.n, *g = v.g + row * s.n;
  const C mu = v.mean ? v.mean[row] : C(0), r = v.rstd[row];
  C a = 0, b = 0;
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const C d = widened<C>(g[i], s.f16) * element_or(v.w, i, C(1), s.f16);
    a += d * (widened<C>(x[i], s.f16) - mu);
    b += d;
  }
  const C along_x = row_sum(a) * r * r / C(s.n), sum = row_sum(b) / C(s.n),
          along_1 = v.mean ? sum : C(0);
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const C d = widened<C>(g[i], s.f16) * element_or(v.w, i, C(1), s.f16);
    dx[row * s.n + i] =
        narrowed<T>(r * (d - along_1 - (widened<C>(x[i], s.f16) - mu) * along_x), s.f16);
  }
}

/// The sums (parts, 2, n) for dw and db over a part of the rows, for 32 columns a block.
template <class T>
__global__ void column_sums(Rows s, Compute<T>* sums, Saved<T> v) {
  using C = Compute<T>;
  __shared__ C warps[2][8][32];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x,
                first = s.rows * blockIdx.y / gridDim.y,
                last = s.rows * (blockIdx.y + 1) / gridDim.y;
  C a = 0, b = 0;
  if (column < s.n) {
    for (int64_t row = first + threadIdx.y; row < last; row += 8) {
      const C g = widened<C>(v.g[row * s.n + column], s.f16), mu = v.mean ? v.mean[row] : C(0);
      a += g * (widened<C>(v.x[row * s.n + column], s.f16) - mu) * v.rstd[row];
      b += g;
    }
  }
  warps[0][threadIdx.y][threadIdx.x] = a;
  warps[1][threadIdx.y][threadIdx.x] = b;
  __syncthreads();
  if (threadIdx.y > 1 || column >= s.n) return;
  C total = 0;
  for (int i = 0; i < 8; ++i) total += warps[threadIdx.y][i][threadIdx.x];
  sums[(blockIdx.y * 2 + threadIdx.y) * s.n + column] = total;
}

constexpr int kSumWarps = 32;

/// dw or db, by blockIdx.y, as the sums of (parts, 2, n) over the parts, for 32 columns a block:
/// each warp adds a range of the parts in order.
template <class T>
__global__ void vector_sums(T* dw, T* db, const Compute<T>* sums, int parts, int64_t n, bool f16) {
  using C = Compute<T>;
  __shared__ C warps[kSumWarps][32];
  T* const out = blockIdx.y == 0 ? dw : db;
  if (!out) return;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x;
  const int warp = static_cast<int>(threadIdx.y), first = parts * warp / kSumWarps,
            last = parts * (warp + 1) / kSumWarps;
  C total = 0;
  if (column < n) {
#pragma unroll 8
    for (int p = first; p < last; ++p) total += sums[(p * 2 + blockIdx.y) * n + column];
  }
  warps[warp][threadIdx.x] = total;
  __syncthreads();
  if (warp != 0 || column >= n) return;
  for (int w = 1; w < kSumWarps; ++w) total += warps[w][threadIdx.x];
  out[column] = narrowed<T>(total, f16);
}

template <class T>
void add_vectors(const Rows& s, const View& dw, const View& db, const Compute<T>* sums, int parts) {
  NNM_LAUNCH(vector_sums<T>, dim3(static_cast<unsigned>((s.n + 31) / 32), 2), dim3(32, kSumWarps),
             0, dw.as<T>(), db.as<T>(), sums, parts, s.n, s.f16);
}

template <class T>
void vector_gradients(const Rows& s, const View& dw, const View& db, const Saved<T>& v) {
  using C = Compute<T>;
  constexpr int64_t kBlocks = 528, kPartRows = 64;
  const int64_t columns = (s.n + 31) / 32;
  const auto parts = static_cast<int>(
      std::clamp<int64_t>(kBlocks / columns, 1, std::max<int64_t>(s.rows / kPartRows, 1)));
  const Scratch<C> sums(2 * parts * s.n);
  NNM_LAUNCH(column_sums<T>, dim3(static_cast<unsigned>(columns), static_cast<unsigned>(parts)),
             dim3(32, 8), 0, s, sums.get(), v);
  add_vectors<T>(s, dw, db, sums.get(), parts);
}

/// How blocks hold rows with their sums for dw and db: as many threads as registers allow.
template <class T, class Forward>
struct Held {
  // A warp alone would not hold the sums of a long row.
  static constexpr bool kLong = Forward::kWarps == 1 && !Forward::kFew;
  using S = std::conditional_t<kLong, Share<T, 4, 8>, Forward>;
  static constexpr int kRows = S::kWarps == 1 ? 4 : 1, kBlockThreads = kRows * S::kWarps * 32;
  /// Of a multiprocessor. Their number in all is that for the 132 of an H100 everywhere, so that
  /// sums have the same bits.
  static constexpr int kBlocks = S::kWarps == 1 ? 8 : S::kWarps == 4 ? 6 : S::kFew ? 2 : 1;
  static dim3 block() { return dim3(S::kWarps * 32, kRows); }
  static int blocks(int64_t rows) {
    return static_cast<int>(std::min<int64_t>((rows + kRows - 1) / kRows, 132 * kBlocks));
  }
};

/// A block's sums for dw and db into sums (blocks, 2, n); warps with rows of their own add theirs
/// in order.
template <class S, class C>
__device__ inline void store_sums(C* sums, const typename S::Values& a, const typename S::Values& b,
                                  int n) {
  C* const out = sums + static_cast<int64_t>(blockIdx.x) * 2 * n;
  if constexpr (S::kWarps > 1) {
    for (int k = 0; k < S::kPacks; ++k)
      for (int j = 0; j < S::kWide; ++j)
        if (S::place(k) < n) out[S::place(k) + j] = a[k][j], out[n + S::place(k) + j] = b[k][j];
  } else {
    __shared__ C total[2][S::kMost];
    for (unsigned warp = 0; warp < blockDim.y; ++warp) {
      if (warp == threadIdx.y) {
        for (int k = 0; k < S::kPacks; ++k) {
          for (int j = 0; j < S::kWide; ++j) {
            const int at = S::place(k) + j;
            total[0][at] = warp == 0 ? a[k][j] : total[0][at] + a[k][j];
            total[1][at] = warp == 0 ? b[k][j] : total[1][at] + b[k][j];
          }
        }
      }
      __syncthreads();
    }
    const int threads = static_cast<int>(blockDim.x * blockDim.y);
    for (int i = block_rank(); i < n; i += threads) out[i] = total[0][i], out[n + i] = total[1][i];
  }
}

/// dx where it is wanted, and a block's part of the sums for dw and db. Each row is read once.
template <class T, class H>
__global__ void __launch_bounds__(H::kBlockThreads, H::kBlocks)
    gradients_held(Rows s, T* dx, Compute<T>* sums, Saved<T> v) {
  using C = Compute<T>;
  using S = typename H::S;
  const int n = static_cast<int>(s.n);
  typename S::Values dw = {}, db = {};
  for (int64_t row = own_row(); row < s.rows; row += gridDim.x * blockDim.y) {
    typename S::Values x, g;
    S::load(x, v.x + row * n, n, C(0), s.f16);
    S::load(g, v.g + row * n, n, C(0), s.f16);
    const C mu = v.mean ? v.mean[row] : C(0), r = v.rstd[row];
    C a = 0, b = 0;
#pragma unroll
    for (int k = 0; k < S::kPacks; ++k) {
      C w[S::kWide];
      S::load_or(w, v.w, S::place(k) < n ? S::place(k) : 0, C(1), s.f16);
      for (int j = 0; j < S::kWide; ++j) {
        x[k][j] -= mu;
        dw[k][j] += g[k][j] * x[k][j] * r;
        db[k][j] += g[k][j];
        g[k][j] *= w[j];
        a += g[k][j] * x[k][j];
        b += g[k][j];
      }
    }
    if (!dx) continue;
    sum_both<S::kWarps>(a, b);
    const C along_x = a * r * r / C(n), along_1 = v.mean ? b / C(n) : C(0);
#pragma unroll
    for (int k = 0; k < S::kPacks; ++k) {
      for (int j = 0; j < S::kWide; ++j) g[k][j] = r * (g[k][j] - along_1 - x[k][j] * along_x);
      if (S::place(k) < n) S::store(dx + row * n, S::place(k), g[k], s.f16);
    }
  }
  if (sums) store_sums<S>(sums, dw, db, n);
}

void layer_norm_backward_cuda(const View& rstd, const View& dx, const View& dw, const View& db,
                              const View& g, const View& x, const View& weight, const View& mean,
                              bool rms) {
  const Rows s{x.size[0], x.size[1], x.dtype == DType::f16};
  if (s.n == 0) return;
  const bool vectors = dw.data || db.data,
             packs = aligned(dx.data) && aligned(g.data) && aligned(x.data) && aligned(weight.data);
  by_memory(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Saved<T> v{g.as<T>(), x.as<T>(), weight.as<T>(), rms ? nullptr : mean.as<C>(),
                     rstd.as<C>()};
    const bool held = packs && by_share<T>(s.n, [&]<class S>() {
                        using H = Held<T, S>;
                        const int blocks = H::blocks(s.rows);
                        const Scratch<C> sums(vectors ? 2 * blocks * s.n : 0);
                        NNM_LAUNCH((gradients_held<T, H>), dim3(static_cast<unsigned>(blocks)),
                                   H::block(), 0, s, dx.as<T>(), sums.get(), v);
                        if (vectors) add_vectors<T>(s, dw, db, sums.get(), blocks);
                      });
    if (held) return;
    if (dx.data) NNM_LAUNCH(row_gradients<T>, s.grid(), s.block(), 0, s, dx.as<T>(), v);
    if (vectors) vector_gradients(s, dw, db, v);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(layer_norm, nnm::cuda::layer_norm_cuda);
NNM_CUDA_KERNEL(layer_norm_backward, nnm::cuda::layer_norm_backward_cuda);
