// Sums in parts: the second step of reductions whose first gives one total per block.
#pragma once

#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

template <class T, class C>
__global__ void add_parts(T* out, const C* sums, int parts, int64_t n) {
  const int64_t i = global_thread();
  if (i >= n) return;
  C total = 0;
  for (int p = 0; p < parts; ++p) total += sums[p * n + i];
  out[i] = T(static_cast<Compute<T>>(total));
}

/// out (n) = the sum of sums (parts, n) in the order of the parts.
template <class T, class C>
void sum_parts(T* out, const C* sums, int parts, int64_t n) {
  NNM_LAUNCH((add_parts<T, C>), blocks_for(n), dim3(kThreads), 0, out, sums, parts, n);
}

}  // namespace
}  // namespace nnm::cuda
