// Convolution and its gradient for the input: products of tiles whose left operand is gathered from
// the image; groups of few channels, one result a thread.
#include <type_traits>

#include "kernels/cuda/conv.h"

#include "kernels/cuda/dnn_conv.h"
#include "kernels/cuda/patches.h"
#include "kernels/cuda/plugin.h"
#include "kernels/cuda/tile.h"
#include "kernels/gemm.h"

namespace nnm::cuda {
namespace {

/// Results of a group from which tiles are not mostly empty.
constexpr int kTileChannels = 8;

/// Weights (O, C, taps) as (group, taps, C, O per group), or with `input` as (group, taps, O per
/// group, C): the right operand in rows.
template <class T>
__global__ void pack_weights(T* out, const T* w, ConvShape s, bool input) {
  const int64_t at = global_thread();
  if (at >= s.weights()) return;
  const int taps = s.taps(), inner = input ? s.c : s.o, middle = input ? s.o : s.c;
  int64_t rest;
  const auto first = static_cast<int>(divide(at, inner, &rest) % middle);
  const int64_t group_tap = at / inner / middle;
  const int c = input ? static_cast<int>(rest) : first, o = input ? first : static_cast<int>(rest);
  const int64_t group = group_tap / taps, tap = group_tap % taps;
  out[at] = w[((group * s.o + o) * s.c + c) * taps + tap];
}

template <class T>
void pack(T* out, const View& w, const ConvShape& s, bool input) {
  NNM_LAUNCH(pack_weights<T>, blocks_for(s.weights()), dim3(kThreads), 0, out, w.as<T>(), s, input);
}

/// The right operand of products: packed weights (group, depth, columns).
template <class T>
struct PackedWeights {
  using C = Compute<T>;
  static constexpr bool kDeep = true;
  const T* w;
  int columns, depth;
  bool f16;
  int group = 0;

  __device__ void place(int i) {
    group = i;
    w += static_cast<int64_t>(i) * depth * columns;
  }
  __device__ int column(int n) const { return n; }
  __device__ int step(int k) const { return k; }
  __device__ C b(int n, int k) const {
    if (n >= columns || k >= depth) return 0;
    return widened<C>(w[static_cast<int64_t>(k) * columns + n], f16);
  }
};

/// y: rows are pixels, columns a group's outputs, the depth its window.
template <class T>
struct Forward : PackedWeights<T> {
  using C = Compute<T>;
  ConvShape s;
  T* y;
  const T *x, *bias;
  int rows;

