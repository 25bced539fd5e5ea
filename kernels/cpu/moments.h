// Statistics of the rows that normalisations are over.
#pragma once

#include <algorithm>
#include <cstdint>

namespace nnm {
namespace {

constexpr int64_t kNormGrain = 8192;  ///< elements

inline int64_t row_grain(int64_t width) {
  return std::max<int64_t>(1, kNormGrain / std::max<int64_t>(1, width));
}

// Mean and sum of squared deviations of one row, in two passes over what the cache holds.
template <class C>
void moments(const C* x, int64_t n, C& mean, C& var) {
  C s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; ++i) s += x[i];
  mean = s / C(n);
  C q = 0;
  const C mu = mean;
#pragma omp simd reduction(+ : q)
  for (int64_t i = 0; i < n; ++i) q += (x[i] - mu) * (x[i] - mu);
  var = q / C(n);
}

}  // namespace
}  // namespace nnm
