// Batch normalisation: sums per channel in parts whose number depends on the shape alone, what
// follows from them per channel, and an affine map of the elements.
#include <algorithm>
#include <cmath>

#include "kernels/channel_layout.h"
#include "kernels/cuda/divisor.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/plugin.h"
#include "kernels/norm.h"

namespace nnm::cuda {
namespace {

constexpr int64_t kBlocks = 528;       ///< of a sum, at most about
constexpr int64_t kPartElements = 64;  ///< at least, of a thread

struct Layout : ChannelLayout {
  using ChannelLayout::ChannelLayout;
  NNM_HD int64_t numel() const { return rows * width; }
  __device__ int64_t channel_of(int64_t i) const {
    int64_t channel;
    if (inner_channels) divide(i, channels, &channel);
    else divide(divide(i, width, &channel), channels, &channel);
    return channel;
  }
  /// Where the i-th element of a channel lies.
  __device__ int64_t element(int64_t channel, int64_t i) const {
    if (inner_channels) return i * channels + channel;
    int64_t at;
    const int64_t sample = divide(i, width, &at);
    return (sample * channels + channel) * width + at;
  }
};

/// The two sums of F over a part of a channel: a block has 32 channels in 8 rows of threads where
/// those lie side by side, one channel elsewhere. `sums` is (parts, 2, C).
template <class F>
__global__ void channel_parts(Layout l, double* sums, F f, int64_t parts) {
  using C = typename F::C;
  const bool inner = l.inner_channels;
  const int64_t part = blockIdx.x % parts, group = blockIdx.x / parts;
  const auto lane = static_cast<int64_t>(threadIdx.x), warp = static_cast<int64_t>(threadIdx.y);
  const int64_t channel = inner ? group * 32 + lane : group;
  const int64_t first = l.count * part / parts, last = l.count * (part + 1) / parts;
  const int64_t start = first + (inner ? warp : warp * 32 + lane), step = inner ? 8 : 256;
  C a = 0, b = 0;
  if (channel < l.channels) {
    for (int64_t i = start; i < last; i += step) f(l.element(channel, i), channel, a, b);
  }
  __shared__ double warps[2][8][32];
  warps[0][warp][lane] = static_cast<double>(a);
  warps[1][warp][lane] = static_cast<double>(b);
  __syncthreads();
  if (warp > 1 || channel >= l.channels) return;
  double total = 0;
  for (int i = 0; i < 8; ++i) total += warps[warp][i][lane];
  if (!inner) total = over_warp(total, Plus());
  if (inner || lane == 0) sums[(part * 2 + warp) * l.channels + channel] = total;
}

/// The sum of column i of sums (parts, n), by a warp: one thread would wait for every load.
__device__ inline double over_parts(const double* sums, int64_t parts, int64_t n, int64_t i) {
  double total = 0;
  for (int64_t p = threadIdx.x; p < parts; p += 32) total += sums[p * n + i];
  return over_warp(total, Plus());
}

/// The channel of a warp, in blocks of 8 warps.
__device__ inline int64_t own_channel() {
  return static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.y;
}
inline dim3 channel_blocks(int64_t channels) {
  return dim3(static_cast<unsigned>((channels + 7) / 8));
}

int64_t parts_of(const Layout& l) {
  const int64_t groups = l.inner_channels ? (l.channels + 31) / 32 : l.channels;
  const int64_t threads = l.inner_channels ? 8 : 256;
  return std::clamp<int64_t>(kBlocks / std::max<int64_t>(groups, 1), 1,
                             std::max<int64_t>(l.count / (threads * kPartElements), 1));
}

template <class F>
void sum_channels(const Layout& l, double* sums, const F& f, int64_t parts) {
  const int64_t groups = l.inner_channels ? (l.channels + 31) / 32 : l.channels;
  NNM_LAUNCH(channel_parts<F>, dim3(static_cast<unsigned>(groups * parts)), dim3(32, 8), 0, l, sums,
             f, parts);
}

/// Deviations from the first element of the channel: no cancellation for a far mean.
template <class T>
struct AboutFirst {
  using C = Compute<T>;
  Layout l;
  const T* x;
  __device__ void operator()(int64_t at, int64_t channel, C& a, C& b) const {
    const C v = static_cast<C>(x[at]) - static_cast<C>(x[l.element(channel, 0)]);
    a += v;
    b += v * v;
  }
};

/// The factors of y = x scale + offset per channel, or of dx = g scale + x slope + offset.
template <class C>
struct Affine {
  C *scale, *offset, *slope;
};

template <class C>
Affine<C> affine_in(const Scratch<C>& memory, int64_t channels) {
  return {memory.get(), memory.get() + channels, memory.get() + 2 * channels};
}

/// Where channel i of running statistics lies, which may be a window on something larger.
__device__ inline int64_t place(const View& v, int64_t i) {
  return v.ndim ? i * v.stride[v.ndim - 1] : i;
}
__device__ inline double number(const View& v, int64_t i) {
  return load<double>(v.data, v.dtype, place(v, i));
}
__device__ inline double number_or(const View& v, int64_t i, double otherwise) {
  return v.data ? number(v, i) : otherwise;
}
__device__ inline void move_towards(const View& running, int64_t i, double value, double momentum) {
  const double v = (1 - momentum) * number(running, i) + momentum * value;
  store<double>(running.data, running.dtype, place(running, i), v);
}

struct Running {
  View mean, var;
  double momentum, eps;
};

template <class T>
__global__ void statistics_of(Layout l, const double* sums, int64_t parts, const T* x, View weight,
                              View bias, Compute<T>* mean, Compute<T>* invstd, Running running,
                              Affine<Compute<T>> out) {
  using C = Compute<T>;
  const int64_t c = own_channel();
  if (c >= l.channels) return;
  const auto n = static_cast<double>(l.count);
  const double delta = over_parts(sums, parts, 2 * l.channels, c) / n,
               square = over_parts(sums, parts, 2 * l.channels, l.channels + c) / n - delta * delta;
  if (threadIdx.x != 0) return;
  const double mu = static_cast<double>(static_cast<C>(x[l.element(c, 0)])) + delta,
               var = square > 0 || square != square ? square : 0;
  const double s = 1 / std::sqrt(var + running.eps);
  mean[c] = C(mu);
  invstd[c] = C(s);
  if (running.mean.data) move_towards(running.mean, c, mu, running.momentum);
  if (running.var.data) move_towards(running.var, c, var * n / (n - 1), running.momentum);
  const double scale = s * number_or(weight, c, 1);
  out.scale[c] = C(scale);
  out.offset[c] = C(number_or(bias, c, 0) - mu * scale);
}

template <class T>
__global__ void map_elements(Layout l, T* y, const T* x, Affine<Compute<T>> f) {
  const int64_t i = global_thread();
  if (i >= l.numel()) return;
  const int64_t c = l.channel_of(i);
  y[i] = T(static_cast<Compute<T>>(x[i]) * f.scale[c] + f.offset[c]);
}

void batch_norm_cuda(const View& y, const View& x, const View& weight, const View& bias,
                     const View& mean, const View& invstd, const View& running_mean,
                     const View& running_var, double momentum, double eps) {
  if (x.numel() == 0) return;
  const Layout l(x);
  const int64_t parts = parts_of(l);
  by_floating(x.dtype, [&]<class T>() {
    const Scratch<double> sums(parts * 2 * l.channels);
    const Scratch<Compute<T>> factors(3 * l.channels);
    const auto f = affine_in(factors, l.channels);
    sum_channels(l, sums.get(), AboutFirst<T>{l, x.as<T>()}, parts);
    NNM_LAUNCH(statistics_of<T>, channel_blocks(l.channels), dim3(32, 8), 0, l, sums.get(), parts,
               x.as<T>(), weight, bias, mean.as<Compute<T>>(), invstd.as<Compute<T>>(),
               Running{running_mean, running_var, momentum, eps}, f);
    NNM_LAUNCH(map_elements<T>, blocks_for(l.numel()), dim3(kThreads), 0, l, y.as<T>(), x.as<T>(),
               f);
  });
}

template <class T>
__global__ void given_statistics(int64_t channels, View weight, View bias, Running given,
                                 Affine<Compute<T>> out) {
  using C = Compute<T>;
  const int64_t c = global_thread();
  if (c >= channels) return;
  const double scale = number_or(weight, c, 1) / std::sqrt(number(given.var, c) + given.eps);
  out.scale[c] = C(scale);
  out.offset[c] = C(number_or(bias, c, 0) - number(given.mean, c) * scale);
}

void batch_norm_eval_cuda(const View& y, const View& x, const View& weight, const View& bias,
                          const View& mean, const View& var, double eps) {
  const Layout l(x);
  by_floating(x.dtype, [&]<class T>() {
    const Scratch<Compute<T>> factors(3 * l.channels);
    const auto f = affine_in(factors, l.channels);
    NNM_LAUNCH(given_statistics<T>, blocks_for(l.channels), dim3(kThreads), 0, l.channels, weight,
               bias, Running{mean, var, 0, eps}, f);
    NNM_LAUNCH(map_elements<T>, blocks_for(l.numel()), dim3(kThreads), 0, l, y.as<T>(), x.as<T>(),
               f);
  });
}

template <class T>
struct GradientSums {
  using C = Compute<T>;
  const T *g, *x;
  const C* mean;
  __device__ void operator()(int64_t at, int64_t channel, C& a, C& b) const {
    const C v = static_cast<C>(g[at]);
    a += v;
    b += v * (static_cast<C>(x[at]) - mean[channel]);
  }
};

template <class T>
__global__ void gradients_of(Layout l, const double* sums, int64_t parts, View weight,
                             const Compute<T>* mean, const Compute<T>* invstd, T* dw, T* db,
                             bool training, Affine<Compute<T>> out) {
  using C = Compute<T>;
  const int64_t c = own_channel();
  if (c >= l.channels) return;
  const double along_1 = over_parts(sums, parts, 2 * l.channels, c),
               along_x = over_parts(sums, parts, 2 * l.channels, l.channels + c);
  if (threadIdx.x != 0) return;
  const double s = static_cast<double>(invstd[c]), mu = static_cast<double>(mean[c]),
               scale = s * number_or(weight, c, 1), n = static_cast<double>(l.count);
  if (dw) dw[c] = T(static_cast<C>(along_x * s));
  if (db) db[c] = T(static_cast<C>(along_1));
  const double slope = training ? scale * along_x * s * s / n : 0;
  out.scale[c] = C(scale);
  out.slope[c] = C(-slope);
  out.offset[c] = training ? C(slope * mu - scale * along_1 / n) : C(0);
}

template <class T>
__global__ void map_gradients(Layout l, T* dx, const T* g, const T* x, Affine<Compute<T>> f) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= l.numel()) return;
  const int64_t c = l.channel_of(i);
  dx[i] = T(f.scale[c] * static_cast<C>(g[i]) + f.slope[c] * static_cast<C>(x[i]) + f.offset[c]);
}

