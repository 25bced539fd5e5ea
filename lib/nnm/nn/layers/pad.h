// Padding: elements added before and after the last dimensions.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

/// (left, right) of the last dimension, then (top, bottom) of the one before; one number for all.
template <int N>
struct PadOptions {
  IntTuple<2 * N> padding = {};
};
template <int N>
struct ConstantPadOptions {
  IntTuple<2 * N> padding = {};
  Scalar value = {};
};

#define NNM_PAD(Type, OptionsType, required)  \
  class Type : public Module {                \
   public:                                    \
    using Options = OptionsType;              \
    NNM_LAYER(Type, required);                \
    using Module::forward;                    \
    Tensor forward(const Tensor& x) override; \
    std::string extra_repr() const override;  \
  }

// (N, C, L) or (C, L) for the 1d ones, (N, C, H, W) or (C, H, W) for the 2d ones, (N, C, D, H, W)
// or (C, D, H, W) for the 3d ones.
NNM_PAD(ZeroPad1d, PadOptions<1>, 1);
NNM_PAD(ZeroPad2d, PadOptions<2>, 1);
NNM_PAD(ZeroPad3d, PadOptions<3>, 1);
NNM_PAD(ConstantPad1d, ConstantPadOptions<1>, 2);
NNM_PAD(ConstantPad2d, ConstantPadOptions<2>, 2);
NNM_PAD(ConstantPad3d, ConstantPadOptions<3>, 2);
NNM_PAD(ReflectionPad1d, PadOptions<1>, 1);  ///< mirrored at the border element
NNM_PAD(ReflectionPad2d, PadOptions<2>, 1);
NNM_PAD(ReflectionPad3d, PadOptions<3>, 1);
NNM_PAD(ReplicationPad1d, PadOptions<1>, 1);  ///< the border element again
NNM_PAD(ReplicationPad2d, PadOptions<2>, 1);
NNM_PAD(ReplicationPad3d, PadOptions<3>, 1);
NNM_PAD(CircularPad1d, PadOptions<1>, 1);  ///< the other end
NNM_PAD(CircularPad2d, PadOptions<2>, 1);
NNM_PAD(CircularPad3d, PadOptions<3>, 1);

}  // namespace nnm::nn
