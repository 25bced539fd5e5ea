// The bounds of types of numbers.
#pragma once

#include <limits>

#include "nnm/tensor/tensor.h"

namespace nnm::detail {

/// The largest finite number of a floating type.
inline double largest_finite(DType t) {
  switch (t) {
    case DType::f64: return std::numeric_limits<double>::max();
    case DType::f16: return 65504;
    case DType::bf16: return 3.3895313892515355e38;
    default: return std::numeric_limits<float>::max();
  }
}

}  // namespace nnm::detail
