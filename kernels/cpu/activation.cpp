// The activations of activation.def, forward and backward, over flat memory.
#include "kernels/activation.h"

#include <algorithm>

#include "kernels/cpu/dtype.h"
#include "kernels/cpu/math.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kBlock = 512;

#define NNM_ACTIVATION(name, node, forward, backward)                                          \
  struct name##_fn {                                                                           \
    template <class T>                                                                         \
    static inline T f(T x, [[maybe_unused]] T a, [[maybe_unused]] T b, [[maybe_unused]] T c) { \
      return forward;                                                                          \
    }                                                                                          \
    template <class T>                                                                         \
    static inline T df(T g, T x, [[maybe_unused]] T a, [[maybe_unused]] T b,                   \
                       [[maybe_unused]] T c) {                                                 \
      return backward;                                                                         \
    }                                                                                          \
  };
#include "kernels/activation.def"
#undef NNM_ACTIVATION

template <class F, class T>
void forward_loop(T* __restrict y, const T* __restrict x, int64_t n, T a, T b, T c) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = F::template f<T>(x[i], a, b, c);
}

template <class F, class T>
void backward_loop(T* dx, const T* g, const T* __restrict x, int64_t n, T a, T b, T c) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) dx[i] = F::template df<T>(g[i], x[i], a, b, c);
}

template <class F, class T>
void forward_range(const View& y, const View& x, int64_t begin, int64_t end, ActivationParams p) {
  T* out = y.as<T>();
  const T* in = x.as<T>();
  if constexpr (!kIsHalf<T>) {
    forward_loop<F, T>(out + begin, in + begin, end - begin, T(p.a), T(p.b), T(p.c));
  } else {
    float xs[kBlock], ys[kBlock];
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t n = std::min(kBlock, end - i);
      for (int64_t j = 0; j < n; ++j) xs[j] = static_cast<float>(in[i + j]);
      forward_loop<F, float>(ys, xs, n, float(p.a), float(p.b), float(p.c));
      for (int64_t j = 0; j < n; ++j) out[i + j] = T(ys[j]);
    }
  }
}

template <class F, class T>
void backward_range(const View& dx, const View& g, const View& x, int64_t begin, int64_t end,
                    ActivationParams p) {
  T* out = dx.as<T>();
  const T* in = x.as<T>();
  const T* grad = g.as<T>();
  if constexpr (!kIsHalf<T>) {
    backward_loop<F, T>(out + begin, grad + begin, in + begin, end - begin, T(p.a), T(p.b), T(p.c));
  } else {
    float xs[kBlock], gs[kBlock], ys[kBlock];
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t n = std::min(kBlock, end - i);
      for (int64_t j = 0; j < n; ++j) xs[j] = static_cast<float>(in[i + j]);
      for (int64_t j = 0; j < n; ++j) gs[j] = static_cast<float>(grad[i + j]);
      backward_loop<F, float>(ys, gs, xs, n, float(p.a), float(p.b), float(p.c));
      for (int64_t j = 0; j < n; ++j) out[i + j] = T(ys[j]);
    }
  }
}

template <class Body>
void by_function(Activation f, const Body& body) {
  switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return body.template operator()<name##_fn>();
#include "kernels/activation.def"
#undef NNM_ACTIVATION
  }
}

void activation_cpu(const View& y, const View& x, Activation f, ActivationParams p) {
  by_floating(y.dtype, [&]<class T>() {
    by_function(f, [&]<class F>() {
      parallel_for(y.numel(), kGrain,
                   [&](int64_t b, int64_t e) { forward_range<F, T>(y, x, b, e, p); });
    });
  });
}

void activation_backward_cpu(const View& dx, const View& g, const View& x, Activation f,
                             ActivationParams p) {
  by_floating(dx.dtype, [&]<class T>() {
    by_function(f, [&]<class F>() {
      parallel_for(dx.numel(), kGrain,
                   [&](int64_t b, int64_t e) { backward_range<F, T>(dx, g, x, b, e, p); });
    });
  });
}

}  // namespace

NNM_KERNEL(activation, activation_cpu);
NNM_KERNEL(activation_backward, activation_backward_cpu);

}  // namespace nnm
