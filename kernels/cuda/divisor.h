// Division by numbers that a kernel's launch fixes.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace nnm::cuda {

/// Quotients of n < 2^31 by 0 < d < 2^31, by a multiplication: divisions are subroutines.
/// Source: Granlund and Montgomery, "Division by invariant integers using multiplication" (1994).
class Divisor {
 public:
  Divisor() = default;
  /// Of d = 0, an empty extent that nothing is divided by, makes 1.
  explicit Divisor(int64_t d) : d_(d > 0 ? static_cast<uint32_t>(d) : 1) {
    while ((uint64_t{1} << shift_) < d_) ++shift_;
    factor_ = static_cast<uint32_t>((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - d_) / d_ + 1);
  }
  NNM_HD int divide(int n, int& rest) const {
    const auto u = static_cast<uint32_t>(n);
    const uint32_t high = static_cast<uint32_t>(uint64_t{u} * factor_ >> 32);
    const uint32_t q = (high + u) >> shift_;
    rest = static_cast<int>(u - q * d_);
    return static_cast<int>(q);
  }

 private:
  uint32_t d_ = 1, factor_ = 1, shift_ = 0;
};

}  // namespace nnm::cuda
