// How two tensors differ, by pieces, one to a block; the host merges them in their order.
#include "kernels/difference.h"

#include <cmath>
#include <vector>

#include "kernels/cuda/block.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/pieces.h"
#include "kernels/ulp.h"

namespace nnm::cuda {
namespace {

constexpr int kWarps = kThreads / 32;

/// The bits of an element as the integer that orders it, and whether it is a float.
__device__ inline int64_t element_place(const void* p, DType t, int64_t i) {
  switch (t) {
    case DType::f32: return ordered(static_cast<const int32_t*>(p)[i]);
    case DType::f64: return ordered(static_cast<const int64_t*>(p)[i]);
    case DType::bf16:
    case DType::f16: return ordered(static_cast<const int16_t*>(p)[i]);
    case DType::i64: return static_cast<const int64_t*>(p)[i];
    case DType::i32: return static_cast<const int32_t*>(p)[i];
    case DType::i16: return static_cast<const int16_t*>(p)[i];
    case DType::i8: return static_cast<const int8_t*>(p)[i];
    default: return static_cast<const uint8_t*>(p)[i];
  }
}

__device__ inline bool same_bits(const void* a, const void* b, DType t, int64_t i) {
  switch (t) {
    case DType::i8:
    case DType::u8:
    case DType::b8: return static_cast<const uint8_t*>(a)[i] == static_cast<const uint8_t*>(b)[i];
    case DType::bf16:
    case DType::f16:
    case DType::i16:
      return static_cast<const uint16_t*>(a)[i] == static_cast<const uint16_t*>(b)[i];
    case DType::f32:
    case DType::i32:
      return static_cast<const uint32_t*>(a)[i] == static_cast<const uint32_t*>(b)[i];
    default: return static_cast<const uint64_t*>(a)[i] == static_cast<const uint64_t*>(b)[i];
  }
}

/// A pair of elements: their values, |a - b|, units in the last place.
struct Pair {
  double a, b, delta;
  uint64_t ulp;
  bool same;
};

struct Operands {
  const void *a, *b;
  DType a_type, b_type;
  bool floats;  // both: told by the host, for the table of types lies in its memory

  __device__ Pair at(int64_t i) const {
    Pair p;
    p.a = load<double>(a, a_type, i);
    p.b = load<double>(b, b_type, i);
    p.delta = p.a - p.b;
    if (a_type == b_type) {
      p.same = same_bits(a, b, a_type, i);
      p.ulp = distance(element_place(a, a_type, i), element_place(b, b_type, i));
      // Doubles cannot tell 64-bit integers apart beyond 2^53.
      if (a_type == DType::i64) p.delta = static_cast<double>(p.ulp);
    } else {
      const DType coarser = floats && precision(b_type) < precision(a_type) ? b_type : a_type;
      p.same = p.a == p.b || (p.a != p.a && p.b != p.b);
      p.ulp = floats   ? distance(place(coarser, p.a), place(coarser, p.b))
              : p.same ? 0
                       : TensorDifference::kNoUlp;
    }
    p.delta = p.same ? 0 : std::abs(p.delta);
    return p;
  }
};

__device__ inline bool finite(double x) {
  return std::abs(x) < std::numeric_limits<double>::infinity();
}

__device__ inline bool passes(const Pair& p, const Tolerance& t) {
  if (p.same) return true;
  if (t.exact || !finite(p.delta)) return false;
  const double a = std::abs(p.a), b = std::abs(p.b);
  return p.delta <= t.atol + t.rtol * (a < b ? b : a) || (t.ulp && p.ulp <= t.ulp);
}

struct Least {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

/// The first place in the piece whose difference is the largest, or NaN where there is one.
__device__ inline int64_t first_worst(const Operands& x, const Pieces& pieces, double most) {
  int64_t first = INT64_MAX;
  for (int64_t i = pieces.begin() + threadIdx.x; i < pieces.end(); i += kThreads) {
    const Pair p = x.at(i);
    const bool worst = !p.same && (most == most ? p.delta == most : p.delta != p.delta);
    if (worst && i - pieces.begin() < first) first = i - pieces.begin();
  }
  return over_block<kWarps>(first, Least());
}

__global__ void compare_pieces(Operands x, Pieces pieces, Tolerance t, TensorDifference* out) {
  TensorDifference d;
  double most = 0;
  for (int64_t i = pieces.begin() + threadIdx.x; i < pieces.end(); i += kThreads) {
    const Pair p = x.at(i);
    // What is equal is no difference and, where it is not finite, has no part in the norms.
    const bool leave = p.same && !finite(p.a);
    const double a = leave ? 0 : p.a, b = leave ? 0 : p.b;
    d.squares_a += a * a;
    d.squares_b += b * b;
    d.dot += a * b;
    d.squares += p.delta * p.delta;
    d.changed += !p.same;
    d.beyond += !passes(p, t);
    if (p.delta != p.delta) {
      ++d.nan;
      continue;
    }
    most = most < p.delta ? p.delta : most;
    d.max_ulp = d.max_ulp < p.ulp ? p.ulp : d.max_ulp;
  }
  d.squares_a = over_block<kWarps>(d.squares_a, Plus());
  d.squares_b = over_block<kWarps>(d.squares_b, Plus());
  d.dot = over_block<kWarps>(d.dot, Plus());
  d.squares = over_block<kWarps>(d.squares, Plus());
  d.changed = over_block<kWarps>(d.changed, Plus());
  d.beyond = over_block<kWarps>(d.beyond, Plus());
  d.nan = over_block<kWarps>(d.nan, Plus());
  d.max_ulp = over_block<kWarps>(d.max_ulp, Most());
  most = over_block<kWarps>(most, Most());
  d.max_abs = d.nan ? std::numeric_limits<double>::quiet_NaN() : most;
  d.worst = d.changed ? first_worst(x, pieces, d.max_abs) : -1;
  d.numel = pieces.end() - pieces.begin();
  if (threadIdx.x == 0) out[blockIdx.x] = d;
}

void difference(const View& a, const View& b, const Tolerance& t, TensorDifference* out) {
  *out = {};
  if (a.size[0] == 0) return;
  const Pieces pieces(a.size[0]);
  const bool floats = is_floating(a.dtype) && is_floating(b.dtype);
  const Scratch<TensorDifference> parts(pieces.count);
  NNM_LAUNCH(compare_pieces, pieces.blocks(), kThreads, 0,
             Operands{a.data, b.data, a.dtype, b.dtype, floats}, pieces, t, parts.get());
  std::vector<TensorDifference> back(static_cast<size_t>(pieces.count));
  read_back(back.data(), parts.get(), back.size() * sizeof(TensorDifference));
  for (const TensorDifference& d : back) out->merge(d);
}

NNM_CUDA_KERNEL(difference, difference);

}  // namespace
}  // namespace nnm::cuda
