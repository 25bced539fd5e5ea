// x wᵀ for few rows of x, where reading and reordering w is a large part of the work: every element
// of w is read once, and from memory in the order in which it is used where it was packed before.
#include "kernels/linear.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vector.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

typedef float Vec __attribute__((vector_size(kVectorBytes), aligned(4)));
constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(float));
constexpr int64_t kColumns = 2 * kLanes;
// As many rows as leave room in the registers.
constexpr int64_t kRows = kVectorBytes == 64 ? 12 : 6;
// Terms summed before they are added to the rest: with the rows of a tile they stay in the first
// cache while all tiles pass.
constexpr int64_t kDepth = 128;
constexpr int64_t kLine = 16;  // floats of a cache line

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Floats = std::unique_ptr<float[], Free>;

Floats floats(int64_t count) {
  const size_t bytes = (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64;
  Floats p(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (!p) std::abort();
  return p;
}

struct Problem {
  int64_t m = 0, n, k;
  const float *w, *packed, *bias = nullptr;
  int64_t w_row;
  float* y = nullptr;
  int64_t y_row = 0;
  bool add = false;

  int64_t slabs() const { return (n + kColumns - 1) / kColumns; }
  /// Columns of a slab that there are.
  int64_t width(int64_t slab) const { return std::min(kColumns, n - slab * kColumns); }
};

// Terms [k0, k0 + depth) of a slab of kColumns rows of w as rows; missing columns are zeros.
void pack(const Problem& p, int64_t slab, int64_t k0, int64_t depth, float* out) {
  const float* w = p.w + slab * kColumns * p.w_row + k0;
  const int64_t width = p.width(slab), whole = width / 8 * 8;
  for (int64_t j = 0; j < whole; j += 8)
    transpose_eight(out + j, kColumns, w + j * p.w_row, p.w_row, depth);
  for (int64_t k = 0; whole < kColumns && k < depth; ++k)
    for (int64_t j = whole; j < kColumns; ++j)
      out[k * kColumns + j] = j < width ? w[j * p.w_row + k] : 0;
}

// sum (kR, kColumns) = or += x (kR, depth) b (depth, kColumns).
template <int kR>
void multiply(int64_t depth, const float* x, int64_t x_row, const float* b, float* sum,
              bool first) {
  Vec acc[kR][2] = {};
  for (int64_t k = depth; k > 0; --k, ++x, b += kColumns) {
    Vec row[2];
    for (int v = 0; v < 2; ++v) row[v] = *reinterpret_cast<const Vec*>(b + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kR; ++r)
      for (int v = 0; v < 2; ++v) acc[r][v] += x[r * x_row] * row[v];
  }
#pragma GCC unroll 12
  for (int r = 0; r < kR; ++r)
    for (int v = 0; v < 2; ++v) {
      Vec& s = *reinterpret_cast<Vec*>(sum + r * kColumns + v * kLanes);
      s = first ? acc[r][v] : s + acc[r][v];
    }
}

using Multiply = void (*)(int64_t, const float*, int64_t, const float*, float*, bool);
constexpr Multiply kMultiply[] = {
    nullptr,     multiply<1>, multiply<2>, multiply<3>,  multiply<4>,  multiply<5>,  multiply<6>,
#ifdef __AVX512F__
    multiply<7>, multiply<8>, multiply<9>, multiply<10>, multiply<11>, multiply<12>,
#endif
};

// Columns of one slab of y.
void compute(const Problem& p, const float* x, int64_t x_row, int64_t slab) {
  alignas(64) float sums[kLinearRows * kColumns], space[kDepth * kColumns];
  const int64_t tiles = (p.m + kRows - 1) / kRows;
  for (int64_t k0 = 0; k0 < p.k; k0 += kDepth) {
    const int64_t depth = std::min(kDepth, p.k - k0);
    const float* b = p.packed + (slab * p.k + k0) * kColumns;
    if (!p.packed) pack(p, slab, k0, depth, space), b = space;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = p.m * t / tiles, rows = p.m * (t + 1) / tiles - row;
      kMultiply[rows](depth, x + row * x_row + k0, x_row, b, sums + row * kColumns, k0 == 0);
    }
  }
  const float* bias = p.bias ? p.bias + slab * kColumns : nullptr;
  const int64_t width = p.width(slab);
  for (int64_t i = 0; i < p.m; ++i) {
    float *y = p.y + i * p.y_row + slab * kColumns, *sum = sums + i * kColumns;
    for (int64_t j = 0; bias && j < width; ++j) sum[j] += bias[j];
    for (int64_t j = 0; p.add && j < width; ++j) sum[j] += y[j];
    std::memcpy(y, sum, static_cast<size_t>(width) * sizeof(float));
  }
}

Problem problem(const View& w, const View& packed) {
  return {.n = w.size[0],
          .k = w.size[1],
          .w = w.as<const float>(),
          .packed = packed.as<const float>(),
          .w_row = w.stride[0]};
}

void linear_cpu(const View& y, const View& x, const View& w, const View& packed, const View& bias,
                bool add) {
  Problem p = problem(w, packed);
  p.m = x.size[0], p.y = y.as<float>(), p.y_row = y.stride[0], p.add = add;
  p.bias = bias.as<const float>();
  const float* from = x.as<const float>();
  int64_t x_row = x.stride[0];
  // Rows so far apart share few sets of the cache: a copy has them a line off that.
  constexpr int64_t kFew = 512;
  Floats rows;
  if (x_row % kFew == 0) {
    x_row = p.k + kLine;
    rows = floats(p.m * x_row);
    for (int64_t i = 0; i < p.m; ++i)
      std::memcpy(rows.get() + i * x_row, from + i * x.stride[0],
                  static_cast<size_t>(p.k) * sizeof(float));
    from = rows.get();
  }
  // About 15 us of work.
  constexpr int64_t kGrain = 500'000;
  parallel_for(p.slabs(), 1 + kGrain / (p.m * p.k * kColumns), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) compute(p, from, x_row, s);
  });
}

void linear_weights_cpu(const View& packed, const View& w) {
  const Problem p = problem(w, {});
  float* out = packed.as<float>();
  parallel_for(p.slabs(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) pack(p, s, 0, p.k, out + s * p.k * kColumns);
  });
}

NNM_KERNEL(linear, linear_cpu);
NNM_KERNEL(linear_weights, linear_weights_cpu);

}  // namespace
}  // namespace nnm
