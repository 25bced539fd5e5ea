// Layer norm and the norm by the root mean square: a warp for a short row, a block for a long one.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/norm.h"
#include "kernels/cuda/parts.h"
#include "kernels/cuda/plugin.h"
#include "kernels/norm.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kWarpRow = 1024;  ///< elements up to which one warp has a row

/// Rows of n elements: how blocks are cut and how many there are.
struct Rows {
  int64_t rows, n;
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
    for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) sum += static_cast<C>(x[i]);
    mu = row_sum(sum) / C(s.n);
  }
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const C d = static_cast<C>(x[i]) - mu;
    squares += d * d;
  }
  const C r = C(1) / std::sqrt(row_sum(squares) / C(s.n) + C(eps));
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x)
    y[i] = T((static_cast<C>(x[i]) - mu) * r * element_or(w, i, C(1)) + element_or(b, i, C(0)));
  if (threadIdx.x != 0) return;
  if (mean) mean[row] = mu;
  rstd[row] = r;
}

void layer_norm_cuda(const View& y, const View& x, const View& weight, const View& bias,
                     const View& mean, const View& rstd, double eps, bool rms) {
  if (x.numel() == 0) return;
  const Rows s{x.size[0], x.size[1]};
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    NNM_LAUNCH(normalize_rows<T>, s.grid(), s.block(), 0, s, y.as<T>(), x.as<T>(), weight.as<T>(),
               bias.as<T>(), rms ? nullptr : mean.as<C>(), rstd.as<C>(), eps);
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
    const C d = static_cast<C>(g[i]) * element_or(v.w, i, C(1));
    a += d * (static_cast<C>(x[i]) - mu);
    b += d;
  }
  const C along_x = row_sum(a) * r * r / C(s.n), sum = row_sum(b) / C(s.n),
          along_1 = v.mean ? sum : C(0);
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const C d = static_cast<C>(g[i]) * element_or(v.w, i, C(1));
    dx[row * s.n + i] = T(r * (d - along_1 - (static_cast<C>(x[i]) - mu) * along_x));
  }
}

/// The sums for dw and db (parts, n) over a part of the rows, for 32 columns a block.
template <class T>
__global__ void column_sums(Rows s, Compute<T>* dw, Compute<T>* db, Saved<T> v) {
  using C = Compute<T>;
  __shared__ C warps[2][8][32];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x,
                first = s.rows * blockIdx.y / gridDim.y,
                last = s.rows * (blockIdx.y + 1) / gridDim.y;
  C a = 0, b = 0;
  if (column < s.n) {
    for (int64_t row = first + threadIdx.y; row < last; row += 8) {
      const C g = static_cast<C>(v.g[row * s.n + column]), mu = v.mean ? v.mean[row] : C(0);
      a += g * (static_cast<C>(v.x[row * s.n + column]) - mu) * v.rstd[row];
      b += g;
    }
  }
  warps[0][threadIdx.y][threadIdx.x] = a;
  warps[1][threadIdx.y][threadIdx.x] = b;
  __syncthreads();
  if (threadIdx.y > 1 || column >= s.n) return;
  C total = 0;
  for (int i = 0; i < 8; ++i) total += warps[threadIdx.y][i][threadIdx.x];
  (threadIdx.y == 0 ? dw : db)[blockIdx.y * s.n + column] = total;
}

template <class T>
void vector_gradients(const Rows& s, const View& dw, const View& db, const Saved<T>& v) {
  using C = Compute<T>;
  constexpr int64_t kBlocks = 528, kPartRows = 64;
  const int64_t columns = (s.n + 31) / 32;
  const auto parts = static_cast<int>(
      std::clamp<int64_t>(kBlocks / columns, 1, std::max<int64_t>(s.rows / kPartRows, 1)));
  const Scratch<C> sums(2 * parts * s.n);
  C *const w = sums.get(), *const b = w + parts * s.n;
  NNM_LAUNCH(column_sums<T>, dim3(static_cast<unsigned>(columns), static_cast<unsigned>(parts)),
             dim3(32, 8), 0, s, w, b, v);
  if (dw.data) sum_parts(dw.as<T>(), w, parts, s.n);
  if (db.data) sum_parts(db.as<T>(), b, parts, s.n);
}

void layer_norm_backward_cuda(const View& rstd, const View& dx, const View& dw, const View& db,
                              const View& g, const View& x, const View& weight, const View& mean,
                              bool rms) {
  const Rows s{x.size[0], x.size[1]};
  if (s.n == 0) return;
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Saved<T> v{g.as<T>(), x.as<T>(), weight.as<T>(), rms ? nullptr : mean.as<C>(),
                     rstd.as<C>()};
    if (dx.data) NNM_LAUNCH(row_gradients<T>, s.grid(), s.block(), 0, s, dx.as<T>(), v);
    if (dw.data || db.data) vector_gradients(s, dw, db, v);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(layer_norm, nnm::cuda::layer_norm_cuda);
NNM_CUDA_KERNEL(layer_norm_backward, nnm::cuda::layer_norm_backward_cuda);
