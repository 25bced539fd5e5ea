// Group norm: a block for a group of a sample.
#include <cmath>

#include "kernels/cuda/norm.h"
#include "kernels/cuda/plugin.h"
#include "kernels/norm.h"

namespace nnm::cuda {
namespace {

/// x (N, C, I) row-major: rows are a sample's groups of `per` channels.
struct Groups {
  int64_t samples, channels, inner, groups, per, n;
  bool f16;  ///< which Short elements are
  Groups(const View& x, int64_t groups_)
      : samples(x.size[0]),
        channels(x.size[1]),
        inner(x.size[2]),
        groups(groups_),
        per(channels / groups_),
        n(per * inner),
        f16(x.dtype == DType::f16) {}
  dim3 grid() const { return dim3(static_cast<unsigned>(samples * groups)); }
  /// The channel of element i of a row.
  __device__ int64_t channel(int64_t row, int64_t i) const {
    int64_t rest;
    return row % groups * per + divide(i, inner, &rest);
  }
};

template <class T>
__global__ void normalize_groups(Groups s, T* y, const T* x, const T* w, const T* b,
                                 Compute<T>* mean, Compute<T>* rstd, double eps) {
  using C = Compute<T>;
  const int64_t row = blockIdx.x;
  x += row * s.n;
  y += row * s.n;
  C sum = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) sum += widened<C>(x[i], s.f16);
  const C mu = row_sum(sum) / C(s.n);
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const C d = widened<C>(x[i], s.f16) - mu;
    squares += d * d;
  }
  const C r = C(1) / std::sqrt(row_sum(squares) / C(s.n) + C(eps));
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const int64_t c = s.channel(row, i);
    const C scale = r * element_or(w, c, C(1), s.f16), shift = element_or(b, c, C(0), s.f16);
    y[i] = narrowed<T>((widened<C>(x[i], s.f16) - mu) * scale + shift, s.f16);
  }
  if (threadIdx.x != 0) return;
  mean[row] = mu;
  rstd[row] = r;
}

void group_norm_cuda(const View& y, const View& x, const View& weight, const View& bias,
                     const View& mean, const View& rstd, int64_t groups, double eps) {
  if (x.numel() == 0) return;
  const Groups s(x, groups);
  by_memory(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    NNM_LAUNCH(normalize_groups<T>, s.grid(), dim3(kThreads), 0, s, y.as<T>(), x.as<T>(),
               weight.as<T>(), bias.as<T>(), mean.as<C>(), rstd.as<C>(), eps);
  });
}

/// sums (N C, 2): of g and of g (x - mean) over a channel's plane. A warp has a plane.
template <class T>
__global__ void plane_sums(Groups s, Compute<T>* sums, Saved<T> v) {
  using C = Compute<T>;
  const int64_t plane = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (plane >= s.samples * s.channels) return;
  const C mu = v.mean[plane / s.per];
  C a = 0, b = 0;
  for (int64_t i = threadIdx.x; i < s.inner; i += 32) {
    const int64_t at = plane * s.inner + i;
    const C g = widened<C>(v.g[at], s.f16);
    a += g;
    b += g * (widened<C>(v.x[at], s.f16) - mu);
  }
  a = over_warp(a, Plus());
  b = over_warp(b, Plus());
  if (threadIdx.x != 0) return;
  sums[2 * plane] = a;
  sums[2 * plane + 1] = b;
}

template <class T>
__global__ void group_gradients(Groups s, T* dx, const Compute<T>* sums, Saved<T> v) {
  using C = Compute<T>;
  const int64_t row = blockIdx.x;
  const C mu = v.mean[row], r = v.rstd[row];
  C a = 0, b = 0;
  for (int64_t k = threadIdx.x; k < s.per; k += blockDim.x) {
    const C w = element_or(v.w, row % s.groups * s.per + k, C(1), s.f16);
    a += w * sums[2 * (row * s.per + k)];
    b += w * sums[2 * (row * s.per + k) + 1];
  }
  const C along_1 = row_sum(a) / C(s.n), along_x = row_sum(b) * r * r / C(s.n);
  for (int64_t i = threadIdx.x; i < s.n; i += blockDim.x) {
    const int64_t at = row * s.n + i;
    const C d = widened<C>(v.g[at], s.f16) * element_or(v.w, s.channel(row, i), C(1), s.f16);
    dx[at] = narrowed<T>(r * (d - along_1 - (widened<C>(v.x[at], s.f16) - mu) * along_x), s.f16);
  }
}

template <class T>
__global__ void channel_gradients(Groups s, T* dw, T* db, const Compute<T>* sums, Saved<T> v) {
  using C = Compute<T>;
  const int64_t c = global_thread();
  if (c >= s.channels) return;
  C a = 0, b = 0;
  for (int64_t sample = 0; sample < s.samples; ++sample) {
    const int64_t plane = sample * s.channels + c;
    a += sums[2 * plane + 1] * v.rstd[plane / s.per];
    b += sums[2 * plane];
  }
  if (dw) dw[c] = narrowed<T>(a, s.f16);
  if (db) db[c] = narrowed<T>(b, s.f16);
}

void group_norm_backward_cuda(const View& rstd, const View& dx, const View& dw, const View& db,
                              const View& g, const View& x, const View& weight, const View& mean,
                              int64_t groups) {
  const Groups s(x, groups);
  const int64_t planes = s.samples * s.channels;
  by_memory(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Saved<T> v{g.as<T>(), x.as<T>(), weight.as<T>(), mean.as<C>(), rstd.as<C>()};
    const Scratch<C> sums(2 * planes);
    NNM_LAUNCH(plane_sums<T>, dim3(static_cast<unsigned>((planes + 7) / 8)), dim3(32, 8), 0, s,
               sums.get(), v);
    if (dx.data && x.numel() > 0)
      NNM_LAUNCH(group_gradients<T>, s.grid(), dim3(kThreads), 0, s, dx.as<T>(), sums.get(), v);
    NNM_LAUNCH(channel_gradients<T>, blocks_for(s.channels), dim3(kThreads), 0, s, dw.as<T>(),
               db.as<T>(), sums.get(), v);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(group_norm, nnm::cuda::group_norm_cuda);
NNM_CUDA_KERNEL(group_norm_backward, nnm::cuda::group_norm_backward_cuda);