  __device__ Corner row(int m) const { return window_of(s, m); }
  __device__ Tap level(int k) const { return tap_of(s, k, s.c, s.by_c); }
  __device__ C a(const Corner& at, const Tap& tap) const {
    return pixel_at(s, x, at, tap, this->group * s.c);
  }
  __device__ void store(int m, int n, C sum) const {
    const int o = this->group * s.o + n;
    if (bias) sum += widened<C>(bias[o], s.f16);
    y[static_cast<int64_t>(m) * s.outputs + o] = narrowed<T>(sum, s.f16);
  }
};

/// One output of a group of few.
template <class T>
__global__ void convolve_directly(ConvShape s, T* y, const T* x, const T* w, const T* bias) {
  using C = Compute<T>;
  const int64_t at = global_thread();
  if (at >= static_cast<int64_t>(s.n) * s.oh * s.ow * s.outputs) return;
  int64_t o;
  const Corner corner = window_of(s, static_cast<int>(divide(at, s.outputs, &o)));
  const int first = static_cast<int>(o) / s.o * s.c, taps = s.taps();
  const T* weights = w + o * s.depth();
  C sum = bias ? widened<C>(bias[o], s.f16) : C(0);
  for (int ky = 0; ky < s.kh; ++ky) {
    for (int kx = 0; kx < s.kw; ++kx) {
      for (int c = 0; c < s.c; ++c) {
        const Tap tap{ky * s.dilation[0], kx * s.dilation[1], c};
        sum += pixel_at(s, x, corner, tap, first) *
               widened<C>(weights[c * taps + ky * s.kw + kx], s.f16);
      }
    }
  }
  y[at] = narrowed<T>(sum, s.f16);
}

/// y as products of patches and weights (depth, O).
template <class T>
void forward_by_patches(const ConvShape& s, const View& y, const View& x, const View& w,
                        const View& bias) {
  const Scratch<T> packed(s.weights()), patches(patch_elements(s));
  pack(packed.get(), w, s, false);
  each_batch(s, [&](const Batch& b) {
    const int64_t pixels = int64_t{s.oh} * s.ow, n = b.count * pixels;
    lay(s, patches.get(), x.as<T>(), b);
    kernels::gemm(pixel_rows(y, y.as<T>() + b.first * pixels * s.o, n, s.o),
                  pixel_rows(y, patches.get(), n, s.depth()),
                  pixel_rows(y, packed.get(), s.depth(), s.o), bias, 1, 0);
  });
}

template <class T>
void forward(const ConvShape& s, const View& y, const View& x, const View& w, const View& bias) {
  if constexpr (std::is_same_v<T, Short>)
    if (has_patches(s, x)) return forward_by_patches<T>(s, y, x, w, bias);
  if (s.groups > 1 && s.o < kTileChannels) {
    NNM_LAUNCH(convolve_directly<T>, blocks_for(y.numel()), dim3(kThreads), 0, s, y.as<T>(),
               x.as<T>(), w.as<T>(), bias.as<T>());
    return;
  }
  const Scratch<T> packed(s.weights());
  pack(packed.get(), w, s, false);
  multiply_tiles(Forward<T>{{packed.get(), s.o, s.depth(), s.f16},
                            s,
                            y.as<T>(),
                            x.as<T>(),
                            bias.as<T>(),
                            s.out_pixels()},
                 s.groups);
}

void conv2d_cuda(const View& y, const View& x, const View& w, const View& bias, const Conv2d& p) {
  if (y.numel() == 0) return;
  const ConvShape s(x, w, y, p);
  if (s.pointwise()) {
    kernels::gemm(matrix(y, s.out_pixels(), s.o, s.o, 1), matrix(x, s.out_pixels(), s.c, s.c, 1),
                  matrix(w, s.c, s.o, 1, s.c), bias, 1, 0);
    return;
  }
  if (conv2d_by_dnn(y, x, w, bias, p)) return;
  by_memory(x.dtype, [&]<class T>() { forward<T>(s, y, x, w, bias); });
}

/// The input's pixel i as outputs see it: where a tap must begin to reach it.
__device__ inline Corner reached_of(const ConvShape& s, int i) {
  if (i >= s.in_pixels()) return {0, kOutside, kOutside};
  int y, x;
  const int n = s.by_h.divide(s.by_w.divide(i, x), y);
  return {n * s.oh * s.ow, y + s.before[0], x + s.before[1]};
}

/// The output pixel whose tap reaches the pixel, -1 where there is none.
__device__ inline int output_reached(const ConvShape& s, const Corner& at, const Tap& tap) {
  const int y = at.y - tap.y, x = at.x - tap.x;
  if (at.y < 0 || tap.y < 0 || y < 0 || x < 0) return -1;
  int off_y, off_x;
  const int oy = s.by_stride[0].divide(y, off_y), ox = s.by_stride[1].divide(x, off_x);
  if (off_y != 0 || off_x != 0 || oy >= s.oh || ox >= s.ow) return -1;
  return at.image + oy * s.ow + ox;
}

/// g of that output, 0 where there is none. `first` is the group's first output.
template <class T>
__device__ inline Compute<T> gradient_at(const ConvShape& s, const T* g, const Corner& at,
                                         const Tap& tap, int first) {
  const int pixel = output_reached(s, at, tap);
  if (pixel < 0) return 0;
  return widened<Compute<T>>(g[int64_t{pixel} * s.outputs + first + tap.channel], s.f16);
}

/// dx: rows are the input's pixels, columns a group's channels, the depth its outputs at all taps.
template <class T>
struct BackwardInput : PackedWeights<T> {
  using C = Compute<T>;
  ConvShape s;
  T* dx;
  const T* g;
  int rows;

