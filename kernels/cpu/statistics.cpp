// Statistics by blocks that stay in the first-level cache, merged in their order.
#include "kernels/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "kernels/cpu/strided.h"
#include "kernels/cpu/vector.h"
#include "kernels/statistics_sums.h"

namespace nnm {
namespace {

constexpr int64_t kPiece = 4096;

template <class T>
constexpr bool kSixteenBits = std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>;
/// What holds every T exactly, but for large i64: f32 where that is enough.
template <class T>
using Wide = std::conditional_t<kSixteenBits<T> || std::is_same_v<T, float>, float, double>;

template <class T>
Wide<T> wide(T x) {
  return static_cast<Wide<T>>(x);
}

// A number amid the others: sums of distances from it keep the second moment where the mean is
// large. The middle one of a few that lie scattered, so that no outlier is taken; 0, from which no
// distance has to be taken, where those lie around it.
template <class T>
double centre(const T* p, int64_t n) {
  constexpr int kFew = 15;
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
  double few[kFew];
  int count = 0;
  const uint64_t looks = n <= kPiece ? 5 : kFew;
  for (uint64_t i = 1; i <= looks; ++i) {
    // The golden ratio's multiples, modulo 1, times n.
    const auto at = static_cast<uint64_t>(static_cast<unsigned __int128>(i * kGolden) * n >> 64);
    const double x = wide(p[at]);
    if (std::abs(x) < kInf) few[count++] = x;
  }
  if (count == 0) return 0;
  constexpr double kNear = 4;
  std::sort(few, few + count);
  const double spread = few[count * 3 / 4] - few[count / 4], middle = few[count / 2];
  return std::abs(middle) <= kNear * spread ? 0 : middle;
}

// Sums of every kLanes-th element, side by side.
template <bool kAll, class T>
struct Lanes {
  static constexpr int64_t kLanes = kVectorBytes / sizeof(float);
  static constexpr Wide<T> kFar = std::numeric_limits<Wide<T>>::infinity();

  double d1[kLanes] = {}, d2[kLanes] = {}, l1[kLanes] = {};
  Wide<T> low[kLanes], high[kLanes];
  int32_t zero[kLanes] = {};

