// Pooling: windows of images; one dimension is an image of one row.
#include "kernels/pool.h"

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/pool_windows.h"

namespace nnm {

namespace {

using Windows2 = detail::Windows<2>;

Pool2d pool_params(const Windows2& w) {
  Pool2d p;
  for (int i = 0; i < 2; ++i) {
    p.kernel[i] = w.kernel[i];
    p.stride[i] = w.stride[i];
    p.padding[i] = w.padding[i];
    p.dilation[i] = w.dilation[i];
  }
  return p;
}

// (N, C, H, W) of the pooled x.
Shape pooled_shape(const Shape& s, const Windows2& w) {
  Shape y{s[0], s[1], detail::pooled_extent(w, 0, s[2]), detail::pooled_extent(w, 1, s[3])};
  NNM_CHECK(y[2] >= 1 && y[3] >= 1, runtime,
            "Given input size: ({}x{}x{}). Calculated output size: ({}x{}x{}). Output size is too "
            "small",
            s[1], s[2], s[3], y[1], y[2], y[3]);
  return y;
}

// x (C, H, W) as a batch of one; a view without history.
Tensor as_batch(const Tensor& x) {
  if (x.dim() == 4) return x;
  Shape sizes = x.shape(), strides = x.strides();
  sizes.insert(0, 1);
  strides.insert(0, x.numel());
  return x.as_strided(sizes, strides, x.impl()->offset);
}

Tensor without_batch(const Tensor& y, int rank) {
  return rank == 4 ? y : detail::without_dim(y, 0);
}

// The sizes and the layout of images, without them.
struct Mould {
  Shape sizes;
  bool last;  ///< channels innermost
  explicit Mould(const Tensor& x) : sizes(x.shape()), last(detail::lies_channels_last(x)) {}
  Tensor empty(const TensorOptions& options) const {
    return last ? empty_channels_last(sizes, options) : nnm::empty(sizes, options);
  }
};

// Whether backward can do with the taps of maxima, an eighth of the bytes of their places.
bool taps_suffice(Device device, const Pool2d& p) {
  return device.type == DeviceType::cpu && !p.adaptive && p.kernel[0] <= kMostTaps &&
         p.kernel[1] <= kMostTaps && p.kernel[0] * p.kernel[1] <= kMostTaps;
}

// Maxima and their places. The places are undefined where neither the caller nor a gradient wants
// them, and taps where only a gradient does.
std::pair<Tensor, Tensor> max_pool(const char* name, const Tensor& x, const Shape& shape,
                                   const Pool2d& p, bool want_places) {
  const int rank = x.dim();
  const Tensor in = as_batch(x);
  const bool grad = needs_grad({&x});
  const Tensor y4 = detail::empty_image_like(in, shape, x.dtype());
  const DType kept = want_places || !taps_suffice(x.device(), p) ? DType::i64 : DType::u8;
  const Tensor places = grad || want_places ? empty_like(y4, kept) : Tensor();
  kernels::max_pool2d(y4, places, in, p);
  const Tensor y = without_batch(y4, rank);
  if (grad) {
    record(name, y, {&x}, [like = Saved(in), places, p, rank](Backward& b) {
      const Tensor& x = like.get();
      const Tensor dx = detail::empty_image_like(x, x.shape(), x.dtype());
      const Tensor g = detail::with_layout_of(places, as_batch(b.grad()));
      kernels::max_pool2d_backward(dx, g, places, p);
      b.set(0, without_batch(dx, rank));
    });
  }
  return {y, places.defined() ? without_batch(places, rank) : places};
}

Tensor avg_pool(const char* name, const Tensor& x, const Shape& shape, const Pool2d& p) {
  const int rank = x.dim();
  const Tensor in = as_batch(x);
  const Tensor y4 = detail::empty_image_like(in, shape, x.dtype());
  kernels::avg_pool2d(y4, in, p);
  Tensor y = without_batch(y4, rank);
  if (!needs_grad({&x})) return y;
  return record(name, y, {&x}, [like = Mould(in), p, rank](Backward& b) {
    const Tensor dx = like.empty(b.grad().options());
    kernels::avg_pool2d_backward(dx, as_batch(b.grad()), p);
    b.set(0, without_batch(dx, rank));
  });
}

std::pair<Tensor, Tensor> max_pool2d_checked(const Tensor& x, const Windows2& w, bool want_places) {
  detail::check_defined(x, "max_pool2d");
  detail::check_windows(w);
  NNM_CHECK(w.padding[0] <= w.kernel[0] / 2 && w.padding[1] <= w.kernel[1] / 2, runtime,
            "pad should be smaller than or equal to half of kernel size, but got padW = {}, padH = "
            "{}, kW = {}, kH = {}",
            w.padding[1], w.padding[0], w.kernel[1], w.kernel[0]);
  NNM_CHECK((x.dim() == 3 || x.dim() == 4) && x.size(-1) > 0 && x.size(-2) > 0 && x.size(-3) > 0,
            runtime, "non-empty 3D or 4D (batch mode) tensor expected for input");
  detail::check_floating(x, "max_pool2d");
  return max_pool("MaxPool2DWithIndicesBackward0", x, pooled_shape(as_batch(x).shape(), w),
                  pool_params(w), want_places);
}

}  // namespace

Tensor max_pool2d(const Tensor& x, Size2 kernel_size, OptionalTuple<2> stride, Size2 padding,
                  Size2 dilation, bool ceil_mode) {
  return max_pool2d_checked(x, {kernel_size, stride, padding, dilation, ceil_mode}, false).first;
}

std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& x, Size2 kernel_size,
                                                  OptionalTuple<2> stride, Size2 padding,
                                                  Size2 dilation, bool ceil_mode) {
  return max_pool2d_checked(x, {kernel_size, stride, padding, dilation, ceil_mode}, true);
}

