// Statistics by blocks that stay in the first-level cache, merged in their order.
#include "kernels/statistics.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/strided.h"

namespace nnm {
namespace {

constexpr int64_t kPiece = 4096;
constexpr double kInf = std::numeric_limits<double>::infinity();

template <class T>
double as_double(T x) {
  if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>)
    return static_cast<float>(x);
  else return static_cast<double>(x);
}

// A shift by one of the elements keeps the second moment where the mean is large.
template <class T>
double first_finite(const T* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double x = as_double(p[i]);
    if (std::abs(x) < kInf) return x;
  }
  return 0;
}

template <class T>
TensorStatistics piece(const T* p, int64_t n) {
  const double shift = first_finite(p, n);
  double d1 = 0, d2 = 0, l1 = 0, squares = 0, low = kInf, high = -kInf;
  int64_t finite = 0, nan = 0, zero = 0;
#pragma omp simd reduction(+ : d1, d2, l1, squares, finite, nan, zero) reduction(min : low) \
    reduction(max : high)
  for (int64_t i = 0; i < n; ++i) {
    const double x = as_double(p[i]);
    const bool ok = std::abs(x) < kInf;
    const double v = ok ? x : shift, d = v - shift, counted = ok ? x : 0.0;
    d1 += d;
    d2 += d * d;
    l1 += std::abs(counted);
    squares += counted * counted;
    low = std::min(low, ok ? x : kInf);
    high = std::max(high, ok ? x : -kInf);
    finite += ok;
    nan += x != x;
    zero += x == 0;
  }
  TensorStatistics s;
  s.numel = n;
  s.finite = finite;
  s.nan = nan;
  s.inf = n - finite - nan;
  s.zero = zero;
  s.min = low;
  s.max = high;
  if (finite == 0) return s;
  const double count = static_cast<double>(finite);
  s.mean = shift + d1 / count;
  s.second = std::max(0.0, d2 - d1 * d1 / count);
  s.sum = shift * count + d1;
  s.l1 = l1;
  s.squares = squares;
  return s;
}

int bin_of(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  int e = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  // A bin holds its lower edge: a negative power of two belongs to the bin nearer to zero.
  const bool negative = bits >> 63;
  if (negative && (bits & ((uint64_t{1} << 52) - 1)) == 0) --e;
  const int away = std::clamp(e - kHistogramLow + 1, 0, kHistogramSide - 1);
  return kHistogramSide - 1 + (negative ? -away : away);
}

template <class T>
void count_bins(const T* p, int64_t n, uint32_t* histogram) {
  for (int64_t i = 0; i < n; ++i) {
    const double x = as_double(p[i]);
    if (std::abs(x) < kInf) ++histogram[bin_of(x)];
  }
}

template <class T>
void dense(const T* p, int64_t n, TensorStatistics* out, uint32_t* histogram) {
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  std::vector<TensorStatistics> parts(static_cast<size_t>(pieces));
  parallel_for(pieces, 8, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      parts[static_cast<size_t>(k)] = piece(p + k * kPiece, std::min(kPiece, n - k * kPiece));
  });
  for (const TensorStatistics& s : parts) out->merge(s);
  if (histogram) count_bins(p, n, histogram);
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

template <class T>
void typed(const View& x, TensorStatistics* out, uint32_t* histogram) {
  if (x.contiguous()) return dense(x.as<T>(), x.numel(), out, histogram);
  const std::vector<T> copy = copied<T>(x);
  dense(copy.data(), static_cast<int64_t>(copy.size()), out, histogram);
}

void statistics_cpu(const View& x, TensorStatistics* out, uint32_t* histogram) {
  *out = {};
  out->min = kInf;
  out->max = -kInf;
  switch (x.dtype) {
    case DType::f32: return typed<float>(x, out, histogram);
    case DType::f64: return typed<double>(x, out, histogram);
    case DType::bf16: return typed<BFloat16>(x, out, histogram);
    case DType::f16: return typed<Half>(x, out, histogram);
    case DType::i64: return typed<int64_t>(x, out, histogram);
    case DType::i32: return typed<int32_t>(x, out, histogram);
    case DType::u8:
    case DType::b8: return typed<uint8_t>(x, out, histogram);
  }
}

NNM_KERNEL(statistics, statistics_cpu);

}  // namespace
}  // namespace nnm
