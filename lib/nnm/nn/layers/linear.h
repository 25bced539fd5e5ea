// Linear maps: Linear, Bilinear, Identity.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// y = x W^T + b over the last dimension: (*, in_features) to (*, out_features). weight is
/// (out_features, in_features), bias (out_features); both start uniform within 1/sqrt(in_features).
class Linear : public Module {
 public:
  struct Options {
    int64_t in_features = 0, out_features = 0;
    bool bias = true;
  };
  NNM_LAYER(Linear, 2);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight, bias;
};

/// y = x1^T A x2 + b: (*, in1_features) and (*, in2_features) to (*, out_features). weight is
/// (out_features, in1_features, in2_features).
class Bilinear : public Module {
 public:
  struct Options {
    int64_t in1_features = 0, in2_features = 0, out_features = 0;
    bool bias = true;
  };
  NNM_LAYER(Bilinear, 3);
  using Module::forward;
  Value forward(const Args& args) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight, bias;
};

/// Returns its argument.
class Identity : public Module {
 public:
  struct Options {};
  NNM_LAYER(Identity, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override { return x; }
};

}  // namespace nnm::nn
