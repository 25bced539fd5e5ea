// What statistics sum up of a piece of a tensor, on every device.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/host_device.h"
#include "kernels/statistics.h"

namespace nnm {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Sums {
  double d1 = 0, d2 = 0, l1 = 0;  // of the distances from the centre, their squares, magnitudes
  double low = kInf, high = -kInf;
  int64_t finite = 0, nan = 0, zero = 0;

  /// Of a piece of n elements, with distances from `shift`.
  TensorStatistics statistics(int64_t n, double shift) const {
    TensorStatistics s;
    s.numel = n;
    s.finite = finite;
    s.nan = nan;
    s.inf = n - finite - nan;
    s.zero = zero;
    s.min = low;
    s.max = high;
    if (s.finite == 0) return s;
    const double count = static_cast<double>(s.finite);
    s.mean = shift + d1 / count;
    s.second = std::max(0.0, d2 - d1 * d1 / count);
    s.sum = shift * count + d1;
    s.l1 = l1;
    s.squares = d2 + shift * (2 * d1 + shift * count);
    return s;
  }
};

/// The bin of elements with this sign and exponent. A bin holds its lower edge, so a negative power
/// of two belongs to the bin nearer to zero: it is one bit less for its exponent to be read.
NNM_HD inline int bin_of(bool negative, int exponent) {
  const int away = std::clamp(exponent - kHistogramLow + 1, 0, kHistogramSide - 1);
  return kHistogramSide - 1 + (negative ? -away : away);
}

}  // namespace
}  // namespace nnm
