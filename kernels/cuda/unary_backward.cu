// The gradients of pointwise.def's rows on a device.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plugin.h"
#include "kernels/cuda/pointwise.h"
#include "kernels/pointwise.h"

namespace nnm::cuda {
namespace {

// in: g, and x or y, whichever the row saves.
#define NNM_UNARY(name, node, save, forward, backward, doc) \
  struct name##_backward {                                  \
    using C = float;                                        \
    template <class T>                                      \
    __device__ T operator()(const T* in) const {            \
      [[maybe_unused]] const T g = in[0];                   \
      [[maybe_unused]] const T x = in[1];                   \
      [[maybe_unused]] const T y = in[1];                   \
      return T(backward);                                   \
    }                                                       \
  };
#include "kernels/pointwise.def"
#undef NNM_UNARY

template <class T>
struct AnyBackward {
  using C = T;
  Unary f;
  __device__ T operator()(const T* in) const {
    switch (f) {
#define NNM_UNARY(name, ...) \
  case Unary::name:          \
    return name##_backward()(in);
#include "kernels/pointwise.def"
#undef NNM_UNARY
    }
    return T(0);
  }
};

bool packed_backward(const Folded<3>& w, Unary f) {
  switch (f) {
#define NNM_UNARY(name, ...) \
  case Unary::name:          \
    return packed_any(w, name##_backward());
#include "kernels/pointwise.def"
#undef NNM_UNARY
  }
  return false;
}

void unary_backward(const View& dx, const View& g, const View& saved, Unary f) {
  const Folded<3> w({&dx, &g, saved ? &saved : &g});
  if (compute_type(dx.dtype) == DType::f64) return strided(w, AnyBackward<double>{f});
  if (!packed_backward(w, f)) strided(w, AnyBackward<float>{f});
}

NNM_CUDA_KERNEL(unary_backward, unary_backward);

}  // namespace
}  // namespace nnm::cuda