  Lanes() {
    std::fill(low, low + kLanes, kFar);
    std::fill(high, high + kLanes, -kFar);
  }
  template <bool kShifted>
  void add(int64_t k, Wide<T> x, double shift) {
    const double v = x, d = kShifted ? v - shift : v;
    d1[k] += d;
    d2[k] += d * d;
    low[k] = x < low[k] ? x : low[k];
    high[k] = x > high[k] ? x : high[k];
    if constexpr (kAll) {
      l1[k] += std::abs(v);
      zero[k] += x == 0;
    }
  }
  /// Adds the second of two halves to the first.
  void fold(int64_t half) {
#pragma omp simd
    for (int64_t k = 0; k < half; ++k) {
      d1[k] += d1[k + half];
      d2[k] += d2[k + half];
      l1[k] += l1[k + half];
      low[k] = std::min(low[k], low[k + half]);
      high[k] = std::max(high[k], high[k + half]);
      zero[k] += zero[k + half];
    }
  }
};

// All finite, or else d2 is not. Without `kAll`, no magnitudes and no zeros. What a layer has just
// written lies in an outer cache; the processor's own prefetching ends with each page.
template <bool kAll, bool kShifted, class T>
Sums sums_of_finite(const T* p, int64_t n, double shift) {
  using L = Lanes<kAll, T>;
  constexpr int64_t kAhead = 4096 / sizeof(T);
  L lanes;
  int64_t i = 0;
  for (; i + L::kLanes <= n; i += L::kLanes) {
    __builtin_prefetch(p + i + kAhead);
#pragma omp simd
    for (int64_t k = 0; k < L::kLanes; ++k) lanes.template add<kShifted>(k, wide(p[i + k]), shift);
  }
  for (int64_t k = 0; i + k < n; ++k) lanes.template add<kShifted>(k, wide(p[i + k]), shift);
  for (int64_t half = L::kLanes / 2; half > 0; half /= 2) lanes.fold(half);
  return {lanes.d1[0], lanes.d2[0], lanes.l1[0], lanes.low[0], lanes.high[0], n, 0, lanes.zero[0]};
}

template <bool kAll, class T>
Sums sums_of_any(const T* p, int64_t n, double shift) {
  Sums s;
  for (int64_t i = 0; i < n; ++i) {
    const double x = wide(p[i]);
    s.nan += x != x;
    if (!(std::abs(x) < kInf)) continue;
    const double d = x - shift;
    s.d1 += d;
    s.d2 += d * d;
    if constexpr (kAll) {
      s.l1 += std::abs(x);
      s.zero += x == 0;
    }
    s.low = std::min(s.low, x);
    s.high = std::max(s.high, x);
    ++s.finite;
  }
  return s;
}

template <bool kAll, class T>
TensorStatistics piece(const T* p, int64_t n, double shift) {
  Sums sums = shift == 0 ? sums_of_finite<kAll, false>(p, n, shift)
                         : sums_of_finite<kAll, true>(p, n, shift);
  if (!(sums.d2 < kInf)) sums = sums_of_any<kAll>(p, n, shift);
  return sums.statistics(n, shift);
}

/// Counts by sign and exponent, in turns, so that equal ones need not wait for one another.
class Counts {
 public:
  template <class T>
  void add(const T* p, int64_t n) {
    if constexpr (std::is_same_v<Wide<T>, float>) add_narrow(p, n);
    else add_wide(p, n);
  }
  void add_to(uint32_t* histogram) {
    for (int k = 0; k < 512; ++k) {
      const uint32_t count = turns_[0][k] + turns_[1][k] + turns_[2][k] + turns_[3][k];
      if (count) bins_[bin_of(k >= 256, k % 256 - 127)] += count;
    }
    for (int i = 0; i < kHistogramBins; ++i) histogram[i] += bins_[i];
  }

 private:
  template <class T>
  void add_narrow(const T* p, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const auto bits = std::bit_cast<uint32_t>(wide(p[i]));
      const uint32_t size = bits & 0x7fffffff;
      const uint32_t negative = size != 0 ? bits >> 31 : 0;
      const bool finite = size < 0x7f800000;
      turns_[i % 4][finite ? negative << 8 | (size - negative) >> 23 : 0] += finite;
    }
  }
  template <class T>
  void add_wide(const T* p, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const auto bits = std::bit_cast<uint64_t>(wide(p[i]));
      const uint64_t size = bits << 1 >> 1;
      if (size >= uint64_t{0x7ff} << 52) continue;
      const uint64_t negative = size != 0 ? bits >> 63 : 0;
      ++bins_[bin_of(negative, static_cast<int>((size - negative) >> 52) - 1023)];
    }
  }

  uint32_t turns_[4][512] = {};
  uint32_t bins_[kHistogramBins] = {};
};

template <bool kAll, class T>
void dense(const T* p, int64_t n, TensorStatistics* out, uint32_t* histogram) {
  if (n == 0) return;
  const double shift = centre(p, n);
  if (n <= kPiece) {
    out->merge(piece<kAll>(p, n, shift));
    if (!histogram) return;
    Counts counts;
    counts.add(p, n);
    return counts.add_to(histogram);
  }
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  std::vector<TensorStatistics> parts(static_cast<size_t>(pieces));
  std::mutex adding;
  parallel_for(pieces, 8, [&](int64_t begin, int64_t end) {
    Counts counts;
    for (int64_t k = begin; k < end; ++k) {
      const T* const at = p + k * kPiece;
      const int64_t count = std::min(kPiece, n - k * kPiece);
      parts[static_cast<size_t>(k)] = piece<kAll>(at, count, shift);
      if (histogram) counts.add(at, count);
    }
    if (!histogram) return;
    const std::lock_guard lock(adding);
    counts.add_to(histogram);
  });
  for (const TensorStatistics& s : parts) out->merge(s);
}

