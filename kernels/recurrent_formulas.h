// The formulas of recurrent.h for one element, on the CPU and on a device. Each backend's math.h is
// to be included before.
#pragma once

#include "kernels/host_device.h"

namespace nnm {
namespace {

/// The gates of an LSTM's element: sums, then values.
template <class C>
struct LstmGates {
  C i, f, g, o;
};

template <class C>
NNM_HD inline LstmGates<C> lstm_values(const LstmGates<C>& sums) {
  return {m::sigmoid(sums.i), m::sigmoid(sums.f), m::tanh(sums.g), m::sigmoid(sums.o)};
}

/// The gradients of the sums; d_c becomes that of the state before.
template <class C>
NNM_HD inline LstmGates<C> lstm_slopes(const LstmGates<C>& v, C c, C c_before, C dh, C& d_c) {
  const C t = m::tanh(c);
  const C d = d_c + dh * v.o * (C(1) - t * t);
  d_c = d * v.f;
  return {d * v.g * v.i * (C(1) - v.i), d * c_before * v.f * (C(1) - v.f),
          d * v.i * (C(1) - v.g * v.g), dh * t * v.o * (C(1) - v.o)};
}

/// The gates of a GRU's element.
template <class C>
struct GruGates {
  C r, z, n;
};

template <class C>
NNM_HD inline GruGates<C> gru_values(const GruGates<C>& gates, const GruGates<C>& state) {
  const C r = m::sigmoid(gates.r + state.r);
  return {r, m::sigmoid(gates.z + state.z), m::tanh(gates.n + r * state.n)};
}

/// The gradients of the input's parts; those of the state's differ in d_state_n alone. `d` is the
/// gradient of h, and becomes that of the state before by z.
template <class C>
NNM_HD inline GruGates<C> gru_slopes(const GruGates<C>& v, C state_n, C h_before, C& d,
                                     C& d_state_n) {
  const C n = d * (C(1) - v.z) * (C(1) - v.n * v.n);
  const C z = d * (h_before - v.n) * v.z * (C(1) - v.z);
  d_state_n = n * v.r;
  d *= v.z;
  return {n * state_n * v.r * (C(1) - v.r), z, n};
}

}  // namespace
}  // namespace nnm
