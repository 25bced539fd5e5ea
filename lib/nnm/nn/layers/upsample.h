// Resampling of images and sequences.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// (N, C, d1, …) to `size`, or to its extents times `scale_factor`, as F.interpolate does; either
/// may be one number, or one for each spatial dimension.
class Upsample : public Module {
 public:
  struct Options {
    Value size = {}, scale_factor = {};
    std::string mode = "nearest";
    std::optional<bool> align_corners = {}, recompute_scale_factor = {};
  };
  NNM_LAYER(Upsample, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

struct UpsamplingOptions {
  Value size = {}, scale_factor = {};
};

/// Upsample of images by their nearest pixels (deprecated by PyTorch).
class UpsamplingNearest2d : public Module {
 public:
  using Options = UpsamplingOptions;
  NNM_LAYER(UpsamplingNearest2d, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Upsample of images between their pixels, corners on corners (deprecated by PyTorch).
class UpsamplingBilinear2d : public Module {
 public:
  using Options = UpsamplingOptions;
  NNM_LAYER(UpsamplingBilinear2d, 0);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

}  // namespace nnm::nn
