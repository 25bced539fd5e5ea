// torch.nn.functional's dropouts, as layers and configs call them.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm {

/// What is dropped as one: elements, or the channels of inputs with 1, 2 or 3 spatial dimensions
/// and perhaps a batch; `alpha`: in favour of the value that SELU gives at minus infinity.
enum class Dropped : uint8_t {
  elements,
  channels_1d,
  channels_2d,
  channels_3d,
  elements_alpha,
  channels_alpha
};

/// dropout, dropout1d …: `inplace` writes into x. Draws come from the default generator.
Tensor dropout_of(Dropped what, const Tensor& x, double p, bool training, bool inplace);

}  // namespace nnm
