// Matrix products as the operations call them: the fastest kernel for the shape, and the count.
#pragma once

#include "nnm/tensor/tensor.h"

namespace nnm {
struct OneDnn;
}

namespace nnm::detail {

/// The oneDNN plug-in where `out` is f32 on the CPU and takes at least so many operations. Null
/// otherwise: small nets never load it.
const OneDnn* onednn_for(const View& out, int64_t flops, int64_t least);
/// Threads that a kernel called here and now may use.
int kernel_threads();

/// c (M, N) = alpha a (M, K) b (K, N) + beta c + bias (N): kernels::gemm's contract, and K may be 0
/// where beta is. Counts 2 M N K operations.
void gemm(const View& c, const View& a, const View& b, const View& bias = {}, double alpha = 1,
          double beta = 0);
/// c (B, M, N) = a (B, M, K) b (B, K, N).
void gemm_batched(const View& c, const View& a, const View& b);

/// x wᵀ + bias (which may be undefined) over the last dimension, of few rows by a large w (N, K)
/// that stays as it is: at inference, in f32 on the CPU. The results are the same bits whether w is
/// met for the first time or not. Undefined, and nothing done, where the case is not for that.
Tensor linear_by_kept(const Tensor& x, const Tensor& w, const Tensor& bias);

/// The transpose of a matrix.
View transposed_view(View v);

/// a b as a new tensor; its columns lie in rows of memory where `by_columns`.
Tensor product(const Tensor& a, const Tensor& b, double alpha = 1, bool by_columns = false);
/// The transpose of a matrix, or of the last two dimensions; a view without history.
Tensor transposed(const Tensor& x);

/// Throws Error(not_implemented) "\"<kernel>\" not implemented for 'Long'" for other than floating
/// types.
void check_floating(const Tensor& x, const char* kernel);

}  // namespace nnm::detail
