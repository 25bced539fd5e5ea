// Sums and maxima over a warp and over a block, by trees of a fixed form.
#pragma once

#include "kernels/cuda/simt.h"

namespace nnm::cuda {
namespace {

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Most {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

/// The thread's number in its block.
__device__ inline int block_rank() {
  return static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y);
}

/// Every lane gets the result of all 32.
template <class T, class F>
__device__ inline T over_warp(T x, F f) {
  for (int d = 16; d > 0; d /= 2) x = f(x, __shfl_xor_sync(~0u, x, d));
  return x;
}

/// Every thread gets the result of a block of kWarps warps. All of them must come.
template <int kWarps, class T, class F>
__device__ inline T over_block(T x, F f) {
  if constexpr (kWarps == 1) {
    return over_warp(x, f);
  } else {
    __shared__ T parts[kWarps];
    x = over_warp(x, f);
    if (block_rank() % 32 == 0) parts[block_rank() / 32] = x;
    __syncthreads();
    x = parts[0];
    for (int w = 1; w < kWarps; ++w) x = f(x, parts[w]);
    __syncthreads();  // before the next call writes the parts again
    return x;
  }
}

/// The sums of a and of b over a block of kWarps warps, or over a warp, for every thread.
template <int kWarps, class C>
__device__ inline void sum_both(C& a, C& b) {
  a = over_warp(a, Plus());
  b = over_warp(b, Plus());
  if constexpr (kWarps > 1) {
    __shared__ C parts[kWarps][2];
    if (block_rank() % 32 == 0) {
      parts[block_rank() / 32][0] = a;
      parts[block_rank() / 32][1] = b;
    }
    __syncthreads();
    a = parts[0][0], b = parts[0][1];
    for (int w = 1; w < kWarps; ++w) a += parts[w][0], b += parts[w][1];
    __syncthreads();  // before the next call writes the parts again
  }
}

/// Whether this block is the last of the grid, or of so many of its blocks, to come here: what the
/// others wrote before, it may read by __ldcg. `arrived` is a counter of the kernel's own, 0
/// between launches.
__device__ inline bool last_block(unsigned* arrived, unsigned blocks = gridDim.x) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (block_rank() == 0) {
    last = atomicAdd(arrived, 1u) == blocks - 1;
    if (last) *arrived = 0;
  }
  __syncthreads();
  return last;
}

}  // namespace
}  // namespace nnm::cuda
