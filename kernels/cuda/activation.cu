// The activations of activation.def on a device.
#include "kernels/activation.h"

#include <type_traits>

#include "kernels/cuda/math.h"
#include "kernels/cuda/pointwise.h"

namespace nnm::cuda {
namespace {

// in: x; and g, x. The parameters in the computing type.
#define NNM_ACTIVATION(name, node, forward, backward) \
  template <class T>                                  \
  struct name##_value {                               \
    using C = T;                                      \
    T a, b, c;                                        \
    __device__ T operator()(const T* in) const {      \
      const T x = in[0];                              \
      return forward;                                 \
    }                                                 \
  };                                                  \
  template <class T>                                  \
  struct name##_gradient {                            \
    using C = T;                                      \
    T a, b, c;                                        \
    __device__ T operator()(const T* in) const {      \
      const T g = in[0];                              \
      const T x = in[1];                              \
      return backward;                                \
    }                                                 \
  };
#include "kernels/activation.def"
#undef NNM_ACTIVATION

/// The value or the gradient of any of them, chosen at run time: for walks that are slow anyhow.
template <bool kGradient, class T>
struct Any {
  using C = T;
  Activation f;
  T a, b, c;
  __device__ T operator()(const T* in) const {
    switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return std::conditional_t<kGradient, name##_gradient<T>, name##_value<T>>{a, b, c}(in);
#include "kernels/activation.def"
#undef NNM_ACTIVATION
    }
    return T(0);
  }
};

template <bool kGradient, int N>
bool packed_one(const Folded<N>& w, const Any<kGradient, float>& any) {
  switch (any.f) {
#define NNM_ACTIVATION(name, ...)                                                                 \
  case Activation::name:                                                                          \
    return packed_any(w,                                                                          \
                      std::conditional_t<kGradient, name##_gradient<float>, name##_value<float>>{ \
                          any.a, any.b, any.c});
#include "kernels/activation.def"
#undef NNM_ACTIVATION
  }
  return false;
}

template <bool kGradient, int N>
void run(const Folded<N>& w, Activation f, ActivationParams p) {
  if (w.dtype[0] == DType::f64) return strided(w, Any<kGradient, double>{f, p.a, p.b, p.c});
  const Any<kGradient, float> any{f, static_cast<float>(p.a), static_cast<float>(p.b),
                                  static_cast<float>(p.c)};
  if (!packed_one(w, any)) strided(w, any);
}

void activation(const View& y, const View& x, Activation f, ActivationParams p) {
  run<false>(flat({&y, &x}), f, p);
}

void activation_backward(const View& dx, const View& g, const View& x, Activation f,
                         ActivationParams p) {
  run<true>(flat({&dx, &g, &x}), f, p);
}

NNM_CUDA_KERNEL(activation, activation);
NNM_CUDA_KERNEL(activation_backward, activation_backward);

}  // namespace
}  // namespace nnm::cuda