/// Whether the elements fill a piece of memory once, in whatever order.
bool packed(const View& x) {
  int order[kMaxDims], dims = 0;
  for (int i = 0; i < x.ndim; ++i)
    if (x.size[i] != 1) order[dims++] = i;
  for (int i = 1; i < dims; ++i)
    for (int k = i; k > 0 && x.stride[order[k]] < x.stride[order[k - 1]]; --k)
      std::swap(order[k], order[k - 1]);
  int64_t expected = 1;
  for (int i = 0; i < dims; ++i) {
    if (x.stride[order[i]] != expected) return false;
    expected *= x.size[order[i]];
  }
  return true;
}

/// The elements of a strided view of T, row by row of its innermost dimension, in a dense copy.
template <class T>
std::vector<T> copied(const View& x) {
  std::vector<T> out;
  out.reserve(static_cast<size_t>(x.numel()));
  const View* const operands[1] = {&x};
  const Walk<1> walk(operands);
  SerialGuard in_order;
  walk.each_run([&](char* const* at, int64_t n) {
    const T* p = reinterpret_cast<const T*>(at[0]);
    for (int64_t i = 0; i < n; ++i) out.push_back(p[i * walk.step(0)]);
  });
  return out;
}

template <bool kAll, class T>
void typed(const View& x, TensorStatistics* out, uint32_t* histogram) {
  if (packed(x)) return dense<kAll>(x.as<T>(), x.numel(), out, histogram);
  const std::vector<T> copy = copied<T>(x);
  dense<kAll>(copy.data(), static_cast<int64_t>(copy.size()), out, histogram);
}

template <bool kAll>
void by_dtype(const View& x, TensorStatistics* out, uint32_t* histogram) {
  *out = {};
  out->min = kInf;
  out->max = -kInf;
  switch (x.dtype) {
    case DType::f32: return typed<kAll, float>(x, out, histogram);
    case DType::f64: return typed<kAll, double>(x, out, histogram);
    case DType::bf16: return typed<kAll, BFloat16>(x, out, histogram);
    case DType::f16: return typed<kAll, Half>(x, out, histogram);
    case DType::i64: return typed<kAll, int64_t>(x, out, histogram);
    case DType::i32: return typed<kAll, int32_t>(x, out, histogram);
    case DType::i16: return typed<kAll, int16_t>(x, out, histogram);
    case DType::i8: return typed<kAll, int8_t>(x, out, histogram);
    case DType::u8:
    case DType::b8: return typed<kAll, uint8_t>(x, out, histogram);
  }
}

void statistics_cpu(const View& x, TensorStatistics* out, uint32_t* histogram) {
  by_dtype<true>(x, out, histogram);
}
void moments_cpu(const View& x, TensorStatistics* out, uint32_t* histogram) {
  by_dtype<false>(x, out, histogram);
}

/// With distances from the mean.
void records_cpu(const View& out, std::span<const StatisticsTask> tasks) {
  auto* r = out.as<StatisticsRecord>();
  for (const StatisticsTask& t : tasks) {
    TensorStatistics s;
    std::fill(r->bins, r->bins + kHistogramBins, 0);
    (t.all ? statistics_cpu : moments_cpu)(t.x, &s, t.histogram ? r->bins : nullptr);
    r->shift = s.mean;
    r->d1 = 0;
    r->d2 = s.second;
    r->l1 = s.l1;
    r->low = s.min;
    r->high = s.max;
    r->finite = s.finite;
    r->nan = s.nan;
    r->zero = s.zero;
    ++r;
  }
}

NNM_KERNEL(statistics, statistics_cpu);
NNM_KERNEL(moments, moments_cpu);
NNM_KERNEL(statistics_records, records_cpu);

}  // namespace
}  // namespace nnm
