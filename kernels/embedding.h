// Rows of a table by index.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

/// y (n, D) = weight (V, D) at indices (n), i64 and in range; all row-major.
inline constinit Kernel<void(const View& y, const View& weight, const View& indices)> embedding{
    "embedding"};
/// dweight (V, D) (overwritten): sums of g's rows in an order that the indices alone fix, on the
/// CPU their own; row padding_idx (-1: none) stays 0.
inline constinit Kernel<void(const View& dweight, const View& g, const View& indices,
                             int64_t padding_idx)>
    embedding_backward{"embedding_backward"};

/// safe = indices where they are in [0, count) or `ignore`, 0 elsewhere, and *bad = 1 if there is
/// such a place; both i64, row-major and of one size; bad one i64. For kernels that read by index
/// before anybody has looked at the indices.
inline constinit Kernel<void(const View& safe, const View& indices, const View& bad, int64_t count,
                             int64_t ignore)>
    bounded_indices{"bounded_indices"};

}  // namespace nnm::kernels
