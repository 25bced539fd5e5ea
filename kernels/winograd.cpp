// What the Winograd kernels ask for.
#include "kernels/winograd.h"

#include "kernels/winograd_plan.h"

namespace nnm {

bool winograd_fits(const View& w, const Conv2d& p) {
  if (w.dtype != DType::f32 || w.size[2] != 3 || w.size[3] != 3) return false;
  if (p.groups != 1 || w.size[0] % 8 != 0 || w.size[1] % 8 != 0) return false;
  for (int i = 0; i < 2; ++i) {
    if (p.stride[i] != 1 || p.dilation[i] != 1) return false;
    for (const int64_t zeros : {p.before[i], p.after[i]})
      if (zeros < 0 || zeros > 2) return false;
  }
  return true;
}

int64_t winograd_workspace(const View& x, const View& y) {
  const int64_t there = WinogradPlan(x, y).work(), back = WinogradPlan(y, x).work();
  return std::max(there, back) * static_cast<int64_t>(sizeof(float));
}

int64_t winograd_transformed(const View& w) {
  return WinogradPlan::of_weights(w).weights() * static_cast<int64_t>(sizeof(float));
}

}  // namespace nnm
