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
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    x = parts[0];
    for (int w = 1; w < kWarps; ++w) x = f(x, parts[w]);
    __syncthreads();  // before the next call writes the parts again
    return x;
  }
}

}  // namespace
}  // namespace nnm::cuda