  __device__ Corner row(int m) const { return reached_of(s, m); }
  __device__ Tap level(int k) const { return tap_of(s, k, s.o, s.by_o); }
  __device__ C a(const Corner& at, const Tap& tap) const {
    return gradient_at(s, g, at, tap, this->group * s.o);
  }
  __device__ void store(int m, int n, C sum) const {
    dx[static_cast<int64_t>(m) * s.channels + this->group * s.c + n] = narrowed<T>(sum, s.f16);
  }
};

template <class T>
__global__ void gradient_directly(ConvShape s, T* dx, const T* g, const T* w) {
  using C = Compute<T>;
  const int64_t at = global_thread();
  if (at >= static_cast<int64_t>(s.n) * s.h * s.w * s.channels) return;
  int64_t channel;
  const Corner corner = reached_of(s, static_cast<int>(divide(at, s.channels, &channel)));
  const int group = static_cast<int>(channel) / s.c, c = static_cast<int>(channel) % s.c;
  C sum = 0;
  for (int ky = 0; ky < s.kh; ++ky) {
    for (int kx = 0; kx < s.kw; ++kx) {
      for (int o = 0; o < s.o; ++o) {
        const Tap tap{ky * s.dilation[0], kx * s.dilation[1], o};
        const int64_t row = (static_cast<int64_t>(group) * s.o + o) * s.c + c;
        sum += gradient_at(s, g, corner, tap, group * s.o) *
               widened<C>(w[row * s.taps() + ky * s.kw + kx], s.f16);
      }
    }
  }
  dx[at] = narrowed<T>(sum, s.f16);
}

/// dx of the batch's images: adds up what the gradients of patches (pixels, taps, C) say of a
/// pixel, tap by tap.
template <class T>
__global__ void fold_patches(ConvShape s, T* dx, const T* patches, Batch b) {
  using C = Compute<T>;
  using Access = Pack<T, kPatchChannels>;
  const int64_t i = global_thread();
  const int each = s.c / kPatchChannels, first = b.first * s.h * s.w;
  if (i >= int64_t{b.count} * s.h * s.w * each) return;
  int64_t k;
  const int pixel = static_cast<int>(divide(i, each, &k)) + first;
  const Corner at = reached_of(s, pixel);
  C sum[kPatchChannels] = {};
  for (int tap = 0; tap < s.taps(); ++tap) {
    int kx;
    const int ky = s.by_kw.divide(tap, kx);
    const int output = output_reached(s, at, {ky * s.dilation[0], kx * s.dilation[1], 0});
    if (output < 0) continue;
    const int64_t row = output - b.first * s.oh * s.ow;
    const Access v = reinterpret_cast<const Access*>(patches)[(row * s.taps() + tap) * each + k];
#pragma unroll
    for (int j = 0; j < kPatchChannels; ++j) sum[j] += widened<C>(v.v[j], s.f16);
  }
  Access v;
#pragma unroll
  for (int j = 0; j < kPatchChannels; ++j) v.v[j] = narrowed<T>(sum[j], s.f16);
  reinterpret_cast<Access*>(dx)[int64_t{pixel} * each + k] = v;
}

/// dx from the gradients of patches, products of g and weights (O, depth).
template <class T>
void backward_input_by_patches(const ConvShape& s, const View& dx, const View& g, const View& w) {
  const Scratch<T> packed(s.weights()), patches(patch_elements(s));
  pack(packed.get(), w, s, false);
  View weights = matrix(w, s.o, s.depth(), 1, s.o);
  weights.data = packed.get();
  each_batch(s, [&](const Batch& b) {
    const int64_t pixels = int64_t{s.oh} * s.ow, n = b.count * pixels;
    kernels::gemm(pixel_rows(dx, patches.get(), n, s.depth()),
                  pixel_rows(dx, g.as<T>() + b.first * pixels * s.o, n, s.o), weights, View{}, 1,
                  0);
    NNM_LAUNCH(fold_patches<T>, blocks_for(int64_t{b.count} * s.h * s.w * s.c / kPatchChannels),
               dim3(kThreads), 0, s, dx.as<T>(), patches.get(), b);
  });
}

template <class T>
void backward_input(const ConvShape& s, const View& dx, const View& g, const View& w) {
  if constexpr (std::is_same_v<T, Short>)
    if (has_patches(s, dx)) return backward_input_by_patches<T>(s, dx, g, w);
  if (s.groups > 1 && s.c < kTileChannels) {
    NNM_LAUNCH(gradient_directly<T>, blocks_for(dx.numel()), dim3(kThreads), 0, s, dx.as<T>(),
               g.as<T>(), w.as<T>());
    return;
  }
  const Scratch<T> packed(s.weights());
  pack(packed.get(), w, s, true);
  multiply_tiles(
      BackwardInput<T>{
          {packed.get(), s.c, s.taps() * s.o, s.f16}, s, dx.as<T>(), g.as<T>(), s.in_pixels()},
      s.groups);
}

void conv2d_backward_input_cuda(const View& dx, const View& g, const View& w, const Conv2d& p) {
  if (dx.numel() == 0) return;
  const ConvShape s(dx, w, g, p);
  if (s.pointwise()) {
    kernels::gemm(matrix(dx, s.in_pixels(), s.c, s.c, 1), matrix(g, s.in_pixels(), s.o, s.o, 1),
                  matrix(w, s.o, s.c, s.c, 1), View{}, 1, 0);
    return;
  }
  if (conv2d_backward_input_by_dnn(dx, g, w, p)) return;
  by_memory(dx.dtype, [&]<class T>() { backward_input<T>(s, dx, g, w); });
}

}  // namespace
}  // namespace nnm::cuda

NNM_CUDA_KERNEL(conv2d, nnm::cuda::conv2d_cuda);
NNM_CUDA_KERNEL(conv2d_backward_input, nnm::cuda::conv2d_backward_input_cuda);
