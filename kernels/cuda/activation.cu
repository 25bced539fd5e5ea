// The activations of activation.def on a device.
#include "kernels/activation.h"

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

/// Any of them, chosen at run time: for walks that are slow anyhow.
template <class T>
struct AnyValue {
  using C = T;
  Activation f;
  T a, b, c;
  __device__ T operator()(const T* in) const {
    switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return name##_value<T>{a, b, c}(in);
#include "kernels/activation.def"
#undef NNM_ACTIVATION
    }
    return T(0);
  }
};
template <class T>
struct AnyGradient {
  using C = T;
  Activation f;
  T a, b, c;
  __device__ T operator()(const T* in) const {
    switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return name##_gradient<T>{a, b, c}(in);
#include "kernels/activation.def"
#undef NNM_ACTIVATION
    }
    return T(0);
  }
};

bool packed_forward(const Folded<2>& w, Activation f, float a, float b, float c) {
  switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return packed_any(w, name##_value<float>{a, b, c});
#include "kernels/activation.def"
#undef NNM_ACTIVATION
  }
  return false;
}

bool packed_backward(const Folded<3>& w, Activation f, float a, float b, float c) {
  switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return packed_any(w, name##_gradient<float>{a, b, c});
#include "kernels/activation.def"
#undef NNM_ACTIVATION
  }
  return false;
}

void activation(const View& y, const View& x, Activation f, ActivationParams p) {
  const Folded<2> w = flat({&y, &x});
  if (y.dtype == DType::f64) return strided(w, AnyValue<double>{f, p.a, p.b, p.c});
  const auto a = static_cast<float>(p.a), b = static_cast<float>(p.b), c = static_cast<float>(p.c);
  if (!packed_forward(w, f, a, b, c)) strided(w, AnyValue<float>{f, a, b, c});
}

void activation_backward(const View& dx, const View& g, const View& x, Activation f,
                         ActivationParams p) {
  const Folded<3> w = flat({&dx, &g, &x});
  if (dx.dtype == DType::f64) return strided(w, AnyGradient<double>{f, p.a, p.b, p.c});
  const auto a = static_cast<float>(p.a), b = static_cast<float>(p.b), c = static_cast<float>(p.c);
  if (!packed_backward(w, f, a, b, c)) strided(w, AnyGradient<float>{f, a, b, c});
}

NNM_CUDA_KERNEL(activation, activation);
NNM_CUDA_KERNEL(activation_backward, activation_backward);

}  // namespace
}  // namespace nnm::cuda
