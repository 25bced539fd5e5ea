// Dropout: zeroes at random in training mode, scales the rest by 1 / (1 - p), and is the identity
// in evaluation mode. Draws come from the default generator.
#pragma once

#include "nnm/nn/layers/layer.h"

namespace nnm::nn {

struct DropoutOptions {
  Scalar p = 0.5;        ///< probability of zero, 0 to 1
  bool inplace = false;  ///< overwrite the input; AlphaDropout and its kin do not
};

/// Each element on its own.
NNM_TENSOR_LAYER(Dropout, DropoutOptions, 0);

/// Whole channels of (N, C, L) or (C, L).
NNM_TENSOR_LAYER(Dropout1d, DropoutOptions, 0);

/// Whole channels of (N, C, H, W) or (C, H, W).
NNM_TENSOR_LAYER(Dropout2d, DropoutOptions, 0);

/// Whole channels of (N, C, D, H, W) or (C, D, H, W).
NNM_TENSOR_LAYER(Dropout3d, DropoutOptions, 0);

/// Each element on its own, to the value that SELU gives at minus infinity; mean and variance stay.
NNM_TENSOR_LAYER(AlphaDropout, DropoutOptions, 0);

/// AlphaDropout of whole channels of (N, C, …).
NNM_TENSOR_LAYER(FeatureAlphaDropout, DropoutOptions, 0);

}  // namespace nnm::nn
