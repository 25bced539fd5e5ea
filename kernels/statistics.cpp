// The parts of statistics that no instruction set matters to.
#include "kernels/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/statistics_sums.h"

namespace nnm {

TensorStatistics statistics_of(const StatisticsRecord& r, int64_t n) {
  const Sums sums{r.d1, r.d2, r.l1, r.low, r.high, r.finite, r.nan, r.zero};
  return sums.statistics(n, r.shift);
}

double TensorStatistics::std() const {
  if (finite < 2) return std::numeric_limits<double>::quiet_NaN();
  return std::sqrt(second / static_cast<double>(finite - 1));
}

void TensorStatistics::merge(const TensorStatistics& o) {
  numel += o.numel;
  nan += o.nan;
  inf += o.inf;
  zero += o.zero;
  if (o.finite == 0) return;
  if (finite == 0) {
    min = o.min;
    max = o.max;
  }
  const double both = static_cast<double>(finite + o.finite), delta = o.mean - mean;
  second +=
      o.second + delta * delta * static_cast<double>(finite) * static_cast<double>(o.finite) / both;
  mean += delta * static_cast<double>(o.finite) / both;
  finite += o.finite;
  sum += o.sum;
  l1 += o.l1;
  squares += o.squares;
  min = std::min(min, o.min);
  max = std::max(max, o.max);
}

double histogram_edge(int i) {
  return i < kHistogramSide ? -std::ldexp(1.0, kHistogramHigh - i)
                            : std::ldexp(1.0, kHistogramLow + i - kHistogramSide);
}

}  // namespace nnm
