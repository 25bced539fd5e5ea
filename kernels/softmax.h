// Softmax, and the loss of classes that is fused with it.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

/// How class indices become a loss (torch.nn.functional.cross_entropy and nll_loss).
struct CrossEntropy {
  enum class Reduction : uint8_t { none, mean, sum };
  Reduction reduction = Reduction::mean;
  int64_t ignore_index = -100;
  double label_smoothing = 0;
  bool log_probs = false;  ///< x holds log-probabilities already (nll_loss)
};

}  // namespace nnm

namespace nnm::kernels {

/// y = softmax of x over `dim`, or its logarithm. Same floating type, both row-major.
inline constinit Kernel<void(const View& y, const View& x, int64_t dim, bool log)> softmax{
    "softmax"};
/// dx from g and the output y; all row-major.
inline constinit Kernel<void(const View& dx, const View& g, const View& y, int64_t dim, bool log)>
    softmax_backward{"softmax_backward"};

/// x (N, C, I) row-major, target (N, I) i64, all in [0, C) or ignore_index; weight (C) or absent;
/// y (N, I), or one element where it is reduced; lse (N, I), f64 for f64 and f32 otherwise,
/// receives the log of the sum of exponentials, which backward needs. The mean is over the targets'
/// weights. y and weight are of x's type; on a GPU they may be f32 with x of bf16 or f16.
inline constinit Kernel<void(const View& y, const View& lse, const View& x, const View& target,
                             const View& weight, const CrossEntropy& options)>
    cross_entropy{"cross_entropy"};
/// dx (N, C, I), of x's type, from g of y's size and type. With I = 1 a GPU's may have room between
/// its rows.
inline constinit Kernel<void(const View& dx, const View& g, const View& lse, const View& x,
                             const View& target, const View& weight, const CrossEntropy& options)>
    cross_entropy_backward{"cross_entropy_backward"};

}  // namespace nnm::kernels
