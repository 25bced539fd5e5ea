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

/// Returns its argument, of any kind. Whatever it is made with is ignored, so that it stands where
/// any layer does: Identity(54, {"unused", 0.1}).
class Identity : public Module {
 public:
  struct Options {};
  NNM_LAYER(Identity, 0);
  template <class... A>
  requires(sizeof...(A) > 0 && !(std::derived_from<std::remove_cvref_t<A>, Identity> || ...) &&
           !(std::same_as<std::remove_cvref_t<A>, Options> || ...))  //
      explicit Identity(const A&...)
      : Identity(Options{}) {}
  using Module::forward;
  Tensor forward(const Tensor& x) override { return x; }
  Value forward(const Args& args) override { return only_input(args); }
};

}  // namespace nnm::nn
