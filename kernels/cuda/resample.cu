// Resampling along one dimension, one result a thread; gradients are gathered by the input's
// elements, so that sums run in the order of the outputs.
#include "kernels/resample.h"

#include "kernels/cuda/element.h"
#include "kernels/cuda/plugin.h"
#include "kernels/resample_taps.h"

namespace nnm::cuda {
namespace {

template <class T>
__global__ void resample_kernel(T* out, const T* in, int64_t n, int64_t inner, Resample r) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t column, o;
  const int64_t group = divide(divide(i, inner, &column), r.out, &o);
  const Taps<C> taps = taps_of<C>(r, o);
  C sum = 0;
#pragma unroll
  for (int k = 0; k < kMostTapsOfOne; ++k)
    if (k < taps.count)
      sum += taps.weight[k] * static_cast<C>(in[(group * r.in + taps.at[k]) * inner + column]);
  out[i] = T(sum);
}

template <class T>
__global__ void resample_gradient(T* out, const T* in, int64_t n, int64_t inner, Resample r) {
  using C = Compute<T>;
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t column, place;
  const int64_t group = divide(divide(i, inner, &column), r.in, &place);
  const Reach reach = reach_of(r, place);
  C sum = 0;
  for (int64_t o = reach.first; o < reach.last; ++o) {
    const Taps<C> taps = taps_of<C>(r, o);
#pragma unroll
    for (int k = 0; k < kMostTapsOfOne; ++k)
      if (k < taps.count && taps.at[k] == place)
        sum += taps.weight[k] * static_cast<C>(in[(group * r.out + o) * inner + column]);
  }
  out[i] = T(sum);
}

void resample_cuda(const View& out, const View& x, const Resample& r) {
  const int64_t n = out.numel();
  by_floating(x.dtype, [&]<class T>() {
    NNM_LAUNCH(resample_kernel<T>, blocks_for(n), dim3(kThreads), 0, out.as<T>(), x.as<T>(), n,
               out.size[2], r);
  });
}

void resample_backward_cuda(const View& dx, const View& g, const Resample& r) {
  const int64_t n = dx.numel();
  by_floating(g.dtype, [&]<class T>() {
    NNM_LAUNCH(resample_gradient<T>, blocks_for(n), dim3(kThreads), 0, dx.as<T>(), g.as<T>(), n,
               dx.size[2], r);
  });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(resample, nnm::cuda::resample_cuda);
NNM_CUDA_KERNEL(resample_backward, nnm::cuda::resample_backward_cuda);
