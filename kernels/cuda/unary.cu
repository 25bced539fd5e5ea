// The rows of pointwise.def on a device.
#include "kernels/cuda/math.h"
#include "kernels/cuda/pointwise.h"
#include "kernels/pointwise.h"

namespace nnm::cuda {
namespace {

// in: x.
#define NNM_UNARY(name, node, save, forward, backward, doc) \
  struct name##_forward {                                   \
    using C = float;                                        \
    template <class T>                                      \
    __device__ T operator()(const T* in) const {            \
      const T x = in[0];                                    \
      return T(forward);                                    \
    }                                                       \
  };
#include "kernels/pointwise.def"
#undef NNM_UNARY

/// Any of them, chosen at run time: for walks that are slow anyhow.
template <class T>
struct AnyForward {
  using C = T;
  Unary f;
  __device__ T operator()(const T* in) const {
    switch (f) {
#define NNM_UNARY(name, ...) \
  case Unary::name:          \
    return name##_forward()(in);
#include "kernels/pointwise.def"
#undef NNM_UNARY
    }
    return T(0);
  }
};

struct IntegerForward {
  using C = int64_t;
  Unary f;
  __device__ int64_t operator()(const int64_t* in) const { return integer_of(f, in[0]); }
};

bool packed_forward(const Folded<2>& w, Unary f) {
  switch (f) {
#define NNM_UNARY(name, ...) \
  case Unary::name:          \
    return packed_any(w, name##_forward());
#include "kernels/pointwise.def"
#undef NNM_UNARY
  }
  return false;
}

void unary(const View& y, const View& x, Unary f) {
  const Folded<2> w({&y, &x});
  switch (compute_type(y.dtype)) {
    case DType::f32:
      if (!packed_forward(w, f)) strided(w, AnyForward<float>{f});
      return;
    case DType::f64: return strided(w, AnyForward<double>{f});
    default: return strided(w, IntegerForward{f});
  }
}

NNM_CUDA_KERNEL(unary, unary);

}  // namespace
}  // namespace nnm::cuda
