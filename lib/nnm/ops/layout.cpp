// Copies into the layouts that kernels ask for.
#include "nnm/ops/layout.h"

#include "kernels/pointwise.h"

namespace nnm::detail {

bool has_channels_innermost(const Tensor& x) {
  const Shape &n = x.shape(), &s = x.strides();
  int64_t expected = 1;
  const auto fits = [&](int d) {
    if (n[d] != 1 && s[d] != expected) return false;
    expected *= n[d];
    return true;
  };
  if (x.dim() < 2 || !fits(1)) return false;
  for (int d = x.dim() - 1; d > 1; --d)
    if (!fits(d)) return false;
  return fits(0);
}

bool lies_channels_last(const Tensor& x) {
  return x.dim() > 3 && !x.is_contiguous() && has_channels_innermost(x);
}

Tensor channels_innermost(const Tensor& x) {
  if (has_channels_innermost(x)) return x;
  Tensor y = empty_channels_last(x.shape(), x.options());
  kernels::copy(y, x);
  return y;
}

Tensor row_major(const Tensor& x) {
  if (x.is_contiguous()) return x;
  Tensor y = empty(x.shape(), x.options());
  kernels::copy(y, x);
  return y;
}

Tensor empty_image_like(const Tensor& x, const Shape& shape, DType dtype) {
  const TensorOptions options{dtype, x.device()};
  return lies_channels_last(x) ? empty_channels_last(shape, options) : empty(shape, options);
}

}  // namespace nnm::detail
