// Linear layers at inference, with their weights packed.
#include "kernels/linear.h"

#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/kept.h"

namespace nnm::detail {

namespace {

// Times of oneDNN 2.6 / of the kernel with w packed, on Zen 4, w out of the cache; rows, and w:
//    8 x (2304, 768)  2.3      64 x (2304, 768)   1.2 (two threads 1.5)
//    8 x (768, 3072)  1.9      64 x (768, 3072)   1.4 (2.9)
//   32 x (2304, 768)  1.3      64 x (50257, 768)  1.2 (1.5)
//   32 x (768, 3072)  1.8      96 x (2304, 768)   1.05
// A whole pass of GPT-2 124M on Zen 3, with AVX2:
//    8 rows  1.5 (1.85)        48 rows  (1.16)      64 rows  1.1 (1.08)
constexpr int64_t kFewestRows = 5, kLeastWork = 2'000'000;

bool is_plain(const Tensor& t) {
  return t.dtype() == DType::f32 && t.device().type == DeviceType::cpu && t.is_contiguous();
}

}  // namespace

Tensor linear_by_kept(const Tensor& x, const Tensor& w, const Tensor& bias) {
  if (grad_enabled() || autocast_dtype || !kernels::linear.has(x.device().type)) return {};
  if (w.dim() != 2 || x.dim() < 1 || !is_plain(x) || !is_plain(w)) return {};
  const int64_t n = w.shape()[0], k = w.shape()[1];
  if (x.shape().back() != k || k == 0 || n == 0) return {};
  if (bias.defined() && (!is_plain(bias) || bias.dim() != 1 || bias.numel() != n)) return {};
  const int64_t m = x.numel() / k, work = 2 * m * n * k;
  if (m < kFewestRows || m > kLinearRows || work < kLeastWork) return {};
  count_flops(work);
  Shape size = x.shape();
  size[size.size() - 1] = n;
  Tensor y = empty(size);
  const Tensor packed = kept_weights_later(
      w, {KeptOrder::Kernel::linear}, linear_packed(w),
      [](const View& copy, const Tensor& t) { kernels::linear_weights(copy, t); });
  const auto rows = [m](const Tensor& t, int64_t width) {
    return t.as_strided({m, width}, {width, 1}, t.impl()->offset);
  };
  kernels::linear(rows(y, n), rows(x, k), w, packed, bias, false);
  return y;
}

}  // namespace nnm::detail
