// The losses of loss.def on a device: elementwise, or summed by a tree of a fixed form.
#include "kernels/loss.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/block.h"
#include "kernels/cuda/math.h"
#include "kernels/cuda/pointwise.h"

namespace nnm::cuda {
namespace {

// in: x, t; and g, x, t.
#define NNM_LOSS(name, node, forward, backward)                                     \
  template <class T>                                                                \
  struct name##_value {                                                             \
    using C = T;                                                                    \
    T a, scale;                                                                     \
    __device__ T of(T x, T t) const { return forward; }                             \
    __device__ T operator()(const T* in) const { return scale * of(in[0], in[1]); } \
  };                                                                                \
  template <class T>                                                                \
  struct name##_gradient {                                                          \
    using C = T;                                                                    \
    T a, scale;                                                                     \
    __device__ T operator()(const T* in) const {                                    \
      const T g = in[0] * scale;                                                    \
      [[maybe_unused]] const T x = in[1];                                           \
      const T t = in[2];                                                            \
      return backward;                                                              \
    }                                                                               \
  };
#include "kernels/loss.def"
#undef NNM_LOSS

/// The value or the gradient of any of them, chosen at run time: for walks that are slow anyhow.
template <bool kGradient, class T>
struct Any {
  using C = T;
  Loss f;
  T a, scale;
  __device__ T operator()(const T* in) const {
    switch (f) {
#define NNM_LOSS(name, ...) \
  case Loss::name:          \
    return std::conditional_t<kGradient, name##_gradient<T>, name##_value<T>>{a, scale}(in);
#include "kernels/loss.def"
#undef NNM_LOSS
    }
    return T(0);
  }
};

constexpr int kWarps = kThreads / 32;
/// A part of a sum, and how many parts there are at most.
constexpr int64_t kPart = 4096, kParts = 1024;

__device__ unsigned sums_arrived;

/// Block i sums part i into sums[i]; the last one to end leaves the sum of all in *y.
template <class T, class F>
__global__ void sum_parts(T* y, double* sums, const T* x, const T* t, int64_t n, int64_t part, F f,
                          double scale, bool f16) {
  using C = Compute<T>;
  const int64_t begin = blockIdx.x * part, end = begin + part < n ? begin + part : n;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads)
    sum += static_cast<double>(f.of(widened<C>(x[i], f16), widened<C>(t[i], f16)));
  sum = over_block<kWarps>(sum, Plus());
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
  if (!last_block(&sums_arrived)) return;
  sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kThreads) sum += __ldcg(sums + i);
  sum = over_block<kWarps>(sum, Plus());
  if (threadIdx.x == 0) *y = narrowed<T>(static_cast<C>(sum * scale), f16);
}

template <class T, class F>
void summed(const View& y, const View& x, const View& t, const F& f, double scale) {
  const int64_t n = x.numel();
  const int64_t parts = std::clamp<int64_t>((n + kPart - 1) / kPart, 1, kParts);
  const int64_t part = (n + parts - 1) / parts;
  const Scratch<double> sums(parts);
  NNM_LAUNCH((sum_parts<T, F>), static_cast<unsigned>(parts), kThreads, 0, y.as<T>(), sums.get(),
             x.as<T>(), t.as<T>(), n, part, f, scale, x.dtype == DType::f16);
}

template <class T>
void summed(const View& y, const View& x, const View& t, Loss f, Compute<T> a, double scale) {
  switch (f) {
#define NNM_LOSS(name, ...) \
  case Loss::name:          \
    return summed<T>(y, x, t, name##_value<Compute<T>>{a, 0}, scale);
#include "kernels/loss.def"
#undef NNM_LOSS
  }
}

template <bool kGradient, int N>
bool packed_one(const Folded<N>& w, const Any<kGradient, float>& any) {
  switch (any.f) {
#define NNM_LOSS(name, ...)                                                                  \
  case Loss::name:                                                                           \
    return packed_any(                                                                       \
        w, std::conditional_t<kGradient, name##_gradient<float>, name##_value<float>>{any.a, \
                                                                                      any.scale});
#include "kernels/loss.def"
#undef NNM_LOSS
  }
  return false;
}

/// For each element, of inputs of the type that `x` has.
template <bool kGradient, int N>
void run(const Folded<N>& w, DType x, Loss f, double a, double scale) {
  if (x == DType::f64) return strided(w, Any<kGradient, double>{f, a, scale});
  const Any<kGradient, float> any{f, static_cast<float>(a), static_cast<float>(scale)};
  if (!packed_one(w, any)) strided(w, any);
}

void loss(const View& y, const View& x, const View& t, Loss f, double a, double scale) {
  const bool each = y.ndim == x.ndim && y.numel() == x.numel() && y.ndim > 0;
  if (each) return run<false>(flat({&y, &x, &t}), x.dtype, f, a, scale);
  by_memory(x.dtype, [&]<class T>() { summed<T>(y, x, t, f, Compute<T>(a), scale); });
}

void loss_backward(const View& dx, const View& g, const View& x, const View& t, Loss f, double a,
                   double scale) {
  Folded<4> w = flat({&dx, &g, &x, &t});
  if (g.ndim == 0) w.stride[1][0] = 0;
  run<true>(w, x.dtype, f, a, scale);
}

NNM_CUDA_KERNEL(loss, loss);
NNM_CUDA_KERNEL(loss_backward, loss_backward);

}  // namespace
}  // namespace nnm::cuda
