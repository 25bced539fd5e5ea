// Convolutions and poolings of volumes (N, C, D, H, W) or (C, D, H, W): torch.nn.functional.
#pragma once

#include <array>
#include <optional>
#include <utility>

#include "nnm/ops/ops.h"

namespace nnm {

using Size3 = IntTuple<3>;

/// weight (O, C / groups, KD, KH, KW). Channels of the result lie innermost in memory.
Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, Size3 stride = 1,
              Size3 padding = 0, Size3 dilation = 1, int64_t groups = 1);
Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, Size3 stride,
              Padding padding, Size3 dilation = 1, int64_t groups = 1);
/// weight (C, O / groups, KD, KH, KW).
Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        Size3 stride = 1, Size3 padding = 0, Size3 output_padding = 0,
                        int64_t groups = 1, Size3 dilation = 1);

Tensor max_pool3d(const Tensor& x, Size3 kernel_size, OptionalTuple<3> stride = {},
                  Size3 padding = 0, Size3 dilation = 1, bool ceil_mode = false);
/// The maxima and their places (d H + h) W + w (i64).
std::pair<Tensor, Tensor> max_pool3d_with_indices(const Tensor& x, Size3 kernel_size,
                                                  OptionalTuple<3> stride = {}, Size3 padding = 0,
                                                  Size3 dilation = 1, bool ceil_mode = false);
Tensor avg_pool3d(const Tensor& x, Size3 kernel_size, OptionalTuple<3> stride = {},
                  Size3 padding = 0, bool ceil_mode = false, bool count_include_pad = true,
                  std::optional<int64_t> divisor_override = {});
/// Output extents; none keeps the input's.
using OptSize3 = std::array<std::optional<int64_t>, 3>;
Tensor adaptive_avg_pool3d(const Tensor& x, const OptSize3& output_size);
Tensor adaptive_max_pool3d(const Tensor& x, const OptSize3& output_size);
std::pair<Tensor, Tensor> adaptive_max_pool3d_with_indices(const Tensor& x,
                                                           const OptSize3& output_size);

}  // namespace nnm
