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

template <class T>
void forward_typed(const Folded<2>& w, Activation f, ActivationParams p) {
  switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return pointwise(w, name##_value<T>{T(p.a), T(p.b), T(p.c)});
#include "kernels/activation.def"
#undef NNM_ACTIVATION
  }
}

template <class T>
void backward_typed(const Folded<3>& w, Activation f, ActivationParams p) {
  switch (f) {
#define NNM_ACTIVATION(name, ...) \
  case Activation::name:          \
    return pointwise(w, name##_gradient<T>{T(p.a), T(p.b), T(p.c)});
#include "kernels/activation.def"
#undef NNM_ACTIVATION
  }
}

void activation(const View& y, const View& x, Activation f, ActivationParams p) {
  const Folded<2> w = flat({&y, &x});
  if (y.dtype == DType::f64) forward_typed<double>(w, f, p);
  else forward_typed<float>(w, f, p);
}

void activation_backward(const View& dx, const View& g, const View& x, Activation f,
                         ActivationParams p) {
  const Folded<3> w = flat({&dx, &g, &x});
  if (dx.dtype == DType::f64) backward_typed<double>(w, f, p);
  else backward_typed<float>(w, f, p);
}

NNM_CUDA_KERNEL(activation, activation);
NNM_CUDA_KERNEL(activation_backward, activation_backward);

}  // namespace
}  // namespace nnm::cuda
