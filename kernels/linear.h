// Products of few rows with the rows of a large matrix: a linear layer at inference.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

/// Rows of x that kernels::linear takes at most.
constexpr int64_t kLinearRows = 96;
/// Bytes of w (N, K) as kernels::linear_weights packs it.
constexpr int64_t linear_packed(const View& w) {
  constexpr int64_t kMostColumns = 32;
  return (w.size[0] + kMostColumns - 1) / kMostColumns * kMostColumns * w.size[1] *
         static_cast<int64_t>(sizeof(float));
}

}  // namespace nnm

namespace nnm::kernels {

/// y (M, N) = x (M, K) wᵀ + bias (N), and y's own values where `add`: f32, w (N, K), the elements
/// of each row side by side, bias row-major or absent, 0 < M <= kLinearRows, K > 0. `packed` is
/// what linear_weights made of w, which is not read then; or absent. The results are the same
/// bits: sums over K run in an order that depends on K alone.
inline constinit Kernel<void(const View& y, const View& x, const View& w, const View& packed,
                             const View& bias, bool add)>
    linear{"linear"};
/// w in the order in which `linear` reads it: u8, 64-byte aligned, linear_packed bytes.
inline constinit Kernel<void(const View& packed, const View& w)> linear_weights{"linear_weights"};

}  // namespace nnm::kernels
