// Steps of recurrent layers: a thread an element of the state.
#include "kernels/recurrent.h"

#include "kernels/cuda/element.h"
#include "kernels/cuda/math.h"
#include "kernels/recurrent_formulas.h"

namespace nnm::cuda {
namespace {

/// A matrix (N, H) or (N, gates · H) whose columns lie side by side.
template <class T>
struct Rows {
  explicit Rows(const View& v) : p(v.as<T>()), stride(v.stride[0]) {}
  __device__ T& at(int64_t row, int64_t column) const { return p[row * stride + column]; }
  using C = Compute<std::remove_const_t<T>>;
  __device__ C read(int64_t row, int64_t column) const { return static_cast<C>(at(row, column)); }
  T* p;
  int64_t stride;
};

/// The thread's row and column of (n, wide); false beyond the end.
__device__ inline bool place(int64_t n, int64_t wide, int64_t* row, int64_t* column) {
  const int64_t i = global_thread();
  if (i >= n * wide) return false;
  *row = divide(i, wide, column);
  return true;
}

template <class T>
__global__ void lstm_values_kernel(int64_t n, int64_t wide, Rows<T> h, Rows<T> c, Rows<T> gates,
                                   Rows<const T> before) {
  using C = Compute<T>;
  int64_t row, j;
  if (!place(n, wide, &row, &j)) return;
  const LstmGates<C> v =
      lstm_values<C>({gates.read(row, j), gates.read(row, wide + j), gates.read(row, 2 * wide + j),
                      gates.read(row, 3 * wide + j)});
  const C state = v.f * before.read(row, j) + v.i * v.g;
  gates.at(row, j) = T(v.i);
  gates.at(row, wide + j) = T(v.f);
  gates.at(row, 2 * wide + j) = T(v.g);
  gates.at(row, 3 * wide + j) = T(v.o);
  c.at(row, j) = T(state);
  h.at(row, j) = T(v.o * m::tanh(state));
}

template <class T>
__global__ void lstm_slopes_kernel(int64_t n, int64_t wide, Rows<T> d_gates, Rows<T> d_c,
                                   Rows<const T> gates, Rows<const T> c, Rows<const T> before,
                                   Rows<const T> dh, Rows<const T> carry) {
  using C = Compute<T>;
  int64_t row, j;
  if (!place(n, wide, &row, &j)) return;
  C state = d_c.read(row, j);
  const LstmGates<C> d = lstm_slopes<C>(
      {gates.read(row, j), gates.read(row, wide + j), gates.read(row, 2 * wide + j),
       gates.read(row, 3 * wide + j)},
      c.read(row, j), before.read(row, j), dh.read(row, j) + carry.read(row, j), state);
  d_c.at(row, j) = T(state);
  d_gates.at(row, j) = T(d.i);
  d_gates.at(row, wide + j) = T(d.f);
  d_gates.at(row, 2 * wide + j) = T(d.g);
  d_gates.at(row, 3 * wide + j) = T(d.o);
}

template <class T>
__global__ void gru_values_kernel(int64_t n, int64_t wide, Rows<T> h, Rows<T> gates,
                                  Rows<const T> state, Rows<const T> before) {
  using C = Compute<T>;
  int64_t row, j;
  if (!place(n, wide, &row, &j)) return;
  const GruGates<C> v =
      gru_values<C>({gates.read(row, j), gates.read(row, wide + j), gates.read(row, 2 * wide + j)},
                    {state.read(row, j), state.read(row, wide + j), state.read(row, 2 * wide + j)});
  gates.at(row, j) = T(v.r);
  gates.at(row, wide + j) = T(v.z);
  gates.at(row, 2 * wide + j) = T(v.n);
  h.at(row, j) = T(v.n + v.z * (before.read(row, j) - v.n));
}

template <class T>
__global__ void gru_slopes_kernel(int64_t n, int64_t wide, Rows<T> d_gates, Rows<T> d_state,
                                  Rows<T> carry, Rows<const T> gates, Rows<const T> state,
                                  Rows<const T> before, Rows<const T> dh) {
  using C = Compute<T>;
  int64_t row, j;
  if (!place(n, wide, &row, &j)) return;
  C d = dh.read(row, j) + carry.read(row, j), d_state_n;
  const GruGates<C> g =
      gru_slopes<C>({gates.read(row, j), gates.read(row, wide + j), gates.read(row, 2 * wide + j)},
                    state.read(row, 2 * wide + j), before.read(row, j), d, d_state_n);
  carry.at(row, j) = T(d);
  d_gates.at(row, j) = d_state.at(row, j) = T(g.r);
  d_gates.at(row, wide + j) = d_state.at(row, wide + j) = T(g.z);
  d_gates.at(row, 2 * wide + j) = T(g.n);
  d_state.at(row, 2 * wide + j) = T(d_state_n);
}

void lstm_step(const View& h, const View& c, const View& gates, const View& before) {
  by_floating(h.dtype, [&]<class T>() {
    using R = Rows<T>;
    NNM_LAUNCH((lstm_values_kernel<T>), blocks_for(h.numel()), kThreads, 0, h.size[0], h.size[1],
               R(h), R(c), R(gates), Rows<const T>(before));
  });
}

void lstm_step_backward(const View& d_gates, const View& d_c, const View& gates, const View& c,
                        const View& before, const View& dh, const View& carry) {
  by_floating(d_c.dtype, [&]<class T>() {
    using R = Rows<const T>;
    NNM_LAUNCH((lstm_slopes_kernel<T>), blocks_for(d_c.numel()), kThreads, 0, d_c.size[0],
               d_c.size[1], Rows<T>(d_gates), Rows<T>(d_c), R(gates), R(c), R(before), R(dh),
               R(carry));
  });
}

void gru_step(const View& h, const View& gates, const View& state, const View& before) {
  by_floating(h.dtype, [&]<class T>() {
    using R = Rows<const T>;
    NNM_LAUNCH((gru_values_kernel<T>), blocks_for(h.numel()), kThreads, 0, h.size[0], h.size[1],
               Rows<T>(h), Rows<T>(gates), R(state), R(before));
  });
}

void gru_step_backward(const View& d_gates, const View& d_state, const View& carry,
                       const View& gates, const View& state, const View& before, const View& dh) {
  by_floating(carry.dtype, [&]<class T>() {
    using R = Rows<const T>;
    NNM_LAUNCH((gru_slopes_kernel<T>), blocks_for(carry.numel()), kThreads, 0, carry.size[0],
               carry.size[1], Rows<T>(d_gates), Rows<T>(d_state), Rows<T>(carry), R(gates),
               R(state), R(before), R(dh));
  });
}

NNM_CUDA_KERNEL(lstm_step, lstm_step);
NNM_CUDA_KERNEL(lstm_step_backward, lstm_step_backward);
NNM_CUDA_KERNEL(gru_step, gru_step);
NNM_CUDA_KERNEL(gru_step_backward, gru_step_backward);

}  // namespace
}  // namespace nnm::cuda
