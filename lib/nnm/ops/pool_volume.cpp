// Pooling of volumes: maxima and means over a box are those over its rectangles, slice by slice,
// and then along depth, each by a pooling of images.
#include "kernels/pool.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/layout.h"
#include "nnm/ops/pool_windows.h"
#include "nnm/ops/volume.h"

namespace nnm {

namespace {

using Windows3 = detail::Windows<3>;

/// The two poolings that one of a volume is made of.
struct BoxPool {
  Pool2d slice;  ///< of (H, W)
  Pool2d depth;  ///< of (D, H W)
};

BoxPool box_pool(const Windows3& w) {
  BoxPool p;
  for (int i = 0; i < 3; ++i) {
    Pool2d& part = i == 0 ? p.depth : p.slice;
    const int d = i == 0 ? 0 : i - 1;
    part.kernel[d] = w.kernel[i];
    part.stride[d] = w.stride[i];
    part.padding[d] = w.padding[i];
    part.dilation[d] = w.dilation[i];
  }
  return p;
}

BoxPool adaptive_box() {
  BoxPool p;
  p.slice.adaptive = p.depth.adaptive = true;
  return p;
}

/// Where a dense volume's elements lie: row-major, or with channels innermost.
enum class VolumeOrder : uint8_t { rows, channels };

VolumeOrder order_of(const Tensor& x) {
  return detail::lies_channels_last(x) ? VolumeOrder::channels : VolumeOrder::rows;
}

Tensor empty_volume(const Shape& size, VolumeOrder order, const TensorOptions& options) {
  return order == VolumeOrder::channels ? empty_channels_last(size, options) : empty(size, options);
}

Tensor seen_as(const Tensor& t, const Shape& sizes, const Shape& strides) {
  return t.as_strided(sizes, strides, t.impl()->offset);
}

// A volume as images, of all its channels or of all its slices.
Tensor slices_of(const Tensor& t, VolumeOrder order) {
  const Shape& n = t.shape();
  const int64_t h = n[3], w = n[4], c = n[1];
  if (order == VolumeOrder::channels)
    return seen_as(t, {n[0] * n[2], c, h, w}, {h * w * c, 1, w * c, c});
  return seen_as(t, {n[0], c * n[2], h, w}, {c * n[2] * h * w, h * w, w, 1});
}

// A volume as images of one column for each depth.
Tensor columns_of(const Tensor& t, VolumeOrder order) {
  const Shape& n = t.shape();
  const int64_t area = n[3] * n[4], c = n[1], d = n[2];
  if (order == VolumeOrder::channels)
    return seen_as(t, {n[0], c, d, area}, {d * area * c, 1, area * c, c});
  return seen_as(t, {n[0], c, d, area}, {c * d * area, d * area, area, 1});
}

// x (C, D, H, W) as a batch of one, dense; no history.
Tensor dense_batch(const Tensor& x, DType type) {
  const NoGradGuard no_grad;
  Tensor batch = x.detach();
  if (x.dim() == 4) batch = unsqueeze(batch, 0);
  if (type != x.dtype()) batch = to(batch, type);
  return order_of(batch) == VolumeOrder::channels ? batch : detail::row_major(batch);
}

Tensor like_input(const Tensor& y, int rank) { return rank == 5 ? y : detail::without_dim(y, 0); }

// `shape` with the depth of x: what lies between the two poolings.
Shape between(const Shape& x, const Shape& y) { return {y[0], y[1], x[2], y[3], y[4]}; }

// g as a batch in memory of that order.
Tensor gradient_volume(const Tensor& g, VolumeOrder order, DType type) {
  Tensor batch = dense_batch(g, type);
  if (order_of(batch) == order) return batch;
  return order == VolumeOrder::channels ? detail::channels_innermost(batch)
                                        : detail::row_major(batch);
}

/// The places of maxima: in their slice, and among the columns. Undefined where nobody asks.
struct BoxPlaces {
  Tensor slice, depth;
  /// Places in the volume, of extents x.
  Tensor joined(const Shape& x) const;
};

Tensor BoxPlaces::joined(const Shape& x) const {
  const NoGradGuard no_grad;
  const int64_t area = depth.shape()[3] * depth.shape()[4];
  const Tensor column = flatten(depth, 2);
  const Tensor in_slice = gather(flatten(slice, 2), 2, column);
  const Tensor at = floor_divide(column, Scalar(area)) * Scalar(x[3] * x[4]) + in_slice;
  return reshape(at, depth.shape());
}

std::pair<Tensor, Tensor> max_volume(const char* name, const Tensor& x, const Shape& shape,
                                     const BoxPool& p, bool want_places) {
  const int rank = x.dim();
  const Tensor in = dense_batch(x, x.dtype());
  const VolumeOrder order = order_of(in);
  const Tensor middle = empty_volume(between(in.shape(), shape), order, x.options());
  const Tensor y5 = empty_volume(shape, order, x.options());
  const bool grad = needs_grad({&x});
  BoxPlaces places;
  if (grad || want_places) {
    places.slice = empty_volume(middle.shape(), order, {DType::i64, x.device()});
    places.depth = empty_volume(shape, order, {DType::i64, x.device()});
  }
  const auto seen = [&](const Tensor& t, Tensor (*as)(const Tensor&, VolumeOrder)) {
    return t.defined() ? View(as(t, order)) : View();
  };
  kernels::max_pool2d(slices_of(middle, order), seen(places.slice, slices_of), slices_of(in, order),
                      p.slice);
  kernels::max_pool2d(columns_of(y5, order), seen(places.depth, columns_of),
                      columns_of(middle, order), p.depth);
  const Tensor y = like_input(y5, rank);
  if (grad) {
    record(name, y, {&x}, [places, size = in.shape(), p, rank, order](Backward& b) {
      const TensorOptions options = b.grad().options();
      const Tensor g = gradient_volume(b.grad(), order, options.dtype);
      const Tensor middle = empty_volume(places.slice.shape(), order, options);
      const Tensor dx = empty_volume(size, order, options);
      kernels::max_pool2d_backward(columns_of(middle, order), columns_of(g, order),
                                   columns_of(places.depth, order), p.depth);
      kernels::max_pool2d_backward(slices_of(dx, order), slices_of(middle, order),
                                   slices_of(places.slice, order), p.slice);
      b.set(0, like_input(dx, rank));
    });
  }
  return {y, want_places ? like_input(places.joined(in.shape()), rank) : Tensor()};
}

// Half types are pooled as f32, so that the means between the two poolings are not rounded.
DType mean_type(DType t) { return t == DType::f64 ? t : DType::f32; }

Tensor as_type(const Tensor& t, DType type) {
  const NoGradGuard no_grad;
  return to(t, type);
}

Tensor avg_volume(const char* name, const Tensor& x, const Shape& shape, const BoxPool& p) {
  const int rank = x.dim();
  const Tensor in = dense_batch(x, mean_type(x.dtype()));
  const VolumeOrder order = order_of(in);
  const Tensor middle = empty_volume(between(in.shape(), shape), order, in.options());
  const Tensor y5 = empty_volume(shape, order, in.options());
  kernels::avg_pool2d(slices_of(middle, order), slices_of(in, order), p.slice);
  kernels::avg_pool2d(columns_of(y5, order), columns_of(middle, order), p.depth);
  Tensor y = like_input(as_type(y5, x.dtype()), rank);
  if (!needs_grad({&x})) return y;
  return record(name, y, {&x}, [size = in.shape(), p, rank, order](Backward& b) {
    const DType type = b.grad().dtype();
    const Tensor g = gradient_volume(b.grad(), order, mean_type(type));
    const Tensor middle = empty_volume(between(size, g.shape()), order, g.options());
    const Tensor dx = empty_volume(size, order, g.options());
    kernels::avg_pool2d_backward(columns_of(middle, order), columns_of(g, order), p.depth);
    kernels::avg_pool2d_backward(slices_of(dx, order), slices_of(middle, order), p.slice);
    b.set(0, like_input(as_type(dx, type), rank));
  });
}

// The last five of x's extents, a batch of one if it has none.
Shape batch_shape(const Tensor& x) {
  Shape s = x.shape();
  if (x.dim() == 4) s.insert(0, 1);
  return s;
}

void check_volume(const Tensor& x, const char* where) {
  NNM_CHECK(x.dim() == 4 || x.dim() == 5, runtime,
            "non-empty 4D or 5D (batch mode) tensor expected for input");
  for (int d = x.dim() - 4; d < x.dim(); ++d) {
    NNM_CHECK(x.shape()[d] > 0, runtime,
              "{}: Expected input's non-batch dimensions to have positive length, but input has a "
              "shape of {} and non-batch dimension {} has length zero!",
              where, x.shape().str(), x.shape()[d]);
  }
}

Shape pooled_volume(const Tensor& x, const Windows3& w) {
  const Shape s = batch_shape(x);
  Shape y{s[0], s[1]};
  for (int i = 0; i < 3; ++i) y.push_back(detail::pooled_extent(w, i, s[i + 2]));
  NNM_CHECK(y[2] >= 1 && y[3] >= 1 && y[4] >= 1, runtime,
            "Given input size: ({}x{}x{}x{}). Calculated output size: ({}x{}x{}x{}). Output size "
            "is too small",
            s[1], s[2], s[3], s[4], y[1], y[2], y[3], y[4]);
  return y;
}

std::pair<Tensor, Tensor> max_pool3d_checked(const Tensor& x, const Windows3& w, bool want_places) {
  detail::check_defined(x, "max_pool3d");
  check_volume(x, "max_pool3d_with_indices_out_cpu_template()");
  detail::check_windows(w);
  bool half = true;
  for (int d = 0; d < 3; ++d) half = half && w.padding[d] <= w.kernel[d] / 2;
  NNM_CHECK(half, runtime,
            "pad should be smaller than or equal to half of kernel size, but got kT: {} kW: {} kH: "
            "{} padT: {} padW: {} padH: {}",
            w.kernel[0], w.kernel[2], w.kernel[1], w.padding[0], w.padding[2], w.padding[1]);
  detail::check_floating(x, "max_pool3d");
  return max_volume("MaxPool3DWithIndicesBackward0", x, pooled_volume(x, w), box_pool(w),
                    want_places);
}

Shape adaptive_volume(const Tensor& x, const OptSize3& size, const char* name) {
  detail::check_defined(x, name);
  NNM_CHECK(x.dim() == 4 || x.dim() == 5, runtime, "{}(): Expected 4D or 5D tensor, but got {}",
            name, x.shape().str());
  for (int d = x.dim() - 3; d < x.dim(); ++d) {
    NNM_CHECK(x.shape()[d] > 0, runtime,
              "{}(): Expected input to have non-zero size for non-batch dimensions, but input has "
              "sizes {} with dimension {} being empty",
              name, x.shape().str(), d);
  }
  Shape y = batch_shape(x);
  for (int i = 0; i < 3; ++i) y[i + 2] = size[static_cast<size_t>(i)].value_or(y[i + 2]);
  NNM_CHECK(
      y[2] >= 0 && y[3] >= 0 && y[4] >= 0, runtime,
      "{}: elements of output_size must be greater than or equal to 0 but received {{{}, {},{}}}",
      name, y[2], y[3], y[4]);
  detail::check_floating(x, name);
  return y;
}

}  // namespace

Tensor max_pool3d(const Tensor& x, Size3 kernel_size, OptionalTuple<3> stride, Size3 padding,
                  Size3 dilation, bool ceil_mode) {
  return max_pool3d_checked(x, {kernel_size, stride, padding, dilation, ceil_mode}, false).first;
}

std::pair<Tensor, Tensor> max_pool3d_with_indices(const Tensor& x, Size3 kernel_size,
                                                  OptionalTuple<3> stride, Size3 padding,
                                                  Size3 dilation, bool ceil_mode) {
  return max_pool3d_checked(x, {kernel_size, stride, padding, dilation, ceil_mode}, true);
}

Tensor avg_pool3d(const Tensor& x, Size3 kernel_size, OptionalTuple<3> stride, Size3 padding,
                  bool ceil_mode, bool count_include_pad, std::optional<int64_t> divisor_override) {
  detail::check_defined(x, "avg_pool3d");
  NNM_CHECK(!divisor_override || *divisor_override != 0, runtime, "divisor must be not zero");
  check_volume(x, "avg_pool3d()");
  const Windows3 w(kernel_size, stride, padding, 1, ceil_mode);
  detail::check_windows(w);
  const Shape s = batch_shape(x);
  NNM_CHECK(s[2] >= w.kernel[0] && s[3] >= w.kernel[1] && s[4] >= w.kernel[2], runtime,
            "input image (T: {} H: {} W: {}) smaller than kernel size (kT: {} kH: {} kW: {})", s[2],
            s[3], s[4], w.kernel[0], w.kernel[1], w.kernel[2]);
  detail::check_floating(x, "avg_pool3d_out_frame");
  BoxPool p = box_pool(w);
  p.slice.count_include_pad = p.depth.count_include_pad = count_include_pad;
  if (divisor_override) {
    p.slice.divisor = *divisor_override;
    p.depth.divisor = 1;
  }
  return avg_volume("AvgPool3DBackward0", x, pooled_volume(x, w), p);
}

Tensor adaptive_avg_pool3d(const Tensor& x, const OptSize3& output_size) {
  const Shape shape = adaptive_volume(x, output_size, "adaptive_avg_pool3d");
  // PyTorch takes the mean of the whole volume by its reduction.
  const bool whole = shape[2] == 1 && shape[3] == 1 && shape[4] == 1;
  return avg_volume(whole ? "MeanBackward1" : "AdaptiveAvgPool3DBackward0", x, shape,
                    adaptive_box());
}

std::pair<Tensor, Tensor> adaptive_max_pool3d_with_indices(const Tensor& x,
                                                           const OptSize3& output_size) {
  const Shape shape = adaptive_volume(x, output_size, "adaptive_max_pool3d");
  return max_volume("AdaptiveMaxPool3DBackward0", x, shape, adaptive_box(), true);
}

Tensor adaptive_max_pool3d(const Tensor& x, const OptSize3& output_size) {
  const Shape shape = adaptive_volume(x, output_size, "adaptive_max_pool3d");
  return max_volume("AdaptiveMaxPool3DBackward0", x, shape, adaptive_box(), false).first;
}

}  // namespace nnm