void batch_norm_backward_cuda(const View& mean, const View& dx, const View& dw, const View& db,
                              const View& g, const View& x, const View& weight, const View& invstd,
                              bool training) {
  const Layout l(x);
  const int64_t parts = parts_of(l);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Scratch<double> sums(parts * 2 * l.channels);
    const Scratch<C> factors(3 * l.channels);
    const auto f = affine_in(factors, l.channels);
    sum_channels(l, sums.get(), GradientSums<T>{g.as<T>(), x.as<T>(), mean.as<C>()}, parts);
    NNM_LAUNCH(gradients_of<T>, channel_blocks(l.channels), dim3(32, 8), 0, l, sums.get(), parts,
               weight, mean.as<C>(), invstd.as<C>(), dw.as<T>(), db.as<T>(), training, f);
    if (!dx.data) return;
    NNM_LAUNCH(map_gradients<T>, blocks_for(l.numel()), dim3(kThreads), 0, l, dx.as<T>(), g.as<T>(),
               x.as<T>(), f);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(batch_norm, nnm::cuda::batch_norm_cuda);
NNM_CUDA_KERNEL(batch_norm_eval, nnm::cuda::batch_norm_eval_cuda);
NNM_CUDA_KERNEL(batch_norm_backward, nnm::cuda::batch_norm_backward_cuda);
