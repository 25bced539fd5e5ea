// Sums in parts: the second step of reductions whose first gives one total per block.
#pragma once

#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

constexpr int kPartWarps = 8;

/// For 32 elements a block; warps share the parts, each a range of them in order.
template <class T, class C>
__global__ void add_parts(T* out, const C* sums, int parts, int64_t n, bool f16) {
  __shared__ C warps[kPartWarps][32];
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x;
  const int warp = static_cast<int>(threadIdx.y), first = parts * warp / kPartWarps,
            last = parts * (warp + 1) / kPartWarps;
  C total = 0;
  if (i < n) {
#pragma unroll 4
    for (int p = first; p < last; ++p) total += sums[p * n + i];
  }
  warps[warp][threadIdx.x] = total;
  __syncthreads();
  if (warp != 0 || i >= n) return;
  for (int w = 1; w < kPartWarps; ++w) total += warps[w][threadIdx.x];
  out[i] = narrowed<T>(static_cast<Compute<T>>(total), f16);
}

/// out (n) = the sum of sums (parts, n), in an order that `parts` alone fixes; `f16`: of a Short
/// which it is.
template <class T, class C>
void sum_parts(T* out, const C* sums, int parts, int64_t n, bool f16) {
  NNM_LAUNCH((add_parts<T, C>), dim3(static_cast<unsigned>((n + 31) / 32)), dim3(32, kPartWarps), 0,
             out, sums, parts, n, f16);
}

}  // namespace
}  // namespace nnm::cuda
