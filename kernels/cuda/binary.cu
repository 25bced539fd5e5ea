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

template <class T>
void binary_typed(const Folded<3>& w, Binary f, double alpha) {
  switch (f) {
    case Binary::add: return pointwise(w, ScaledSum<T>{static_cast<T>(alpha)});
#define NNM_BINARY(name) \
  case Binary::name:     \
    return pointwise(w, BinaryOp<Binary::name, T>{});
#include "kernels/binary.def"
#undef NNM_BINARY
  }
}

void binary(const View& out, const View& a, const View& b, Binary f, DType compute, double alpha) {
  const Folded<3> w({&out, &a, &b});
  switch (compute) {
    case DType::f32: return binary_typed<float>(w, f, alpha);
    case DType::f64: return binary_typed<double>(w, f, alpha);
    default: return binary_typed<int64_t>(w, f, alpha);
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
