// The parts of differences that no instruction set matters to.
#include "kernels/difference.h"

#include <cmath>

namespace nnm {

void TensorDifference::merge(const TensorDifference& o) {
  const bool first_nan = std::isnan(o.max_abs) && !std::isnan(max_abs);
  if (o.worst >= 0 && (worst < 0 || first_nan || o.max_abs > max_abs)) {
    worst = numel + o.worst;
    max_abs = o.max_abs;
  }
  numel += o.numel;
  changed += o.changed;
  beyond += o.beyond;
  squares_a += o.squares_a;
  squares_b += o.squares_b;
  dot += o.dot;
  squares += o.squares;
  nan += o.nan;
  if (o.max_ulp > max_ulp) max_ulp = o.max_ulp;
}

}  // namespace nnm
