// Layers that only change shapes.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// Dimensions start_dim to end_dim become one: (N, C, H, W) to (N, C H W) by default.
class Flatten : public Module {
 public:
  struct Options {
    int64_t start_dim = 1, end_dim = -1;
  };
  NNM_LAYER(Flatten, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// One dimension becomes several, of which one extent may be -1.
class Unflatten : public Module {
 public:
  struct Options {
    int64_t dim = 0;
    Sizes unflattened_size = {};
  };
  NNM_LAYER(Unflatten, 2);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// (*, C r^2, H, W) to (*, C, H r, W r), r being upscale_factor.
class PixelShuffle : public Module {
 public:
  struct Options {
    int64_t upscale_factor = 1;
  };
  NNM_LAYER(PixelShuffle, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// (*, C, H r, W r) to (*, C r^2, H, W), r being downscale_factor.
class PixelUnshuffle : public Module {
 public:
  struct Options {
    int64_t downscale_factor = 1;
  };
  NNM_LAYER(PixelUnshuffle, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Channels of (N, C, …) dealt out in turn from `groups` parts of them.
class ChannelShuffle : public Module {
 public:
  struct Options {
    int64_t groups = 1;
  };
  NNM_LAYER(ChannelShuffle, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

}  // namespace nnm::nn
