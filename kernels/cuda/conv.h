// The shape of a convolution as the kernels of its three passes see it.
#pragma once

#include "kernels/conv.h"
#include "kernels/cuda/divisor.h"
#include "kernels/cuda/element.h"

namespace nnm::cuda {
namespace {

/// Of x (N, C, H, W), w (O, C / groups, KH, KW) and y (N, O, OH, OW), the images with channels
/// innermost. An image's pixels in all samples number less than 2^31.
struct ConvShape {
  int n, h, w, channels, outputs;  ///< channels and outputs of all groups
  int kh, kw, oh, ow, groups, c, o;
  int stride[2], dilation[2], before[2];
  bool f16;  ///< which Short elements are
  Divisor by_stride[2], by_h, by_w, by_oh, by_ow, by_kw, by_c, by_o;

  ConvShape(const View& x, const View& w_, const View& y, const Conv2d& p)
      : n(int_of(x.size[0])),
        h(int_of(x.size[2])),
        w(int_of(x.size[3])),
        channels(int_of(x.size[1])),
        outputs(int_of(y.size[1])),
        kh(int_of(w_.size[2])),
        kw(int_of(w_.size[3])),
        oh(int_of(y.size[2])),
        ow(int_of(y.size[3])),
        groups(int_of(p.groups)),
        c(channels / groups),
        o(outputs / groups),
        f16(x.dtype == DType::f16),
        by_h(h),
        by_w(w),
        by_oh(oh),
        by_ow(ow),
        by_kw(kw),
        by_c(c),
        by_o(o) {
    for (int i = 0; i < 2; ++i) {
      stride[i] = int_of(p.stride[i]);
      dilation[i] = int_of(p.dilation[i]);
      before[i] = int_of(p.before[i]);
      by_stride[i] = Divisor(stride[i]);
    }
  }
  NNM_HD int taps() const { return kh * kw; }
  NNM_HD int depth() const { return taps() * c; }  ///< weights of one output
  NNM_HD int in_pixels() const { return n * h * w; }
  NNM_HD int out_pixels() const { return n * oh * ow; }
  NNM_HD int64_t weights() const { return int64_t{outputs} * depth(); }
  /// A patch is a pixel: the passes are products of matrices as they lie.
  bool pointwise() const {
    return groups == 1 && taps() == 1 && stride[0] == 1 && stride[1] == 1 && oh == h && ow == w &&
           before[0] == 0 && before[1] == 0;
  }

 private:
  static int int_of(int64_t i) { return static_cast<int>(i); }
};

/// The corner of a pixel's window: its image's first pixel, and where the window begins.
struct Corner {
  int image, y, x;
};
/// An element of a window, from its corner.
struct Tap {
  int y, x, channel;
};
/// Added to a coordinate, takes any pixel out of its image, twice without an overflow.
constexpr int kOutside = -(1 << 30);

/// The window of x that output pixel i looks at.
__device__ inline Corner window_of(const ConvShape& s, int i) {
  if (i >= s.out_pixels()) return {0, kOutside, kOutside};
  int oy, ox;
  const int n = s.by_oh.divide(s.by_ow.divide(i, ox), oy);
  return {n * s.h * s.w, oy * s.stride[0] - s.before[0], ox * s.stride[1] - s.before[1]};
}

/// Element i of a window whose taps have `channels` each.
__device__ inline Tap tap_of(const ConvShape& s, int i, int channels, const Divisor& by_channels) {
  if (i >= s.taps() * channels) return {kOutside, kOutside, 0};
  int channel, kx;
  const int ky = s.by_kw.divide(by_channels.divide(i, channel), kx);
  return {ky * s.dilation[0], kx * s.dilation[1], channel};
}

/// x at a tap of a window, 0 outside of the image. `first` is the group's first channel.
template <class T>
__device__ inline Compute<T> pixel_at(const ConvShape& s, const T* x, const Corner& at,
                                      const Tap& tap, int first) {
  const int y = at.y + tap.y, column = at.x + tap.x;
  if (static_cast<unsigned>(y) >= static_cast<unsigned>(s.h) ||
      static_cast<unsigned>(column) >= static_cast<unsigned>(s.w))
    return 0;
  const int64_t pixel = at.image + y * s.w + column;
  return widened<Compute<T>>(x[pixel * s.channels + first + tap.channel], s.f16);
}

inline View matrix(const View& like, int64_t rows, int64_t columns, int64_t row_stride,
                   int64_t column_stride) {
  View v = like;
  v.ndim = 2;
  v.size[0] = rows, v.size[1] = columns;
  v.stride[0] = row_stride, v.stride[1] = column_stride;
  return v;
}

}  // namespace
}  // namespace nnm::cuda
