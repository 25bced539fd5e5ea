// Normalisations.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

struct BatchNormOptions {
  int64_t num_features = 0;
  Scalar eps = 1e-5;
  std::optional<Scalar> momentum = 0.1;  ///< none: a cumulative average
  bool affine = true, track_running_stats = true, bias = true;
};
struct InstanceNormOptions {
  int64_t num_features = 0;
  Scalar eps = 1e-5;
  std::optional<Scalar> momentum = 0.1;
  bool affine = false, track_running_stats = false, bias = true;
};

/// What batch and instance norms hold: weight, bias, running_mean and running_var (num_features),
/// num_batches_tracked (a number, i64); none of those that the options switch off.
class NormBase : public Module {
 public:
  void reset_parameters(const Streams& streams) override;
  void reset_running_stats();
  /// 2, since num_batches_tracked came; older states are completed when loaded.
  int64_t version() const override { return 2; }
  void load_from_state_dict(LoadContext& c) override;

  Parameter weight, bias;
  Buffer running_mean, running_var, num_batches_tracked;

 protected:
  void make(int64_t num_features, bool affine, bool bias, bool track_running_stats);
  /// Counts the batch; the weight of its statistics in the running ones.
  double count_batch(const std::optional<Scalar>& momentum);
};

/// Over the batch (and L), for each channel: (N, C) or (N, C, L).
class BatchNorm1d : public NormBase {
 public:
  using Options = BatchNormOptions;
  NNM_LAYER(BatchNorm1d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Over the batch and the image, for each channel: (N, C, H, W).
class BatchNorm2d : public NormBase {
 public:
  using Options = BatchNormOptions;
  NNM_LAYER(BatchNorm2d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Over all but the channels of (N, C, D, H, W).
class BatchNorm3d : public NormBase {
 public:
  using Options = BatchNormOptions;
  NNM_LAYER(BatchNorm3d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Over all but the channels of (N, C, …). In one process, which is all there is here, a batch norm
/// of any rank: no group of processes shares its statistics.
class SyncBatchNorm : public NormBase {
 public:
  struct Options {
    int64_t num_features = 0;
    Scalar eps = 1e-5;
    std::optional<Scalar> momentum = 0.1;
    bool affine = true, track_running_stats = true;
    Value process_group = {};  ///< none
    bool bias = true;
  };
  NNM_LAYER(SyncBatchNorm, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// What instance norms share.
class InstanceNormBase : public NormBase {
 protected:
  /// x of `rank` dimensions, or without its first. Throws Error(value) as PyTorch does.
  Tensor normalized(const Tensor& x, int rank, const InstanceNormOptions& o);
  void load_state(LoadContext& c, const InstanceNormOptions& o);
};

#define NNM_INSTANCE_NORM(Type)                                                    \
  class Type : public InstanceNormBase {                                           \
   public:                                                                         \
    using Options = InstanceNormOptions;                                           \
    NNM_LAYER(Type, 1);                                                            \
    using Module::forward;                                                         \
    Tensor forward(const Tensor& x) override;                                      \
    std::string extra_repr() const override;                                       \
    void load_from_state_dict(LoadContext& c) override { load_state(c, options); } \
  }

/// Over each sample, for each channel: (N, C, L) or (C, L); (N, C, H, W) or (C, H, W); (N, C, D, H,
/// W) or (C, D, H, W).
NNM_INSTANCE_NORM(InstanceNorm1d);
NNM_INSTANCE_NORM(InstanceNorm2d);
NNM_INSTANCE_NORM(InstanceNorm3d);

/// Over the last dimensions, which are normalized_shape; weight and bias have that shape.
class LayerNorm : public Module {
 public:
  struct Options {
    Sizes normalized_shape = {};
    Scalar eps = 1e-5;
    bool elementwise_affine = true, bias = true;
  };
  NNM_LAYER(LayerNorm, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight, bias;

 private:
  Shape shape_;
};

/// Over groups of channels of each sample: (N, C, *); weight and bias are (C).
class GroupNorm : public Module {
 public:
  struct Options {
    int64_t num_groups = 1, num_channels = 0;
    Scalar eps = 1e-5;
    bool affine = true, bias = true;
  };
  NNM_LAYER(GroupNorm, 2);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight, bias;
};

/// x (N, C, …) by (k + alpha m)^beta, where m is the mean square of `size` channels around each.
class LocalResponseNorm : public Module {
 public:
  struct Options {
    int64_t size = 1;
    Scalar alpha = 1e-4, beta = 0.75, k = 1.0;
  };
  NNM_LAYER(LocalResponseNorm, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// The same of images (N, C, H, W) alone, over the channels up to (size + 1) / 2 - 1 away on either
/// side, whose squares are added and divided by `size`, as PyTorch's older layer does.
class CrossMapLRN2d : public Module {
 public:
  struct Options {
    int64_t size = 1;
    Scalar alpha = 1e-4, beta = 0.75, k = 1;
  };
  NNM_LAYER(CrossMapLRN2d, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// x / rms(x) over the last dimensions, which are normalized_shape; weight has that shape.
class RMSNorm : public Module {
 public:
  struct Options {
    Sizes normalized_shape = {};
    std::optional<Scalar> eps = {};  ///< none: the smallest that matters for the element type
    bool elementwise_affine = true;
  };
  NNM_LAYER(RMSNorm, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  void reset_parameters(const Streams& streams) override;
  std::string extra_repr() const override;
  Parameter weight;

 private:
  Shape shape_;
};

}  // namespace nnm::nn
