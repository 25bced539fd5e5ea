// Power means over windows and over channels, made of average poolings.
#include <cmath>

#include "nnm/ops/function.h"
#include "nnm/ops/functional.h"

namespace nnm {

namespace {

// `average` and `maximum` pool the windows of `count` elements.
template <class Average, class Maximum>
Tensor lp_pool(const Tensor& x, double norm_type, int64_t count, const Average& average,
               const Maximum& maximum) {
  if (std::isinf(norm_type)) {
    const Tensor size = abs(x);
    return norm_type > 0 ? maximum(size) : neg(maximum(neg(size)));
  }
  const Tensor mean = average(pow(x, Scalar(norm_type)));
  return pow(sign(mean) * relu(abs(mean)) * Scalar(count), Scalar(1 / norm_type));
}

}  // namespace

Tensor lp_pool1d(const Tensor& x, double norm_type, int64_t kernel_size,
                 std::optional<int64_t> stride, bool ceil_mode) {
  return lp_pool(
      x, norm_type, kernel_size,
      [&](const Tensor& t) { return avg_pool1d(t, kernel_size, stride, 0, ceil_mode); },
      [&](const Tensor& t) { return max_pool1d(t, kernel_size, stride, 0, 1, ceil_mode); });
}

Tensor lp_pool2d(const Tensor& x, double norm_type, Size2 k, OptionalTuple<2> stride,
                 bool ceil_mode) {
  return lp_pool(
      x, norm_type, k[0] * k[1],
      [&](const Tensor& t) { return avg_pool2d(t, k, stride, 0, ceil_mode); },
      [&](const Tensor& t) { return max_pool2d(t, k, stride, 0, 1, ceil_mode); });
}

Tensor lp_pool3d(const Tensor& x, double norm_type, Size3 k, OptionalTuple<3> stride,
                 bool ceil_mode) {
  return lp_pool(
      x, norm_type, k[0] * k[1] * k[2],
      [&](const Tensor& t) { return avg_pool3d(t, k, stride, 0, ceil_mode); },
      [&](const Tensor& t) { return max_pool3d(t, k, stride, 0, 1, ceil_mode); });
}

Tensor local_response_norm(const Tensor& x, int64_t size, double alpha, double beta, double k) {
  NNM_CHECK(x.dim() >= 3, value,
            "Expected 3D or higher dimensionality                          input (got {} "
            "dimensions)",
            x.dim());
  if (x.numel() == 0) return x;
  // Channels as rows of an image, with zeros above and below.
  const Tensor square = unsqueeze(flatten(x * x, 2), 1);
  const Tensor around = pad(square, {0, 0, size / 2, (size - 1) / 2});
  const Tensor mean = reshape(avg_pool2d(around, {size, 1}, 1), x.shape());
  return x / pow(mean * Scalar(alpha) + Scalar(k), Scalar(beta));
}

namespace {

using Size1 = IntTuple<1>;

Tensor lp_pool1d_call(const Tensor& x, double norm_type, const Size1& k,
                      const std::optional<Size1>& stride, bool ceil_mode) {
  return lp_pool1d(x, norm_type, k[0], stride ? std::optional((*stride)[0]) : std::nullopt,
                   ceil_mode);
}

constexpr Function kLpPoolFunctions[] = {
    {"lp_pool1d(input: Tensor, norm_type: float, kernel_size: int[1], stride: int[1]? = none, "
     "ceil_mode: bool = false)",
     "the power mean of each window of (N, C, L), times its size", call<lp_pool1d_call>},
    {"lp_pool2d(input: Tensor, norm_type: float, kernel_size: int[2], stride: int[2]? = none, "
     "ceil_mode: bool = false)",
     "the power mean of each window of (N, C, H, W), times its size", call<lp_pool2d>},
    {"lp_pool3d(input: Tensor, norm_type: float, kernel_size: int[3], stride: int[3]? = none, "
     "ceil_mode: bool = false)",
     "the power mean of each window of (N, C, D, H, W), times its size", call<lp_pool3d>},
    {"local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: "
     "float = 1.0)",
     "divides by a power of the mean square of channels nearby", call<local_response_norm>},
};
NNM_REGISTER_FUNCTIONS(kLpPoolFunctions);

}  // namespace
}  // namespace nnm
