// Pooling as functions of the config language.
#include <algorithm>
#include <array>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/volume.h"

namespace nnm {

namespace {

using Size1 = IntTuple<1>;

Value with_places(const std::pair<Tensor, Tensor>& p) { return detail::to_value(p); }

// An output size of N elements that may be none: none, a number, or N of them.
template <int N>
std::array<std::optional<int64_t>, N> read_output_sizes(const Value& v) {
  const auto one = [](const Value& x) -> std::optional<int64_t> {
    if (x.is_none()) return std::nullopt;
    return Codec<int64_t>::type().convert(x).integer();
  };
  std::array<std::optional<int64_t>, N> out;
  if (!v.is_sequence()) {
    out.fill(one(v));
    return out;
  }
  NNM_CHECK(v.items().size() == N, type, "expected an output size of {} values, got {}", N,
            v.config_text());
  std::transform(v.items().begin(), v.items().end(), out.begin(), one);
  return out;
}
OptSize2 read_output_size(const Value& v) {
  const auto [h, w] = read_output_sizes<2>(v);
  return {h, w};
}

std::optional<int64_t> first(const std::optional<Size1>& s) {
  return s ? std::optional<int64_t>((*s)[0]) : std::nullopt;
}

Value max_pool1d_call(const Value* a) {
  const auto run = Codec<bool>::read(a[6]) ? max_pool1d_with_indices : nullptr;
  const Tensor x = Codec<Tensor>::read(a[0]);
  const int64_t k = Codec<Size1>::read(a[1])[0], padding = Codec<Size1>::read(a[3])[0],
                dilation = Codec<Size1>::read(a[4])[0];
  const auto stride = first(Codec<std::optional<Size1>>::read(a[2]));
  const bool ceil_mode = Codec<bool>::read(a[5]);
  if (run) return with_places(run(x, k, stride, padding, dilation, ceil_mode));
  return max_pool1d(x, k, stride, padding, dilation, ceil_mode);
}

Value max_pool2d_call(const Value* a) {
  const Tensor x = Codec<Tensor>::read(a[0]);
  const Size2 k = Codec<Size2>::read(a[1]), padding = Codec<Size2>::read(a[3]),
              dilation = Codec<Size2>::read(a[4]);
  const auto stride = Codec<std::optional<Size2>>::read(a[2]);
  const bool ceil_mode = Codec<bool>::read(a[5]);
  if (Codec<bool>::read(a[6]))
    return with_places(max_pool2d_with_indices(x, k, stride, padding, dilation, ceil_mode));
  return max_pool2d(x, k, stride, padding, dilation, ceil_mode);
}

Value max_pool3d_call(const Value* a) {
  const Tensor x = Codec<Tensor>::read(a[0]);
  const Size3 k = Codec<Size3>::read(a[1]), padding = Codec<Size3>::read(a[3]),
              dilation = Codec<Size3>::read(a[4]);
  const auto stride = Codec<std::optional<Size3>>::read(a[2]);
  const bool ceil_mode = Codec<bool>::read(a[5]);
  if (Codec<bool>::read(a[6]))
    return with_places(max_pool3d_with_indices(x, k, stride, padding, dilation, ceil_mode));
  return max_pool3d(x, k, stride, padding, dilation, ceil_mode);
}

Tensor avg_pool1d_call(const Tensor& x, const Size1& k, const std::optional<Size1>& stride,
                       const Size1& padding, bool ceil_mode, bool count_include_pad) {
  return avg_pool1d(x, k[0], first(stride), padding[0], ceil_mode, count_include_pad);
}

Tensor adaptive_avg_pool1d_call(const Tensor& x, const Size1& size) {
  return adaptive_avg_pool1d(x, size[0]);
}

Tensor adaptive_avg_pool2d_call(const Tensor& x, const Value& size) {
  return adaptive_avg_pool2d(x, read_output_size(size));
}

Tensor adaptive_avg_pool3d_call(const Tensor& x, const Value& size) {
  return adaptive_avg_pool3d(x, read_output_sizes<3>(size));
}

Value adaptive_max_pool1d_call(const Value* a) {
  const Tensor x = Codec<Tensor>::read(a[0]);
  const int64_t n = Codec<Size1>::read(a[1])[0];
  if (Codec<bool>::read(a[2])) return with_places(adaptive_max_pool1d_with_indices(x, n));
  return adaptive_max_pool1d(x, n);
}

Value adaptive_max_pool2d_call(const Value* a) {
  const Tensor x = Codec<Tensor>::read(a[0]);
  const OptSize2 size = read_output_size(a[1]);
  if (Codec<bool>::read(a[2])) return with_places(adaptive_max_pool2d_with_indices(x, size));
  return adaptive_max_pool2d(x, size);
}

Value adaptive_max_pool3d_call(const Value* a) {
  const Tensor x = Codec<Tensor>::read(a[0]);
  const OptSize3 size = read_output_sizes<3>(a[1]);
  if (Codec<bool>::read(a[2])) return with_places(adaptive_max_pool3d_with_indices(x, size));
  return adaptive_max_pool3d(x, size);
}

constexpr Function kPoolFunctions[] = {
    {"max_pool1d(input: Tensor, kernel_size: int[1], stride: int[1]? = none, padding: int[1] = 0, "
     "dilation: int[1] = 1, ceil_mode: bool = false, return_indices: bool = false)",
     "the maximum of each window of (N, C, L)", max_pool1d_call},
    {"max_pool2d(input: Tensor, kernel_size: int[2], stride: int[2]? = none, padding: int[2] = 0, "
     "dilation: int[2] = 1, ceil_mode: bool = false, return_indices: bool = false)",
     "the maximum of each window of (N, C, H, W)", max_pool2d_call},
    {"max_pool3d(input: Tensor, kernel_size: int[3], stride: int[3]? = none, padding: int[3] = 0, "
     "dilation: int[3] = 1, ceil_mode: bool = false, return_indices: bool = false)",
     "the maximum of each window of (N, C, D, H, W)", max_pool3d_call},
    {"avg_pool1d(input: Tensor, kernel_size: int[1], stride: int[1]? = none, padding: int[1] = 0, "
     "ceil_mode: bool = false, count_include_pad: bool = true)",
     "the mean of each window of (N, C, L)", call<avg_pool1d_call>},
    {"avg_pool2d(input: Tensor, kernel_size: int[2], stride: int[2]? = none, padding: int[2] = 0, "
     "ceil_mode: bool = false, count_include_pad: bool = true, divisor_override: int? = none)",
     "the mean of each window of (N, C, H, W)", call<avg_pool2d>},
    {"avg_pool3d(input: Tensor, kernel_size: int[3], stride: int[3]? = none, padding: int[3] = 0, "
     "ceil_mode: bool = false, count_include_pad: bool = true, divisor_override: int? = none)",
     "the mean of each window of (N, C, D, H, W)", call<avg_pool3d>},
    {"adaptive_avg_pool1d(input: Tensor, output_size: int[1])", "means of equal parts of (N, C, L)",
     call<adaptive_avg_pool1d_call>},
    {"adaptive_avg_pool2d(input: Tensor, output_size: any)",
     "means of equal parts of (N, C, H, W); none keeps an extent", call<adaptive_avg_pool2d_call>},
    {"adaptive_avg_pool3d(input: Tensor, output_size: any)",
     "means of equal parts of (N, C, D, H, W); none keeps an extent",
     call<adaptive_avg_pool3d_call>},
    {"adaptive_max_pool1d(input: Tensor, output_size: int[1], return_indices: bool = false)",
     "maxima of equal parts of (N, C, L)", adaptive_max_pool1d_call},
    {"adaptive_max_pool2d(input: Tensor, output_size: any, return_indices: bool = false)",
     "maxima of equal parts of (N, C, H, W); none keeps an extent", adaptive_max_pool2d_call},
    {"adaptive_max_pool3d(input: Tensor, output_size: any, return_indices: bool = false)",
     "maxima of equal parts of (N, C, D, H, W); none keeps an extent", adaptive_max_pool3d_call},
};
NNM_REGISTER_FUNCTIONS(kPoolFunctions);

}  // namespace
}  // namespace nnm