namespace {

void check_pool1d(const Tensor& x, const char* name, int64_t k, int64_t stride, int64_t padding,
                  int64_t dilation, bool ceil_mode) {
  NNM_CHECK(k > 0, runtime, "{}() kernel_size must be greater than zero, but got {}", name, k);
  NNM_CHECK(stride > 0, runtime, "{}() stride must be greater than zero, but got {}", name, stride);
  NNM_CHECK(padding >= 0, runtime, "{}() padding must be non-negative, but got {}", name, padding);
  NNM_CHECK(padding <= k / 2, runtime,
            "{}() padding should be at most half of kernel size, but got padding={} and "
            "kernel_size={}",
            name, padding, k);
  NNM_CHECK(dilation > 0, runtime, "{}() dilation must be greater than zero, but got {}", name,
            dilation);
  const int64_t out = detail::pooled_extent(x.size(-1), k, stride, padding, dilation, ceil_mode);
  NNM_CHECK(out > 0, runtime, "{}() Invalid computed output size: {}", name, out);
}

void check_rank1d(const Tensor& x, const char* name) {
  detail::check_defined(x, name);
  NNM_CHECK(x.dim() == 2 || x.dim() == 3, runtime,
            "Expected 2 to 3 dimensions, but got {}-dimensional tensor for argument #1 'self' "
            "(while checking arguments for {})",
            x.dim(), name);
}

std::pair<Tensor, Tensor> max_pool1d_op(const Tensor& x, int64_t k, std::optional<int64_t> stride,
                                        int64_t padding, int64_t dilation, bool ceil_mode,
                                        bool want_places) {
  detail::check_defined(x, "max_pool1d");
  NNM_CHECK(x.dim() == 2 || x.dim() == 3, runtime,
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
            "input, but got:{}",
            x.shape().str());
  const int64_t step = stride.value_or(k);
  check_pool1d(x, "max_pool1d", k, step, padding, dilation, ceil_mode);
  const Windows2 w({1, k}, Size2{1, step}, {0, padding}, {1, dilation}, ceil_mode);
  const auto [y, places] = max_pool2d_checked(unsqueeze(x, -2), w, want_places);
  return {squeeze(y, -2), places.defined() ? squeeze(places, -2) : places};
}

}  // namespace

Tensor max_pool1d(const Tensor& x, int64_t kernel_size, std::optional<int64_t> stride,
                  int64_t padding, int64_t dilation, bool ceil_mode) {
  return max_pool1d_op(x, kernel_size, stride, padding, dilation, ceil_mode, false).first;
}

std::pair<Tensor, Tensor> max_pool1d_with_indices(const Tensor& x, int64_t kernel_size,
                                                  std::optional<int64_t> stride, int64_t padding,
                                                  int64_t dilation, bool ceil_mode) {
  return max_pool1d_op(x, kernel_size, stride, padding, dilation, ceil_mode, true);
}

