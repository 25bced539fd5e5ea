// Resampling along one dimension: nearest, linear and cubic interpolation of torch.nn.functional.
#pragma once

#include "kernels/kernel.h"

namespace nnm {

enum class Resampling : uint8_t { nearest, nearest_exact, linear, cubic };

/// How the elements of an output of extent `out` are made of those of an input of extent `in`.
struct Resample {
  Resampling mode = Resampling::nearest;
  bool align_corners = false;
  int64_t in = 1, out = 1;
  double step = 1;  ///< how far apart output elements lie in the input
};

}  // namespace nnm

namespace nnm::kernels {

/// out (A, out, B) from x (A, in, B), both row-major: each element a weighted sum of neighbours
/// along the middle, in the computing type.
inline constinit Kernel<void(const View& out, const View& x, const Resample& r)> resample{
    "resample"};
/// dx (A, in, B), overwritten, from g (A, out, B): the sums in the order of the output elements.
inline constinit Kernel<void(const View& dx, const View& g, const Resample& r)> resample_backward{
    "resample_backward"};

}  // namespace nnm::kernels
