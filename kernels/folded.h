// Operands of one shape, their dimensions folded into as few as possible.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/view.h"

namespace nnm {

/// N operands over one index space; strides in elements, operand 0 is the output.
template <int N>
struct Folded {
  int ndim = 0;
  int64_t size[kMaxDims] = {};
  int64_t stride[N][kMaxDims] = {};
  char* data[N] = {};
  DType dtype[N] = {};

  explicit Folded(const View* const (&v)[N]) {
    int order[kMaxDims];
    const View& out = *v[0];
    int n = 0;
    for (int d = 0; d < out.ndim; ++d) {
      if (out.size[d] != 1) order[n++] = d;
    }
    // The output's own order of memory: channels_last tensors are walked as they lie.
    for (int i = 1; i < n; ++i) {
      for (int j = i; j > 0 && out.stride[order[j - 1]] < out.stride[order[j]]; --j)
        std::swap(order[j - 1], order[j]);
    }
    for (int k = 0; k < N; ++k) {
      data[k] = static_cast<char*>(v[k]->data);
      dtype[k] = v[k]->dtype;
    }
    for (int i = 0; i < n; ++i) {
      bool folds = ndim > 0;
      for (int k = 0; folds && k < N; ++k) {
        folds = stride[k][ndim - 1] == v[k]->stride[order[i]] * out.size[order[i]];
      }
      if (!folds) size[ndim++] = 1;
      size[ndim - 1] *= out.size[order[i]];
      for (int k = 0; k < N; ++k) stride[k][ndim - 1] = v[k]->stride[order[i]];
    }
    if (ndim == 0) size[ndim++] = 1;
  }

  int64_t outer() const {
    int64_t n = 1;
    for (int d = 0; d + 1 < ndim; ++d) n *= size[d];
    return n;
  }
  int64_t inner() const { return size[ndim - 1]; }
  int64_t step(int k) const { return stride[k][ndim - 1]; }
};

}  // namespace nnm
