// What the kernels for few channels ask for.
#include "kernels/narrow.h"

namespace nnm {

bool narrow_fits(const View& w, const Conv2d& p) {
  for (int d = 0; d < 2; ++d)
    if (p.before[d] < 0 || p.after[d] < 0) return false;
  return w.dtype == DType::f32 && p.groups == 1 && w.size[0] % 16 == 0 && w.size[1] <= 4 &&
         w.size[1] * w.size[2] * w.size[3] <= 64;
}

}  // namespace nnm
