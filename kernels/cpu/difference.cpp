// Differences by blocks that stay in the first-level cache, merged in their order.
#include "kernels/difference.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/half.h"
#include "kernels/parallel.h"
#include "kernels/ulp.h"

namespace nnm {
namespace {

constexpr int64_t kBlock = 1024;
/// Blocks that one thread takes at least.
constexpr int64_t kGrain = 16;
constexpr double kInf = std::numeric_limits<double>::infinity();

/// A block of pairs on its way through.
struct Pairs {
  int64_t n = 0;
  double a[kBlock], b[kBlock], delta[kBlock];
  uint64_t ulp[kBlock];
  uint8_t same[kBlock];
};

template <class T>
void load_as(const void* from, int64_t n, double* to) {
  const T* p = static_cast<const T*>(from);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>)
      to[i] = static_cast<double>(static_cast<float>(p[i]));
    else to[i] = static_cast<double>(p[i]);
  }
}

void load(DType dtype, const void* from, int64_t n, double* to) {
  switch (dtype) {
    case DType::f32: return load_as<float>(from, n, to);
    case DType::f64: return load_as<double>(from, n, to);
    case DType::bf16: return load_as<BFloat16>(from, n, to);
    case DType::f16: return load_as<Half>(from, n, to);
    case DType::i64: return load_as<int64_t>(from, n, to);
    case DType::i32: return load_as<int32_t>(from, n, to);
    case DType::i16: return load_as<int16_t>(from, n, to);
    case DType::i8: return load_as<int8_t>(from, n, to);
    case DType::u8:
    case DType::b8: return load_as<uint8_t>(from, n, to);
  }
}

/// Fills `same` and `ulp` from elements of one type, whose bits Int holds.
template <class Int, bool kFloat>
void compare_bits(const void* a, const void* b, Pairs& p) {
  const Int *x = static_cast<const Int*>(a), *y = static_cast<const Int*>(b);
  for (int64_t i = 0; i < p.n; ++i) {
    p.same[i] = x[i] == y[i];
    p.ulp[i] = kFloat ? distance(ordered(x[i]), ordered(y[i])) : distance(x[i], y[i]);
  }
}

/// Differences of 64-bit integers, which doubles cannot tell apart beyond 2^53.
void exact_deltas(Pairs& p) {
  for (int64_t i = 0; i < p.n; ++i) p.delta[i] = static_cast<double>(p.ulp[i]);
}

void compare_alike(DType dtype, const void* a, const void* b, Pairs& p) {
  switch (dtype) {
    case DType::f32: return compare_bits<int32_t, true>(a, b, p);
    case DType::f64: return compare_bits<int64_t, true>(a, b, p);
    case DType::bf16:
    case DType::f16: return compare_bits<int16_t, true>(a, b, p);
    case DType::i64: return compare_bits<int64_t, false>(a, b, p);
    case DType::i32: return compare_bits<int32_t, false>(a, b, p);
    case DType::i16: return compare_bits<int16_t, false>(a, b, p);
    case DType::i8: return compare_bits<int8_t, false>(a, b, p);
    case DType::u8:
    case DType::b8: return compare_bits<uint8_t, false>(a, b, p);
  }
}

/// Fills `same` and `ulp` by value, for elements of two types.
void compare_values(DType a, DType b, Pairs& p) {
  const bool floats = is_floating(a) && is_floating(b);
  const DType coarser = floats && precision(b) < precision(a) ? b : a;
  for (int64_t i = 0; i < p.n; ++i) {
    p.same[i] = p.a[i] == p.b[i] || (p.a[i] != p.a[i] && p.b[i] != p.b[i]);
    p.ulp[i] = floats      ? distance(place(coarser, p.a[i]), place(coarser, p.b[i]))
               : p.same[i] ? 0
                           : TensorDifference::kNoUlp;
  }
}

