// One step of a recurrent layer.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// What RNNCell, LSTMCell and GRUCell share. Inputs are (N, input_size) or (input_size), states
/// (N, hidden_size) or (hidden_size), zeros where none is given. Parameters are weight_ih,
/// weight_hh, bias_ih and bias_hh, which start uniform within 1/sqrt(hidden_size).
class RNNCellBase : public Module {
 public:
  void reset_parameters(const Streams& streams) override;
  Parameter weight_ih, weight_hh, bias_ih, bias_hh;

 protected:
  void make(int64_t input_size, int64_t hidden_size, bool bias, int64_t gates);
  /// forward(input, hx=None) as (N, …): the input, and `states` states.
  struct Step {
    Tensor input;
    Tensors states;
    bool batched;
    Tensor result(const Tensor& state) const;
  };
  Step checked(const Args& args, size_t states) const;
  /// The parts of both products, from the input and from the state.
  Tensor from_input(const Step& s) const;
  Tensor from_state(const Step& s) const;
  std::string text() const;

 private:
  int64_t input_size_ = 0, hidden_size_ = 0;
};

/// h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.
class RNNCell : public RNNCellBase {
 public:
  struct Options {
    int64_t input_size = 0, hidden_size = 0;
    bool bias = true;
    std::string nonlinearity = "tanh";
  };
  NNM_LAYER(RNNCell, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  std::string extra_repr() const override;
};

/// Of the cells with gates.
struct GatedCellOptions {
  int64_t input_size = 0, hidden_size = 0;
  bool bias = true;
};

/// forward(input, (h, c)) gives (h', c').
class LSTMCell : public RNNCellBase {
 public:
  using Options = GatedCellOptions;
  NNM_LAYER(LSTMCell, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  std::string extra_repr() const override { return text(); }
};

/// forward(input, h) gives h'.
class GRUCell : public RNNCellBase {
 public:
  using Options = GatedCellOptions;
  NNM_LAYER(GRUCell, 2);
  using Module::forward;
  Value forward(const Args& args) override;
  std::string extra_repr() const override { return text(); }
};

}  // namespace nnm::nn
