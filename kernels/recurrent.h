// Steps of recurrent layers: all that follows a step's matrix product, in one pass.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

// All views are (N, H) or (N, gates · H), of one floating type; columns lie side by side, rows
// apart by any stride. Sums are computed in f32, of f64 in f64.

/// A step of an LSTM (Hochreiter and Schmidhuber 1997, with forget gates, as torch.nn.LSTM):
/// `gates` are the sums of in, forget, candidate and out, and become their values i, f, g, o; c = f
/// c_before + i g, h = o tanh(c).
inline constinit Kernel<void(const View& h, const View& c, const View& gates, const View& c_before)>
    lstm_step{"lstm_step"};
/// Its gradient: d_gates is that of the sums; d_c is that of c and becomes that of c_before; that
/// of h is dh + carry.
inline constinit Kernel<void(const View& d_gates, const View& d_c, const View& gates, const View& c,
                             const View& c_before, const View& dh, const View& carry)>
    lstm_step_backward{"lstm_step_backward"};

/// A step of a GRU (Cho et al. 2014, as torch.nn.GRU): `gates` are the input's parts of reset,
/// update and new, and become their values r, z, n; `state` are the parts of h_before.
/// n = tanh(gates_n + r state_n), h = n + z (h_before - n).
inline constinit Kernel<void(const View& h, const View& gates, const View& state,
                             const View& h_before)>
    gru_step{"gru_step"};
/// Its gradient: d_gates and d_state are those of the parts; that of h is dh + carry, and carry
/// becomes that of h_before, without what comes by d_state.
inline constinit Kernel<void(const View& d_gates, const View& d_state, const View& carry,
                             const View& gates, const View& state, const View& h_before,
                             const View& dh)>
    gru_step_backward{"gru_step_backward"};

}  // namespace nnm::kernels
