// Recurrent layers.
#pragma once

#include "nnm/nn/layers/layer.h"
#include "nnm/ops/recurrent.h"

namespace nnm::nn {

/// What RNN, LSTM and GRU share. Inputs are (L, N, input_size), with batch_first (N, L, …), or
/// (L, …); outputs end in hidden_size (proj_size) times the directions; states are (layers ·
/// directions, N, hidden_size). Parameters are weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
/// (and weight_hr_l0), then …_l0_reverse, then …_l1; all start uniform within 1/sqrt(hidden_size).
class RNNBase : public Module {
 public:
  void reset_parameters(const Streams& streams) override;

 protected:
  struct Dimensions {
    int64_t input_size, hidden_size, num_layers;
    bool bias, batch_first;
    double dropout;
    bool bidirectional;
    int64_t proj_size = 0;
  };
  /// Parameters of one direction of one layer.
  struct Cell {
    Parameter w_ih, w_hh, b_ih, b_hh, w_hr;
  };
  /// Makes the parameters. Throws Error(value) with PyTorch's texts.
  void make(const Dimensions& shape, int64_t gates);
  /// forward(input, hx=None); an LSTM's states are pairs (h, c).
  Value run(const Args& args, RecurrentCell kind) const;
  std::string text() const;

 private:
  struct States;
  Tensor checked_input(const Tensor& x) const;
  States initial(const Value& hx, const Tensor& x, bool batched, bool cells) const;

  Dimensions shape_{};
  std::vector<Cell> cells_;  // layers, in each the directions
};

/// h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.
class RNN : public RNNBase {
 public:
  struct Options {
    int64_t input_size = 0, hidden_size = 0, num_layers = 1;
    std::string nonlinearity = "tanh";
    bool bias = true, batch_first = false;
    double dropout = 0.0;
    bool bidirectional = false;
  };
  NNM_LAYER(RNN, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  std::string extra_repr() const override { return text(); }
};

/// Hochreiter and Schmidhuber 1997: forward(input, (h_0, c_0)) gives (output, (h_n, c_n)).
class LSTM : public RNNBase {
 public:
  struct Options {
    int64_t input_size = 0, hidden_size = 0, num_layers = 1;
    bool bias = true, batch_first = false;
    double dropout = 0.0;
    bool bidirectional = false;
    int64_t proj_size = 0;  ///< above zero: states are projected to this size
  };
  NNM_LAYER(LSTM, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  std::string extra_repr() const override { return text(); }
};

/// Cho et al. 2014: forward(input, h_0) gives (output, h_n).
class GRU : public RNNBase {
 public:
  struct Options {
    int64_t input_size = 0, hidden_size = 0, num_layers = 1;
    bool bias = true, batch_first = false;
    double dropout = 0.0;
    bool bidirectional = false;
  };
  NNM_LAYER(GRU, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  std::string extra_repr() const override { return text(); }
};

}  // namespace nnm::nn
