// Dropout: zeroes at random in training mode, scales the rest by 1 / (1 - p), and is the identity
// in evaluation mode. Draws come from the default generator.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

struct DropoutOptions {
  Scalar p = 0.5;        ///< probability of zero, 0 to 1
  bool inplace = false;  ///< accepted; the input is left alone all the same
};

/// Each element on its own.
class Dropout : public Module {
 public:
  using Options = DropoutOptions;
  NNM_LAYER(Dropout, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Whole channels of (N, C, L) or (C, L).
class Dropout1d : public Module {
 public:
  using Options = DropoutOptions;
  NNM_LAYER(Dropout1d, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Whole channels of (N, C, H, W) or (C, H, W).
class Dropout2d : public Module {
 public:
  using Options = DropoutOptions;
  NNM_LAYER(Dropout2d, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Whole channels of (N, C, D, H, W) or (C, D, H, W).
class Dropout3d : public Module {
 public:
  using Options = DropoutOptions;
  NNM_LAYER(Dropout3d, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Each element on its own, to the value that SELU gives at minus infinity; mean and variance stay.
class AlphaDropout : public Module {
 public:
  using Options = DropoutOptions;
  NNM_LAYER(AlphaDropout, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// AlphaDropout of whole channels of (N, C, …).
class FeatureAlphaDropout : public Module {
 public:
  using Options = DropoutOptions;
  NNM_LAYER(FeatureAlphaDropout, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

}  // namespace nnm::nn
