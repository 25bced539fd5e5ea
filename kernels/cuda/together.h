// Work on many tensors by one launch: each has some of its blocks.
#pragma once

#include "kernels/cuda/simt.h"

namespace nnm::cuda {
namespace {

/// Bytes of arguments that a kernel of any device takes.
constexpr size_t kMostArguments = 4096;

/// Which of `count` tensors this block works on, where first[k] is the first block of tensor k.
__device__ inline int listed(const unsigned* first, int count) {
  int low = 0, high = count;
  while (low + 1 < high) {
    const int middle = (low + high) / 2;
    if (first[middle] <= blockIdx.x) low = middle;
    else high = middle;
  }
  return low;
}

}  // namespace
}  // namespace nnm::cuda
