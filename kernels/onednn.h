// The oneDNN plug-in libnnm_onednn.so: large products and convolutions of f32. It is loaded from
// beside libnnm.so when first asked for, so that small nets never pay for it; where it is missing,
// the kernels of nnm serve.
#pragma once

#include "kernels/conv.h"
#include "kernels/view.h"

namespace nnm {

/// What the plug-in can do, on CPU memory with the contracts of kernels/gemm.h and kernels/conv.h.
/// Each returns false, and has done nothing, where it does not know the case. A result depends on
/// the operands and `threads` alone.
struct OneDnn {
  /// In what order weights lie: 0 row-major, above it one of oneDNN's own, in which they take so
  /// many bytes; below 0 where it does not know the case.
  struct Order {
    int number;
    int64_t bytes;
  };

  static constexpr int kVersion = 2;
  int version;
  bool (*gemm)(const View& c, const View& a, const View& b, double alpha, double beta, int threads);
  /// `own` is w in the order that conv2d_order names, which is not read then; or absent: w is
  /// reordered on the way. The results are the same bits.
  bool (*conv2d)(const View& y, const View& x, const View& w, const View& own, const View& bias,
                 const Conv2d& p, int threads);
  Order (*conv2d_order)(const View& y, const View& x, const View& w, const View& bias,
                        const Conv2d& p, int threads);
  void (*conv2d_reorder)(const View& own, const View& w, const Conv2d& p, int order, int threads);
  bool (*conv2d_backward_input)(const View& dx, const View& g, const View& w, const Conv2d& p,
                                int threads);
  bool (*conv2d_backward_weight)(const View& dw, const View& dbias, const View& g, const View& x,
                                 const Conv2d& p, int threads);
};

/// The plug-in, loaded at the first call; null where there is none, it is of another version, or
/// the portable kernels are asked for (NNM_ISA=baseline). Any thread.
const OneDnn* onednn();

}  // namespace nnm
