// Functions of matrices, each of a batch worked on alone by the host.
#pragma once

#include <functional>

#include "nnm/ops/dense.h"
#include "nnm/ops/detail.h"

namespace nnm::detail {

/// Throws Error(runtime) as `op` for what is no batch of floating-point matrices, and (square) of
/// square ones.
void check_matrices(const Tensor& a, const char* op, bool square);

/// A tensor of x's batch, and behind it of `shape`, each part of which `f` has made of a matrix of
/// x: f(number of the matrix in the batch, its elements, the result). On meta nothing is made.
Tensor each_matrix(const Tensor& x, const Shape& shape,
                   const std::function<void(int64_t, const double*, double*)>& f);

/// "(Batch element 2): " of a batch, nothing of a single matrix.
std::string batch_element(const Tensor& x, int64_t i);

inline Tensor mT(const Tensor& x) { return transpose(x, -2, -1); }

}  // namespace nnm::detail
