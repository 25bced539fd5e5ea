// What the normalisations share.
#pragma once

#include "kernels/cuda/block.h"
#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

/// An element of an optional vector; `f16`: of Shorts which they are.
template <class T>
__device__ inline Compute<T> element_or(const T* v, int64_t i, Compute<T> otherwise, bool f16) {
  return v ? widened<Compute<T>>(v[i], f16) : otherwise;
}

/// The sum over the threads along x, for all of them: a warp, or the block, which is kThreads then.
template <class C>
__device__ inline C row_sum(C v) {
  return blockDim.x == 32 ? over_warp(v, Plus()) : over_block<kThreads / 32>(v, Plus());
}

/// What gradients of rows are made of: g and x, the weight, and the rows' statistics.
template <class T>
struct Saved {
  const T *g, *x, *w;
  const Compute<T>*mean, *rstd;  ///< no mean: no centring
};

}  // namespace
}  // namespace nnm::cuda
