// Sliding windows: patches of images, maxima put back to their places, maxima at random places.
#pragma once

#include "nnm/nn/layers/layer.h"
#include "nnm/nn/typed_forward.h"

namespace nnm::nn {

/// Patches of (N, C, H, W) or (C, H, W) as columns (N, C KH KW, L) or (C KH KW, L).
class Unfold : public Module {
 public:
  struct Options {
    IntTuple<2> kernel_size = {}, dilation = 1, padding = 0, stride = 1;
  };
  NNM_LAYER(Unfold, 1);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

/// Columns as Unfold makes them to images (N, C, output_size…): where patches overlap they are
/// summed.
class Fold : public Module {
 public:
  struct Options {
    IntTuple<2> output_size = {}, kernel_size = {}, dilation = 1, padding = 0, stride = 1;
  };
  NNM_LAYER(Fold, 2);
  using Module::forward;
  Tensor forward(const Tensor& x) override;
  std::string extra_repr() const override;
};

template <int N>
struct MaxUnpoolOptions {
  IntTuple<N> kernel_size = {};
  OptionalTuple<N> stride = {};  ///< none: the kernel's size
  IntTuple<N> padding = 0;
};

/// forward(input, indices, output_size=None): the values of a max pooling with these arguments at
/// the places that it returned, zeros elsewhere.
#define NNM_MAX_UNPOOL(Type, N)                                                      \
  class Type : public Module {                                                       \
   public:                                                                           \
    using Options = MaxUnpoolOptions<N>;                                             \
    NNM_LAYER(Type, 1);                                                              \
    NNM_FORWARD(Type, "input: Tensor, indices: Tensor, output_size: int[]? = none"); \
    Tensor forward(const Tensor& x, const Tensor& indices,                           \
                   const std::optional<std::vector<int64_t>>& output_size = {});     \
    std::string extra_repr() const override;                                         \
  }
NNM_MAX_UNPOOL(MaxUnpool1d, 1);
NNM_MAX_UNPOOL(MaxUnpool2d, 2);
NNM_MAX_UNPOOL(MaxUnpool3d, 3);

template <int N>
struct FractionalPoolOptions {
  IntTuple<N> kernel_size = {};
  OptionalTuple<N> output_size = {};
  Value output_ratio = {};                     ///< a number, or one for each dimension
  bool return_indices = false;                 ///< the output is (values, indices)
  std::optional<Tensor> _random_samples = {};  ///< (N, C, dimensions) in [0, 1) instead of new ones
};

#define NNM_FRACTIONAL_POOL(Type, N)          \
  class Type : public Module {                \
   public:                                    \
    using Options = FractionalPoolOptions<N>; \
    NNM_LAYER(Type, 1);                       \
    using Module::forward;                    \
    Value forward(const Args& args) override; \
                                              \
   private:                                   \
    Buffer random_samples_;                   \
  }
/// Maxima of (N, C, H, W) or (C, H, W) over windows at random places, Graham 2014: output_size of
/// them, or output_ratio of the input's extents.
NNM_FRACTIONAL_POOL(FractionalMaxPool2d, 2);
/// The same of (N, C, D, H, W) or (C, D, H, W).
NNM_FRACTIONAL_POOL(FractionalMaxPool3d, 3);

}  // namespace nnm::nn
