// Matrix products.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

/// c (M, N) = alpha a (M, K) b (K, N) + beta c + bias (N). All of one type but bool, any strides
/// (transposition is expressed by them); `bias` may be absent; beta 0 does not read c. bf16 and f16
/// accumulate in f32, integers (on the CPU alone, as in PyTorch) wrap around. Sums over K run in an
/// order that depends on the shape alone.
inline constinit Kernel<void(const View& c, const View& a, const View& b, const View& bias,
                             double alpha, double beta)>
    gemm{"gemm"};

/// c (B, M, N) = alpha a (B, M, K) b (B, K, N) + beta c. Batch strides may be 0.
inline constinit Kernel<void(const View& c, const View& a, const View& b, double alpha,
                             double beta)>
    gemm_batched{"gemm_batched"};

}  // namespace nnm::kernels
