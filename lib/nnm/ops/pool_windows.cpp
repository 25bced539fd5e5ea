// Checks and extents of pooling windows.
#include "nnm/ops/pool_windows.h"

#include <algorithm>

#include "nnm/base/error.h"

namespace nnm::detail {

namespace {

// "kT: 1 kH: 2 kW: 3"; an image has no T.
std::string each_extent(const char* what, std::span<const int64_t> values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i)
    out += fmt::format("{}{}{}: {}", i ? " " : "", what, "THW"[3 - values.size() + i], values[i]);
  return out;
}

bool all_above_zero(std::span<const int64_t> values) {
  return std::all_of(values.begin(), values.end(), [](int64_t v) { return v > 0; });
}

}  // namespace

void check_windows(std::span<const int64_t> kernel, std::span<const int64_t> stride,
                   std::span<const int64_t> padding, std::span<const int64_t> dilation) {
  NNM_CHECK(std::find(stride.begin(), stride.end(), 0) == stride.end(), runtime,
            "stride should not be zero");
  NNM_CHECK(all_above_zero(kernel), runtime, "kernel size should be greater than zero, but got {}",
            each_extent("k", kernel));
  NNM_CHECK(all_above_zero(stride), runtime, "stride should be greater than zero, but got {}",
            each_extent("d", stride));
  NNM_CHECK(all_above_zero(dilation), runtime, "dilation should be greater than zero, but got {}",
            each_extent("dilation", dilation));
  for (size_t i = 0; i < kernel.size(); ++i) {
    NNM_CHECK(padding[i] >= 0, runtime, "pad must be non-negative, but got pad: {}", padding[i]);
    const int64_t reach = dilation[i] * (kernel[i] - 1) + 1;
    NNM_CHECK(padding[i] <= reach / 2, runtime,
              "pad should be at most half of effective kernel size, but got pad={}, kernel_size={} "
              "and dilation={}",
              padding[i], kernel[i], dilation[i]);
  }
}

int64_t pooled_extent(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                      bool ceil_mode) {
  const int64_t span = in + 2 * padding - dilation * (kernel - 1) - 1;
  const int64_t top = span + (ceil_mode ? stride - 1 : 0);
  // Rounds towards minus infinity, so that a window that does not fit gives 0.
  int64_t out = (top >= 0 ? top / stride : -((-top + stride - 1) / stride)) + 1;
  // The last window must start inside the input or its left padding.
  if (ceil_mode && (out - 1) * stride >= in + padding) --out;
  return out;
}

}  // namespace nnm::detail
