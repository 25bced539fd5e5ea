// The recurrence of RNN, LSTM and GRU: all steps of one direction of a layer as one operation.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm {

/// What a step does with its gates; their order in weights is PyTorch's.
enum class RecurrentCell : uint8_t {
  rnn_tanh,  ///< h = tanh(gate)
  rnn_relu,  ///< h = relu(gate)
  lstm,      ///< in, forget, candidate, out
  gru        ///< reset, update, new
};

namespace detail {

/// Weights of the state: w (gates · H, S), bias (gates · H), and of an LSTM's projection (S, H);
/// the latter two may be undefined.
struct RecurrentWeights {
  Tensor w, bias, projection;
};

/// Runs a cell over the steps of one direction, from the last to the first where `reverse`. `gates`
/// (L, N, gates · H) are the input's parts; their memory is taken over, so that nobody else may
/// hold it. h (N, S) and, of an LSTM, c (N, H) are the first states. Gives (L, N, S), the states
/// after each step, and of an LSTM the last c. All floating, of one type, or, under autocast, made
/// to be so. Throws Error(runtime) for states of other types. Source: torch.nn.LSTM, GRU, RNN.
Tensors recurrence(RecurrentCell cell, const Tensor& gates, const RecurrentWeights& weights,
                   const Tensor& h, const Tensor& c, bool reverse);

}  // namespace detail
}  // namespace nnm