void sum_up(Pairs& p, TensorDifference& out) {
  double squares_a = 0, squares_b = 0, dot = 0, squares = 0, most = 0;
  int64_t changed = 0, nan = 0;
  uint64_t ulp = 0;
#pragma omp simd reduction(+ : squares_a, squares_b, dot, squares, changed, nan) \
    reduction(max : most, ulp)
  for (int64_t i = 0; i < p.n; ++i) {
    // What is equal is no difference and, where it is not finite, has no part in the norms.
    const bool leave = p.same[i] && !(std::abs(p.a[i]) < kInf);
    const double a = leave ? 0.0 : p.a[i], b = leave ? 0.0 : p.b[i];
    const double d = p.same[i] ? 0.0 : p.delta[i], distance = std::abs(d);
    p.delta[i] = distance;
    squares_a += a * a;
    squares_b += b * b;
    dot += a * b;
    squares += d * d;
    changed += !p.same[i];
    nan += d != d;
    most = most < distance ? distance : most;
    const uint64_t units = d != d ? 0 : p.ulp[i];
    ulp = ulp < units ? units : ulp;
  }
  out.changed = changed;
  out.nan = nan;
  out.squares_a = squares_a;
  out.squares_b = squares_b;
  out.dot = dot;
  out.squares = squares;
  out.max_abs = nan ? std::numeric_limits<double>::quiet_NaN() : most;
  out.max_ulp = ulp;
}

int64_t count_beyond(const Pairs& p, const Tolerance& t) {
  int64_t beyond = 0;
  for (int64_t i = 0; i < p.n; ++i) {
    const double d = p.delta[i], larger = std::max(std::abs(p.a[i]), std::abs(p.b[i]));
    const bool finite = d < kInf;
    const bool passes =
        p.same[i] || (finite && (d <= t.atol + t.rtol * larger || (t.ulp && p.ulp[i] <= t.ulp)));
    beyond += !passes;
  }
  return beyond;
}

int64_t first_worst(const Pairs& p, double most) {
  for (int64_t i = 0; i < p.n; ++i)
    if (!p.same[i] && (most == most ? p.delta[i] == most : p.delta[i] != p.delta[i])) return i;
  return -1;
}

double squares_of(const double* x, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const double v = std::abs(x[i]) < kInf ? x[i] : 0.0;
    sum += v * v;
  }
  return sum;
}

TensorDifference block(const View& x, const View& y, int64_t at, const Tolerance& t, Pairs& p) {
  const auto* a = x.as<char>() + at * static_cast<int64_t>(item_size(x.dtype));
  const auto* b = y.as<char>() + at * static_cast<int64_t>(item_size(y.dtype));
  p.n = std::min(kBlock, x.size[0] - at);
  TensorDifference out;
  out.numel = p.n;
  load(x.dtype, a, p.n, p.a);
  const bool alike = x.dtype == y.dtype;
  if (alike && std::memcmp(a, b, static_cast<size_t>(p.n) * item_size(x.dtype)) == 0) {
    out.squares_a = out.squares_b = out.dot = squares_of(p.a, p.n);
    return out;
  }
  load(y.dtype, b, p.n, p.b);
  for (int64_t i = 0; i < p.n; ++i) p.delta[i] = p.a[i] - p.b[i];
  if (alike) compare_alike(x.dtype, a, b, p);
  else compare_values(x.dtype, y.dtype, p);
  if (alike && x.dtype == DType::i64) exact_deltas(p);
  sum_up(p, out);
  out.beyond = t.exact ? out.changed : count_beyond(p, t);
  if (out.changed) out.worst = first_worst(p, out.max_abs);
  return out;
}

void difference_cpu(const View& a, const View& b, const Tolerance& t, TensorDifference* out) {
  *out = {};
  const int64_t blocks = (a.size[0] + kBlock - 1) / kBlock;
  std::vector<TensorDifference> parts(static_cast<size_t>(blocks));
  parallel_for(blocks, kGrain, [&](int64_t begin, int64_t end) {
    Pairs pairs;
    for (int64_t k = begin; k < end; ++k)
      parts[static_cast<size_t>(k)] = block(a, b, k * kBlock, t, pairs);
  });
  for (const TensorDifference& d : parts) out->merge(d);
}

NNM_KERNEL(difference, difference_cpu);

}  // namespace
}  // namespace nnm
