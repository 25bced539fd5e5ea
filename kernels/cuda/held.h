// Rows that threads hold in registers: read once, by accesses of 16 bytes.
#pragma once

#include "kernels/cuda/block.h"
#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

/// What one of the threads of kWarps_ warps, which lie along x, has of a row of T: kElements
/// elements in packs, those of a warp side by side.
template <class T, int kWarps_, int kElements>
struct Share {
  using C = Compute<T>;
  static constexpr int kWarps = kWarps_, kWide = 16 / sizeof(T), kPacks = kElements / kWide;
  static constexpr int kMost = kWarps * 32 * kElements;  ///< elements of a row
  static constexpr bool kFew = kElements <= 16;
  using Values = C[kPacks][kWide];

  /// Where pack k begins in the row; beyond its end for what the thread does not have.
  __device__ static int place(int k) {
    return (k * kWarps * 32 + static_cast<int>(threadIdx.x)) * kWide;
  }
  /// `none` for what lies beyond the end of the row; `f16`: of a row of Short which it is.
  __device__ static void load(Values& v, const T* row, int n, C none, bool f16) {
    Pack<T> p[kPacks];
    // The first pack in place of those beyond the end: so no load waits for a branch.
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      p[k] = *reinterpret_cast<const Pack<T>*>(row + (place(k) < n ? place(k) : 0));
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      for (int j = 0; j < kWide; ++j) v[k][j] = place(k) < n ? widened<C>(p[k].v[j], f16) : none;
  }
  /// The pack at `at` of an optional vector.
  __device__ static void load_or(C (&v)[kWide], const T* vector, int at, C otherwise, bool f16) {
    if (!vector) {
      for (C& x : v) x = otherwise;
      return;
    }
    const Pack<T> p = *reinterpret_cast<const Pack<T>*>(vector + at);
    for (int j = 0; j < kWide; ++j) v[j] = widened<C>(p.v[j], f16);
  }
  __device__ static void store(T* row, int at, const C (&v)[kWide], bool f16) {
    Pack<T> p;
    for (int j = 0; j < kWide; ++j) p.v[j] = narrowed<T>(v[j], f16);
    *reinterpret_cast<Pack<T>*>(row + at) = p;
  }
};

constexpr int64_t kLeastHeld = 64;  ///< elements of a row that fill a warp

/// Calls body.template operator()<Share>() with the smallest one that holds rows of n elements of
/// T; false, with nothing done, where none does.
template <class T, class Body>
bool by_share(int64_t n, const Body& body) {
  if constexpr (sizeof(T) > 4) {
    return false;
  } else {
    if (n < kLeastHeld || n % (16 / static_cast<int64_t>(sizeof(T))) != 0) return false;
    if (n <= Share<T, 1, 8>::kMost) body.template operator()<Share<T, 1, 8>>();
    else if (n <= Share<T, 1, 32>::kMost) body.template operator()<Share<T, 1, 32>>();
    else if (n <= Share<T, 8, 16>::kMost) body.template operator()<Share<T, 8, 16>>();
    else if (n <= Share<T, 8, 32>::kMost) body.template operator()<Share<T, 8, 32>>();
    else return false;
    return true;
  }
}

}  // namespace
}  // namespace nnm::cuda
