// Convolutions of volumes by those of images: for each depth of the result, the slices of x that a
// kernel meets become channels of one image, in the order group, tap, channel.
#include "kernels/pointwise.h"
#include "nnm/ops/conv_passes.h"
#include "nnm/ops/taps.h"

namespace nnm::detail {

namespace {

Tensor viewed(const Tensor& t, const Shape& sizes, const Shape& strides, int64_t offset = 0) {
  return t.as_strided(sizes, strides, t.impl()->offset + offset);
}

// (N, C, D, H, W), channels innermost, as images (N D, C, H, W).
Tensor slices(const Tensor& t) {
  const Shape& n = t.shape();
  const int64_t c = n[1], row = n[4] * c;
  return viewed(t, {n[0] * n[2], c, n[3], n[4]}, {n[3] * row, 1, row, c});
}

// Whether every depth of the result meets the slice of the same depth alone.
bool is_slicewise(const Tensor& x, const Tensor& y, const Tensor& w, const Convolution& p) {
  return w.shape()[2] == 1 && p.stride[0] == 1 && p.before[0] == 0 && x.shape()[2] == y.shape()[2];
}

// The slices of x for each depth of y.
class Stacked {
 public:
  // x (N, C, D, H, W), of which y has `depth` slices.
  Stacked(const Tensor& x, int64_t depth, int64_t taps, const Convolution& p)
      : x_(x), depth_(depth), taps_(taps), p_(p) {}

  Tensor empty_images() const {
    const Shape& n = x_.shape();
    return empty_channels_last({n[0] * depth_, n[1] * taps_, n[3], n[4]}, x_.options());
  }
  Tensor images() const {
    Tensor out = empty_images();
    for (int64_t tap = 0; tap < taps_; ++tap) {
      const Meeting m = depths(tap);
      const int64_t begin = std::min(m.begin, depth_);
      for (const Meeting& outside : {Meeting{0, begin}, Meeting{begin + m.count(), depth_}})
        if (outside.count() > 0) kernels::fill(of_images(out, tap, outside), 0, 0);
      if (m.count() > 0) kernels::copy(of_images(out, tap, m), of_volume(tap, m));
    }
    return out;
  }
  // x gets the sum of what lies in images.
  void gather(const Tensor& images) const {
    kernels::fill(x_, 0, 0);
    for (int64_t tap = 0; tap < taps_; ++tap) {
      const Meeting m = depths(tap);
      if (m.count() == 0) continue;
      const Tensor to = of_volume(tap, m);
      kernels::binary(to, to, of_images(images, tap, m), Binary::add, compute_type(x_.dtype()), 1);
    }
  }

 private:
  // Depths of y at which a tap meets a slice.
  Meeting depths(int64_t tap) const {
    const int64_t first = tap * p_.dilation[0] - p_.before[0];
    return meeting(depth_, x_.shape()[2], first, p_.stride[0]);
  }
  // (N, depths, H W, groups, channels of a group).
  Shape sizes(Meeting m) const {
    const Shape& n = x_.shape();
    return {n[0], m.count(), n[3] * n[4], p_.groups, n[1] / p_.groups};
  }
  Tensor of_volume(int64_t tap, Meeting m) const {
    const Shape& n = x_.shape();
    const int64_t slice = n[3] * n[4] * n[1];
    const int64_t first = m.begin * p_.stride[0] + tap * p_.dilation[0] - p_.before[0];
    return viewed(x_, sizes(m), {n[2] * slice, p_.stride[0] * slice, n[1], n[1] / p_.groups, 1},
                  first * slice);
  }
  Tensor of_images(const Tensor& images, int64_t tap, Meeting m) const {
    const Shape& n = x_.shape();
    const int64_t channels = n[1] * taps_, image = n[3] * n[4] * channels, group = n[1] / p_.groups;
    return viewed(images, sizes(m), {depth_ * image, image, channels, taps_ * group, 1},
                  m.begin * image + tap * group);
  }

  Tensor x_;
  int64_t depth_, taps_;
  const Convolution& p_;
};

// Row-major weights (O, C, KD, KH, KW), seen in the order in which those of images lie.
Tensor taps_first(const Tensor& w) {
  const Shape& n = w.shape();
  const int64_t tap = n[3] * n[4];
  return viewed(w, {n[0], n[2], n[1], n[3], n[4]}, {n[1] * n[2] * tap, tap, n[2] * tap, n[4], 1});
}
// (O, KD C, KH, KW), row-major.
Tensor empty_image_weights(const Tensor& w) {
  const Shape& n = w.shape();
  return empty({n[0], n[2] * n[1], n[3], n[4]}, w.options());
}
Tensor as_taps(const Tensor& image_weights, const Tensor& w) {
  const Shape sizes = taps_first(w).shape();
  return viewed(image_weights, sizes, contiguous_strides(sizes));
}
Tensor image_weights(const Tensor& w) {
  Tensor out = empty_image_weights(w);
  kernels::copy(as_taps(out, w), taps_first(w));
  return out;
}
// Where there is one tap in depth nothing has to move.
Tensor single_tap(const Tensor& w) {
  const Shape& n = w.shape();
  const Shape sizes{n[0], n[1], n[3], n[4]};
  return viewed(w, sizes, contiguous_strides(sizes));
}

}  // namespace

Conv2d Convolution::image() const {
  return {{stride[1], stride[2]},
          {dilation[1], dilation[2]},
          {before[1], before[2]},
          {after[1], after[2]},
          groups};
}

void conv_forward(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Convolution& p, Weights weights) {
  if (p.rank < 3) return conv2d_forward(y, x, w, bias, p.image(), weights);
  if (is_slicewise(x, y, w, p))
    return conv2d_forward(slices(y), slices(x), single_tap(w), bias, p.image(), weights);
  const Stacked stacked(x, y.shape()[2], w.shape()[2], p);
  conv2d_forward(slices(y), stacked.images(), image_weights(w), bias, p.image());
}

void conv_backward_input(const Tensor& dx, const Tensor& g, const Tensor& w, const Convolution& p) {
  if (p.rank < 3) return conv2d_backward_input(dx, g, w, p.image());
  if (is_slicewise(dx, g, w, p))
    return conv2d_backward_input(slices(dx), slices(g), single_tap(w), p.image());
  const Stacked stacked(dx, g.shape()[2], w.shape()[2], p);
  const Tensor images = stacked.empty_images();
  conv2d_backward_input(images, slices(g), image_weights(w), p.image());
  stacked.gather(images);
}

void conv_backward_weight(const Tensor& dw, const Tensor& dbias, const Tensor& g, const Tensor& x,
                          const Convolution& p) {
  if (p.rank < 3) return conv2d_backward_weight(dw, dbias, g, x, p.image());
  if (is_slicewise(x, g, dw, p))
    return conv2d_backward_weight(single_tap(dw), dbias, slices(g), slices(x), p.image());
  const Stacked stacked(x, g.shape()[2], dw.shape()[2], p);
  const Tensor out = empty_image_weights(dw);
  conv2d_backward_weight(out, dbias, slices(g), stacked.images(), p.image());
  kernels::copy(taps_first(dw), as_taps(out, dw));
}

}  // namespace nnm::detail
