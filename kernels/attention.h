// Scaled dot-product attention without the matrix of weights in memory.
// Source: Dao et al., "FlashAttention" (2022); the softmax of a block of queries is one pass here.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

struct Attention {
  double scale = 1;
  bool causal = false;   ///< query i sees keys j <= i
  double dropout_p = 0;  ///< of the weights, element-indexed by (b, h, i, j)
  uint64_t seed = 0, offset = 0;
};

}  // namespace nnm

namespace nnm::kernels {

/// out (B, H, L, Ev) = softmax(q k^T scale + mask) v for q (B, H, L, E), k (B, H, S, E), v (B, H,
/// S, Ev), of any strides; mask (B, H, L, S), bool (true takes part) or of q's type, or absent,
/// with strides that may be 0; lse (B, H, L) row-major, f64 for f64 and f32 otherwise. A row
/// without keys gives zeros.
inline constinit Kernel<void(const View& out, const View& lse, const View& q, const View& k,
                             const View& v, const View& mask, const Attention& p)>
    attention{"attention"};
/// dq, dk, dv row-major or any strides (overwritten).
inline constinit Kernel<void(const View& dq, const View& dk, const View& dv, const View& g,
                             const View& out, const View& lse, const View& q, const View& k,
                             const View& v, const View& mask, const Attention& p)>
    attention_backward{"attention_backward"};

}  // namespace nnm::kernels
