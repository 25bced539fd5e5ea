// Statistics against sums written plainly, histograms against their edges.
#include "kernels/statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/parallel.h"

using namespace nnm;

namespace {

View view_of(std::vector<float>& x, int64_t step = 1) {
  View v;
  v.data = x.data();
  v.ndim = 1;
  v.size[0] = static_cast<int64_t>(x.size()) / step;
  v.stride[0] = step;
  return v;
}

TensorStatistics of(const View& v, uint32_t* histogram = nullptr) {
  TensorStatistics s;
  kernels::statistics(v, &s, histogram);
  return s;
}

}  // namespace

TEST_CASE("statistics: moments, norms and extremes over finite elements") {
  std::mt19937 rng(7);
  std::normal_distribution<float> normal(1000.0f, 0.5f);
  std::vector<float> x(100'003);
  for (float& v : x) v = normal(rng);
  x[5] = std::numeric_limits<float>::infinity();
  x[77'777] = std::nanf("");
  x[9] = 0;
  double sum = 0, l1 = 0, sq = 0;
  for (float v : x)
    if (std::isfinite(v)) sum += v, l1 += std::abs(v), sq += double{v} * v;
  const double n = static_cast<double>(x.size() - 2), mean = sum / n;
  double second = 0;
  for (float v : x)
    if (std::isfinite(v)) second += (v - mean) * (v - mean);
  const TensorStatistics s = of(view_of(x));
  CHECK(s.numel == 100'003);
  CHECK(s.nan == 1);
  CHECK(s.inf == 1);
  CHECK(s.zero == 1);
  CHECK(s.mean == doctest::Approx(mean).epsilon(1e-12));
  CHECK(s.std() == doctest::Approx(std::sqrt(second / (n - 1))).epsilon(1e-9));
  CHECK(s.sum == doctest::Approx(sum).epsilon(1e-12));
  CHECK(s.l1 == doctest::Approx(l1).epsilon(1e-12));
  CHECK(s.squares == doctest::Approx(sq).epsilon(1e-12));
  CHECK(s.min == 0);
  CHECK(s.max > 1000);
}

TEST_CASE("statistics: the same bits on any number of threads") {
  std::vector<float> x(300'000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 3;
  const int before = num_threads();
  set_num_threads(1);
  const TensorStatistics one = of(view_of(x));
  set_num_threads(4);
  const TensorStatistics four = of(view_of(x));
  set_num_threads(before);
  CHECK(one.mean == four.mean);
  CHECK(one.second == four.second);
  CHECK(one.l1 == four.l1);
}

TEST_CASE("statistics: moments are the same without the rest, and permuted memory is no copy") {
  std::vector<float> x(30'000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 3 ? std::sin(static_cast<float>(i)) : 0;
  TensorStatistics all = of(view_of(x)), s;
  kernels::moments(view_of(x), &s, nullptr);
  CHECK(s.mean == all.mean);
  CHECK(s.second == all.second);
  CHECK(s.squares == all.squares);
  CHECK(s.max == all.max);
  CHECK(s.zero == 0);
  CHECK(all.zero == 10'000);
  x[29'000] = std::nanf("");
  kernels::moments(view_of(x), &s, nullptr);
  CHECK(s.nan == 1);
  CHECK(s.finite == 29'999);
  View channels_last = view_of(x);
  channels_last.ndim = 3;
  const int64_t size[] = {10, 30, 100}, stride[] = {3000, 1, 30};
  std::copy(size, size + 3, channels_last.size);
  std::copy(stride, stride + 3, channels_last.stride);
  CHECK(of(channels_last).mean == of(view_of(x)).mean);
  CHECK(of(channels_last).nan == 1);
}

TEST_CASE("statistics: no outlier spoils the second moment") {
  std::vector<double> x(5000, 1e-3);
  for (size_t i = 0; i < x.size(); i += 2) x[i] = -1e-3;
  x[0] = 1e6;
  x[4999] = -1e6;
  View v;
  v.data = x.data();
  v.dtype = DType::f64;
  v.ndim = 1;
  v.size[0] = 4998;
  v.stride[0] = 1;
  v.data = x.data() + 1;
  CHECK(of(v).std() == doctest::Approx(1e-3 * std::sqrt(4998.0 / 4997)).epsilon(1e-12));
  v.data = x.data();
  // What a sum in double promises in any order: how many lanes there are is the compiler's choice.
  CHECK(of(v).squares == doctest::Approx(1e12 + 4997e-6).epsilon(4998 * 0x1p-53));
}

TEST_CASE("statistics: strided views and nothing at all") {
  std::vector<float> x = {1, 100, 2, 100, 3, 100};
  const TensorStatistics s = of(view_of(x, 2));
  CHECK(s.numel == 3);
  CHECK(s.mean == 2);
  CHECK(s.std() == 1);
  std::vector<float> none;
  const TensorStatistics e = of(view_of(none));
  CHECK(e.numel == 0);
  CHECK(e.finite == 0);
  CHECK(std::isnan(e.std()));
}

TEST_CASE("statistics: histogram bins hold their lower edge, outer ones what lies beyond") {
  std::vector<float> x = {0, -0.0f, 1, 1.5f, 2, -1, -1.5f, -2, 1e30f, -1e30f, 1e-9f, std::nanf("")};
  uint32_t bins[kHistogramBins] = {};
  of(view_of(x), bins);
  for (int i = 0; i < kHistogramBins; ++i) {
    uint32_t expected = 0;
    for (float v : x) {
      const bool above = i == 0 || v >= histogram_edge(i);
      const bool below = i == kHistogramBins - 1 || v < histogram_edge(i + 1);
      expected += !std::isnan(v) && above && below;
    }
    CAPTURE(i);
    CHECK(bins[i] == expected);
  }
  for (int i = 0; i < kHistogramBins; ++i) CHECK(histogram_edge(i) < histogram_edge(i + 1));
  CHECK(histogram_edge(0) == -histogram_edge(kHistogramBins));
}