Tensor avg_pool2d(const Tensor& x, Size2 kernel_size, OptionalTuple<2> stride, Size2 padding,
                  bool ceil_mode, bool count_include_pad, std::optional<int64_t> divisor_override) {
  detail::check_defined(x, "avg_pool2d");
  NNM_CHECK(!divisor_override || *divisor_override != 0, runtime, "divisor must be not zero");
  const Windows2 w(kernel_size, stride, padding, 1, ceil_mode);
  detail::check_windows(w);
  Pool2d p = pool_params(w);
  p.count_include_pad = count_include_pad;
  p.divisor = divisor_override.value_or(0);
  NNM_CHECK((x.dim() == 3 || x.dim() == 4) && x.size(-1) > 0 && x.size(-2) > 0 && x.size(-3) > 0,
            runtime, "non-empty 3D or 4D (batch mode) tensor expected for input");
  detail::check_floating(x, "avg_pool2d_out_frame");
  return avg_pool("AvgPool2DBackward0", x, pooled_shape(as_batch(x).shape(), w), p);
}

Tensor avg_pool1d(const Tensor& x, int64_t kernel_size, std::optional<int64_t> stride,
                  int64_t padding, bool ceil_mode, bool count_include_pad) {
  check_rank1d(x, "avg_pool1d");
  const Tensor y =
      avg_pool2d(unsqueeze(x, -2), {1, kernel_size}, Size2{1, stride.value_or(kernel_size)},
                 {0, padding}, ceil_mode, count_include_pad);
  return squeeze(y, -2);
}

namespace {

// (N, C, H, W) of an adaptive pooling of x.
Shape adaptive_shape(const Tensor& x, OptSize2 size, const char* name) {
  detail::check_defined(x, name);
  NNM_CHECK(x.dim() == 3 || x.dim() == 4, runtime, "{}(): Expected 3D or 4D tensor, but got {}",
            name, x.shape().str());
  const int64_t h = size.first.value_or(x.size(-2)), w = size.second.value_or(x.size(-1));
  NNM_CHECK(
      h >= 0 && w >= 0, runtime,
      "{}: elements of output_size must be greater than or equal to 0 but received {{{}, {}}}",
      name, h, w);
  for (int d = x.dim() - 3; d < x.dim(); ++d) {
    NNM_CHECK(x.shape()[d] > 0, runtime,
              "{}(): Expected input to have non-zero size for non-batch dimensions, but input has "
              "sizes {} with dimension {} being empty",
              name, x.shape().str(), d);
  }
  detail::check_floating(x, name);
  return {x.dim() == 4 ? x.shape()[0] : 1, x.size(-3), h, w};
}

Pool2d adaptive() {
  Pool2d p;
  p.adaptive = true;
  return p;
}

}  // namespace

Tensor adaptive_avg_pool2d(const Tensor& x, OptSize2 output_size) {
  const Shape shape = adaptive_shape(x, output_size, "adaptive_avg_pool2d");
  // PyTorch takes the mean of the whole image by its reduction.
  const bool whole = shape[2] == 1 && shape[3] == 1;
  return avg_pool(whole ? "MeanBackward1" : "AdaptiveAvgPool2DBackward0", x, shape, adaptive());
}

Tensor adaptive_avg_pool1d(const Tensor& x, int64_t output_size) {
  check_rank1d(x, "adaptive_avg_pool1d");
  return squeeze(adaptive_avg_pool2d(unsqueeze(x, -2), {1, output_size}), -2);
}

std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& x, OptSize2 output_size) {
  const Shape shape = adaptive_shape(x, output_size, "adaptive_max_pool2d");
  return max_pool("AdaptiveMaxPool2DBackward0", x, shape, adaptive(), true);
}

Tensor adaptive_max_pool2d(const Tensor& x, OptSize2 output_size) {
  const Shape shape = adaptive_shape(x, output_size, "adaptive_max_pool2d");
  return max_pool("AdaptiveMaxPool2DBackward0", x, shape, adaptive(), false).first;
}

std::pair<Tensor, Tensor> adaptive_max_pool1d_with_indices(const Tensor& x, int64_t output_size) {
  check_rank1d(x, "adaptive_max_pool1d");
  const auto [y, places] = adaptive_max_pool2d_with_indices(unsqueeze(x, -2), {1, output_size});
  return {squeeze(y, -2), squeeze(places, -2)};
}

Tensor adaptive_max_pool1d(const Tensor& x, int64_t output_size) {
  check_rank1d(x, "adaptive_max_pool1d");
  return squeeze(adaptive_max_pool2d(unsqueeze(x, -2), {1, output_size}), -2);
}

}  // namespace nnm
