// Choosing a kernel for each pass of a convolution, and counting its operations.
#include "nnm/ops/conv_passes.h"

#include "kernels/onednn.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"

namespace nnm::detail {

namespace {

// Operations from which oneDNN is worth its start.
constexpr int64_t kLeast = 500'000;

int64_t operations(const Tensor& y, const Tensor& w) {
  return 2 * y.numel() * w.shape()[1] * w.shape()[2] * w.shape()[3];
}

}  // namespace

void check_conv_types(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check_same_device(x, w);
  if (bias.defined()) {
    NNM_CHECK(x.dtype() == bias.dtype(), runtime,
              "Input type ({}) and bias type ({}) should be the same", c_type_name(x.dtype()),
              c_type_name(bias.dtype()));
    check_same_device(x, bias);
  }
  NNM_CHECK(x.dtype() == w.dtype(), runtime,
            "Input type ({}) and weight type ({}) should be the same", c_type_name(x.dtype()),
            c_type_name(w.dtype()));
  check_floating(x, "slow_conv2d_cpu");
}

void conv2d_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Conv2d& p) {
  const int64_t n = operations(y, w);
  count_flops(n);
  const OneDnn* d = onednn_for(y, n, kLeast);
  if (d && d->conv2d(y, x, w, bias, p, kernel_threads())) return;
  kernels::conv2d(y, x, w, bias, p);
}

void conv2d_backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Conv2d& p) {
  const int64_t n = operations(g, w);
  count_flops(n);
  const OneDnn* d = onednn_for(dx, n, kLeast);
  if (d && d->conv2d_backward_input(dx, g, w, p, kernel_threads())) return;
  kernels::conv2d_backward_input(dx, g, w, p);
}

void conv2d_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                            const Conv2d& p) {
  const int64_t n = operations(g, dw);
  count_flops(n);
  const OneDnn* d = onednn_for(dw, n, kLeast);
  if (d && d->conv2d_backward_weight(dw, dbias, g, x, p, kernel_threads())) return;
  kernels::conv2d_backward_weight(dw, dbias, g, x, p);
}

}  // namespace nnm::detail
