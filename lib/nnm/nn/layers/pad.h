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

// (N, C, L) or (C, L) for the 1d ones, (N, C, H, W) or (C, H, W) for the 2d ones, (N, C, D, H, W)
// or (C, D, H, W) for the 3d ones.
NNM_TENSOR_LAYER(ZeroPad1d, PadOptions<1>, 1);
NNM_TENSOR_LAYER(ZeroPad2d, PadOptions<2>, 1);
NNM_TENSOR_LAYER(ZeroPad3d, PadOptions<3>, 1);
NNM_TENSOR_LAYER(ConstantPad1d, ConstantPadOptions<1>, 2);
NNM_TENSOR_LAYER(ConstantPad2d, ConstantPadOptions<2>, 2);
NNM_TENSOR_LAYER(ConstantPad3d, ConstantPadOptions<3>, 2);
NNM_TENSOR_LAYER(ReflectionPad1d, PadOptions<1>, 1);  ///< mirrored at the border element
NNM_TENSOR_LAYER(ReflectionPad2d, PadOptions<2>, 1);
NNM_TENSOR_LAYER(ReflectionPad3d, PadOptions<3>, 1);
NNM_TENSOR_LAYER(ReplicationPad1d, PadOptions<1>, 1);  ///< the border element again
NNM_TENSOR_LAYER(ReplicationPad2d, PadOptions<2>, 1);
NNM_TENSOR_LAYER(ReplicationPad3d, PadOptions<3>, 1);
NNM_TENSOR_LAYER(CircularPad1d, PadOptions<1>, 1);  ///< the other end
NNM_TENSOR_LAYER(CircularPad2d, PadOptions<2>, 1);
NNM_TENSOR_LAYER(CircularPad3d, PadOptions<3>, 1);

}  // namespace nnm::nn
