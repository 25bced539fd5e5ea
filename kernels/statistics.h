// What the numbers of a tensor look like: moments, norms, extremes, a histogram, in one pass.
#pragma once

#include <span>

#include "kernels/kernel.h"

namespace nnm {

/// Of all elements; sums, norms and extremes are over the finite ones, in double.
struct TensorStatistics {
  int64_t numel = 0, finite = 0, nan = 0, inf = 0, zero = 0;
  double mean = 0;
  double second = 0;  ///< sum of squared distances from the mean
  double sum = 0, l1 = 0, squares = 0;
  double min = 0, max = 0;  ///< +inf and -inf where nothing is finite

  /// Standard deviation with n - 1, NaN below two elements (torch.std).
  double std() const;
  /// Adds what is known of other elements (Chan, Golub, LeVeque).
  void merge(const TensorStatistics& o);
};

/// Histograms have bins between powers of two around zero, the same for all tensors, so that they
/// add up: edges -2^16 … -2^-24, 2^-24 … 2^16. A bin holds its lower edge; the outer ones also take
/// what lies beyond, the middle one zero. Non-finite elements are in none.
inline constexpr int kHistogramLow = -24, kHistogramHigh = 16;
inline constexpr int kHistogramSide = kHistogramHigh - kHistogramLow + 1;
inline constexpr int kHistogramBins = 2 * kHistogramSide - 1;
/// Edge i of kHistogramBins + 1, ascending.
double histogram_edge(int i);

/// What a device sums up of a tensor, to be looked at when it has come to the CPU.
struct StatisticsRecord {
  double shift;                   ///< a number amid the others
  double d1, d2, l1;              ///< of the distances from it, their squares, magnitudes
  double low, high;               ///< of the finite elements
  int64_t finite, nan, zero;      ///< how many
  uint32_t bins[kHistogramBins];  ///< only where a histogram was asked for
};
/// Of a tensor of n elements.
TensorStatistics statistics_of(const StatisticsRecord& record, int64_t n);

/// A tensor, and what is to be known of it: all, or all but `l1` and `zero`, which are 0 then.
struct StatisticsTask {
  View x;
  bool all = true, histogram = false;
};

}  // namespace nnm

namespace nnm::kernels {

/// Statistics of x (any type and strides) into *out; adds to the kHistogramBins counts unless
/// `histogram` is null. The result does not depend on the number of threads.
inline constinit Kernel<void(const View& x, TensorStatistics* out, uint32_t* histogram)> statistics{
    "statistics"};
/// The same but for `l1` and `zero`, which stay 0, in less time.
inline constinit Kernel<void(const View& x, TensorStatistics* out, uint32_t* histogram)> moments{
    "moments"};
/// A StatisticsRecord for each tensor into `out`, bytes on their device, without a wait: of many
/// tensors by one launch.
inline constinit Kernel<void(const View& out, std::span<const StatisticsTask> tasks)>
    statistics_records{"statistics_records"};

}  // namespace nnm::kernels
