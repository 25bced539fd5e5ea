// Two operands, and selection.
#include "kernels/cuda/math.h"
#include "kernels/cuda/pointwise.h"
#include "kernels/pointwise.h"

namespace nnm::cuda {
namespace {

template <Binary f, class T>
struct BinaryOp {
  using C = T;
  __device__ T operator()(const T* in) const { return binary_of<f>(in[0], in[1]); }
};

template <class T>
struct ScaledSum {
  using C = T;
  T k;
  __device__ T operator()(const T* in) const { return plus(in[0], times(k, in[1])); }
};

/// Any of them, chosen at run time: for walks that are slow anyhow.
template <class T>
struct AnyBinary {
  using C = T;
  Binary f;
  T k;
  __device__ T operator()(const T* in) const {
    switch (f) {
      case Binary::add: return ScaledSum<T>{k}(in);
#define NNM_BINARY(name) \
  case Binary::name:     \
    return BinaryOp<Binary::name, T>()(in);
#include "kernels/binary.def"
#undef NNM_BINARY
    }
    return T(0);
  }
};

bool packed_binary(const Folded<3>& w, Binary f, float k) {
  switch (f) {
    case Binary::add: return packed_any(w, ScaledSum<float>{k});
#define NNM_BINARY(name) \
  case Binary::name:     \
    return packed_any(w, BinaryOp<Binary::name, float>{});
#include "kernels/binary.def"
#undef NNM_BINARY
  }
  return false;
}

void binary(const View& out, const View& a, const View& b, Binary f, DType compute, double alpha) {
  const Folded<3> w({&out, &a, &b});
  const auto k = static_cast<float>(alpha);
  switch (compute) {
    case DType::f32:
      if (!packed_binary(w, f, k)) strided(w, AnyBinary<float>{f, k});
      return;
    case DType::f64: return strided(w, AnyBinary<double>{f, alpha});
    default: return strided(w, AnyBinary<int64_t>{f, static_cast<int64_t>(alpha)});
  }
}

template <class T>
struct Selection {
  using C = T;
  __device__ T operator()(const T* in) const { return in[0] != T(0) ? in[1] : in[2]; }
};

void where(const View& out, const View& condition, const View& a, const View& b) {
  const Folded<4> w({&out, &condition, &a, &b});
  switch (compute_type(out.dtype)) {
    case DType::f32: return strided(w, Selection<float>{});
    case DType::f64: return strided(w, Selection<double>{});
    default: return strided(w, Selection<int64_t>{});
  }
}

NNM_CUDA_KERNEL(binary, binary);
NNM_CUDA_KERNEL(where, where);

}  // namespace
}  // namespace nnm::cuda
