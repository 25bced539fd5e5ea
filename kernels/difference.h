// How two tensors differ: counts, norms, the largest distance and where it is, in one pass.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

/// Which pairs of elements pass as equal. Those with the same bits always do; `exact` lets no
/// others pass. Otherwise finite ones with |a - b| <= atol + rtol * max(|a|, |b|) do, which treats
/// both alike, and those at most `ulp` units in the last place apart.
struct Tolerance {
  double rtol = 0, atol = 0;
  uint64_t ulp = 0;
  bool exact = true;
};

/// Of all pairs of elements. Pairs with the same bits count as no difference even where they are
/// not finite, and as zeros in the norms then; other NaN and infinities go into the sums as they
/// are.
struct TensorDifference {
  /// max_ulp where a float was compared with an integer.
  static constexpr uint64_t kNoUlp = UINT64_MAX;

  int64_t numel = 0;
  int64_t changed = 0;  ///< pairs whose bits differ
  int64_t beyond = 0;   ///< pairs that do not pass the tolerance
  double squares_a = 0, squares_b = 0, dot = 0, squares = 0;  ///< sums of a², b², ab, (a - b)²
  double max_abs = 0;                                         ///< largest |a - b|; NaN where one is
  int64_t worst = -1;    ///< where that is first, in row-major order; -1 where nothing changed
  uint64_t max_ulp = 0;  ///< largest distance in units in the last place, NaN left out
  int64_t nan = 0;       ///< changed pairs with a NaN

  /// Adds what is known of the pairs that follow.
  void merge(const TensorDifference& o);
};

}  // namespace nnm

namespace nnm::kernels {

/// The difference of a and b, dense vectors of one length, into *out. Where the dtypes differ,
/// values are compared instead of bits, and units in the last place are those of the coarser float.
inline constinit Kernel<void(const View& a, const View& b, const Tolerance& t,
                             TensorDifference* out)>
    difference{"difference"};

}  // namespace nnm::kernels
