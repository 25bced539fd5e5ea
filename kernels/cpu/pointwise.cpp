// The rows of pointwise.def as kernels.
#include "kernels/pointwise.h"

#include <cmath>

#include "kernels/cpu/math.h"
#include "kernels/cpu/strided.h"

namespace nnm {
namespace {

template <class T>
using Block1 = void (*)(T* out, const T* x, int64_t n);
template <class T>
using Block2 = void (*)(T* out, const T* g, const T* saved, int64_t n);

#define NNM_UNARY(name, node, save, forward, backward, doc)                                  \
  template <class T>                                                                         \
  void name##_forward(T* __restrict out, const T* __restrict in, int64_t n) {                \
    for (int64_t i = 0; i < n; ++i) {                                                        \
      const T x = in[i];                                                                     \
      out[i] = T(forward);                                                                   \
    }                                                                                        \
  }                                                                                          \
  template <class T>                                                                         \
  void name##_backward(T* __restrict out, const T* __restrict gs, const T* __restrict saved, \
                       int64_t n) {                                                          \
    for (int64_t i = 0; i < n; ++i) {                                                        \
      [[maybe_unused]] const T g = gs[i];                                                    \
      [[maybe_unused]] const T x = saved[i];                                                 \
      [[maybe_unused]] const T y = saved[i];                                                 \
      out[i] = T(backward);                                                                  \
    }                                                                                        \
  }
#include "kernels/pointwise.def"
#undef NNM_UNARY

/// out = sin(in + quarters π/2), alike for every element wherever it lies.
void turn(float* __restrict out, const float* __restrict in, int64_t n, int64_t quarters) {
  int32_t far = 0;
  for (int64_t i = 0; i < n; ++i) far |= m::abs(in[i]) <= m::kMostTurned ? 0 : 1;
  if (far == 0) {
    for (int64_t i = 0; i < n; ++i) out[i] = m::sine_of(in[i], quarters);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    if (m::abs(in[i]) <= m::kMostTurned) out[i] = m::sine_of(in[i], quarters);
    else out[i] = quarters == 0 ? std::sin(in[i]) : std::cos(in[i]);
  }
}

/// out = sign gs sin(saved + quarters π/2).
void turn_gradient(float* __restrict out, const float* __restrict gs, const float* __restrict saved,
                   int64_t n, int64_t quarters, float sign) {
  float slope[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = std::min(kBlock, n - i);
    turn(slope, saved + i, count, quarters);
    for (int64_t j = 0; j < count; ++j) out[i + j] = sign * gs[i + j] * slope[j];
  }
}

template <>
void sin_forward(float* __restrict out, const float* __restrict in, int64_t n) {
  turn(out, in, n, 0);
}
template <>
void cos_forward(float* __restrict out, const float* __restrict in, int64_t n) {
  turn(out, in, n, 1);
}
template <>
void sin_backward(float* __restrict out, const float* __restrict gs, const float* __restrict saved,
                  int64_t n) {
  turn_gradient(out, gs, saved, n, 1, 1);
}
template <>
void cos_backward(float* __restrict out, const float* __restrict gs, const float* __restrict saved,
                  int64_t n) {
  turn_gradient(out, gs, saved, n, 0, -1);
}

template <class T>
constexpr Block1<T> kForward[] = {
#define NNM_UNARY(name, ...) name##_forward<T>,
#include "kernels/pointwise.def"
#undef NNM_UNARY
};
template <class T>
constexpr Block2<T> kBackward[] = {
#define NNM_UNARY(name, ...) name##_backward<T>,
#include "kernels/pointwise.def"
#undef NNM_UNARY
};

template <class T>
void forward_typed(const Walk<2>& w, Block1<T> f) {
  w.each_run([&](char* const* p, int64_t n) {
    run_blocks<T>(w, p, n, [f](T* out, const T* const* in, const int64_t* stride, int64_t m) {
      if (stride[0] == 1) return f(out, in[0], m);
      f(out, in[0], 1);
      for (int64_t i = 1; i < m; ++i) out[i] = out[0];
    });
  });
}

void unary_cpu(const View& y, const View& x, Unary f) {
  const Walk<2> w({&y, &x});
  switch (compute_type(y.dtype)) {
    case DType::f32: return forward_typed<float>(w, kForward<float>[static_cast<int>(f)]);
    case DType::f64: return forward_typed<double>(w, kForward<double>[static_cast<int>(f)]);
    default: break;
  }
  w.each_run([&](char* const* p, int64_t n) {
    run_blocks<int64_t>(
        w, p, n, [f](int64_t* out, const int64_t* const* in, const int64_t* stride, int64_t m) {
          for (int64_t i = 0; i < m; ++i) out[i] = integer_of(f, in[0][i * stride[0]]);
        });
  });
}

template <class T>
void backward_typed(const Walk<3>& w, Block2<T> f) {
  w.each_run([&](char* const* p, int64_t n) {
    run_blocks<T>(w, p, n, [f](T* out, const T* const* in, const int64_t* stride, int64_t m) {
      if (stride[0] == 1 && stride[1] == 1) return f(out, in[0], in[1], m);
      // A gradient spread by strides of 0, as that of a sum, is written out block by block.
      T repeated[2][kBlock];
      for (int k = 0; k < 2; ++k) {
        if (stride[k] == 0) std::fill_n(repeated[k], std::min(m, kBlock), *in[k]);
      }
      for (int64_t i = 0; i < m; i += kBlock) {
        f(out + i, stride[0] ? in[0] + i : repeated[0], stride[1] ? in[1] + i : repeated[1],
          std::min(kBlock, m - i));
      }
    });
  });
}

void unary_backward_cpu(const View& dx, const View& g, const View& saved, Unary f) {
  const Walk<3> w({&dx, &g, saved ? &saved : &g});
  if (compute_type(dx.dtype) == DType::f64)
    return backward_typed<double>(w, kBackward<double>[static_cast<int>(f)]);
  backward_typed<float>(w, kBackward<float>[static_cast<int>(f)]);
}

NNM_KERNEL(unary, unary_cpu);
NNM_KERNEL(unary_backward, unary_backward_cpu);

}  // namespace
}  // namespace nnm
