// A bound that gradients do not see.
#pragma once

#include "nnm/ops/ops.h"

namespace nnm::detail {

/// x, but at least `least`; its gradient is that of x.
inline Tensor bounded_below(const Tensor& x, double least) {
  const Tensor now = x.detach();
  return x + (clamp(now, Scalar(least)) - now);
}

}  // namespace nnm::detail
