// Convolution with channels innermost: patches as rows of a matrix product; depthwise directly.
#include "kernels/conv.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/gemm.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kPatchBytes = 1 << 19;  ///< of the patches that are laid out at once
constexpr int64_t kParts = 8;             ///< of the weight gradient's sum; fixed for repeatability

// The shapes of one convolution, per group.
struct Geometry {
  int64_t n, h, w, channels, outputs;  ///< channels and outputs of the whole
  int64_t kh, kw, oh, ow, groups, c, o;
  Conv2d p;
  Geometry(const View& x, const View& w_, const View& y, const Conv2d& conv)
      : n(x.size[0]),
        h(x.size[2]),
        w(x.size[3]),
        channels(x.size[1]),
        outputs(y.size[1]),
        kh(w_.size[2]),
        kw(w_.size[3]),
        oh(y.size[2]),
        ow(y.size[3]),
        groups(conv.groups),
        c(channels / conv.groups),
        o(outputs / conv.groups),
        p(conv) {}
  int64_t depth() const { return kh * kw * c; }
  int64_t pixels() const { return oh * ow; }
  /// A patch is a pixel as it lies: no copy needed.
  bool pointwise() const {
    return kh == 1 && kw == 1 && p.stride[0] == 1 && p.stride[1] == 1 && oh == h && ow == w &&
           p.before[0] == 0 && p.before[1] == 0;
  }
  bool depthwise() const { return groups > 1 && c == 1 && o == 1; }
};

View matrix(void* data, DType t, int64_t rows, int64_t columns, int64_t row_stride,
            int64_t column_stride = 1) {
  View v;
  v.data = data;
  v.dtype = t;
  v.ndim = 2;
  v.size[0] = rows, v.size[1] = columns;
  v.stride[0] = row_stride, v.stride[1] = column_stride;
  return v;
}

// Weights (O, C, KH, KW) as (group, KH KW C, O per group), so that patches times them is a row of
// pixels.
template <class T>
std::vector<T> packed_weights(const Geometry& s, const T* w) {
  std::vector<T> out(static_cast<size_t>(s.outputs * s.depth()));
  const int64_t taps = s.kh * s.kw;
  for (int64_t g = 0; g < s.groups; ++g) {
    T* to = out.data() + g * s.depth() * s.o;
    for (int64_t o = 0; o < s.o; ++o) {
      const T* from = w + (g * s.o + o) * s.depth();
      for (int64_t c = 0; c < s.c; ++c)
        for (int64_t k = 0; k < taps; ++k) to[(k * s.c + c) * s.o + o] = from[c * taps + k];
    }
  }
  return out;
}

// Rows `begin` … `end` of pixels of image n, as patches (kh, kw, c) of group g.
template <class T>
void gather_patches(const Geometry& s, const T* x, int64_t n, int64_t g, int64_t begin, int64_t end,
                    T* out) {
  const T* image = x + n * s.h * s.w * s.channels + g * s.c;
  const auto bytes = static_cast<size_t>(s.c) * sizeof(T);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t y0 = i / s.ow * s.p.stride[0] - s.p.before[0],
                  x0 = i % s.ow * s.p.stride[1] - s.p.before[1];
    for (int64_t ky = 0; ky < s.kh; ++ky) {
      const int64_t iy = y0 + ky * s.p.dilation[0];
      for (int64_t kx = 0; kx < s.kw; ++kx, out += s.c) {
        const int64_t ix = x0 + kx * s.p.dilation[1];
        if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) {
          std::memset(static_cast<void*>(out), 0, bytes);
        } else if (s.c == 1) {
          *out = image[(iy * s.w + ix) * s.channels];
        } else {
          std::memcpy(static_cast<void*>(out), image + (iy * s.w + ix) * s.channels, bytes);
        }
      }
    }
  }
}

// The reverse: adds patches into an image.
template <class T>
void scatter_patches(const Geometry& s, const T* patches, int64_t g, int64_t begin, int64_t end,
                     Compute<T>* image) {
  using C = Compute<T>;
  C* base = image + g * s.c;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t y0 = i / s.ow * s.p.stride[0] - s.p.before[0],
                  x0 = i % s.ow * s.p.stride[1] - s.p.before[1];
    for (int64_t ky = 0; ky < s.kh; ++ky) {
      const int64_t iy = y0 + ky * s.p.dilation[0];
      for (int64_t kx = 0; kx < s.kw; ++kx, patches += s.c) {
        const int64_t ix = x0 + kx * s.p.dilation[1];
        if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
        C* to = base + (iy * s.w + ix) * s.channels;
#pragma omp simd
        for (int64_t c = 0; c < s.c; ++c) to[c] += static_cast<C>(patches[c]);
      }
    }
  }
}

// Pixels whose patches fit the budget.
template <class T>
int64_t block_pixels(const Geometry& s) {
  const int64_t bytes = std::max<int64_t>(1, s.depth() * static_cast<int64_t>(sizeof(T)));
  return std::clamp<int64_t>(kPatchBytes / bytes, 1, s.pixels());
}

// y of depthwise convolution, a pixel of all channels at a time.
template <class T>
void depthwise_forward(const Geometry& s, T* y, const T* x, const T* w, const T* bias) {
  using C = Compute<T>;
  const int64_t taps = s.kh * s.kw, channels = s.channels;
  std::vector<C> taps_first(static_cast<size_t>(taps * channels));
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t k = 0; k < taps; ++k)
      taps_first[static_cast<size_t>(k * channels + c)] = static_cast<C>(w[c * taps + k]);
  parallel_for(s.n * s.oh, 1, [&](int64_t begin, int64_t end) {
    std::vector<C> sum(static_cast<size_t>(channels));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / s.oh, y0 = row % s.oh * s.p.stride[0] - s.p.before[0];
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        for (int64_t c = 0; c < channels; ++c)
          sum[static_cast<size_t>(c)] = bias ? static_cast<C>(bias[c]) : C(0);
        const int64_t x0 = ow * s.p.stride[1] - s.p.before[1];
        for (int64_t k = 0; k < taps; ++k) {
          const int64_t iy = y0 + k / s.kw * s.p.dilation[0], ix = x0 + k % s.kw * s.p.dilation[1];
          if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
          const T* in = x + ((n * s.h + iy) * s.w + ix) * channels;
          const C* wk = taps_first.data() + k * channels;
          C* to = sum.data();
#pragma omp simd
          for (int64_t c = 0; c < channels; ++c) to[c] += wk[c] * static_cast<C>(in[c]);
        }
        T* out = y + (row * s.ow + ow) * channels;
        for (int64_t c = 0; c < channels; ++c) out[c] = T(sum[static_cast<size_t>(c)]);
      }
    }
  });
}

void conv2d_cpu(const View& y, const View& x, const View& w, const View& bias, const Conv2d& p) {
  const Geometry s(x, w, y, p);
  if (y.numel() == 0) return;
  by_floating(x.dtype, [&]<class T>() {
    T *out = y.as<T>(), *in = x.as<T>();
    const DType t = x.dtype;
    if (s.depthwise())
      return depthwise_forward<T>(s, out, in, w.as<T>(), bias.data ? bias.as<T>() : nullptr);
    std::vector<T> packed = packed_weights(s, w.as<T>());
    const auto bias_of = [&](int64_t g) {
      View b = bias;
      if (b.data) b.data = b.as<T>() + g * s.o * b.stride[0], b.size[0] = s.o;
      return b;
    };
    const auto weights = [&](int64_t g) {
      return matrix(packed.data() + g * s.depth() * s.o, t, s.depth(), s.o, s.o);
    };
    if (s.pointwise()) {
      for (int64_t g = 0; g < s.groups; ++g) {
        kernels::gemm(matrix(out + g * s.o, t, s.n * s.pixels(), s.o, s.outputs),
                      matrix(in + g * s.c, t, s.n * s.pixels(), s.c, s.channels), weights(g),
                      bias_of(g), 1, 0);
      }
      return;
    }
    const int64_t block = block_pixels<T>(s), blocks = (s.pixels() + block - 1) / block;
    parallel_for(s.n * blocks, 1, [&](int64_t begin, int64_t end) {
      std::vector<T> patches(static_cast<size_t>(block * s.depth()));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / blocks, first = i % blocks * block,
                      last = std::min(s.pixels(), first + block);
        for (int64_t g = 0; g < s.groups; ++g) {
          gather_patches(s, in, n, g, first, last, patches.data());
          kernels::gemm(matrix(out + (n * s.pixels() + first) * s.outputs + g * s.o, t,
                               last - first, s.o, s.outputs),
                        matrix(patches.data(), t, last - first, s.depth(), s.depth()), weights(g),
                        bias_of(g), 1, 0);
        }
      }
    });
  });
}

template <class T>
void depthwise_backward_input(const Geometry& s, T* dx, const T* g, const T* w) {
  using C = Compute<T>;
  const int64_t taps = s.kh * s.kw, channels = s.channels;
  std::vector<C> taps_first(static_cast<size_t>(taps * channels));
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t k = 0; k < taps; ++k)
      taps_first[static_cast<size_t>(k * channels + c)] = static_cast<C>(w[c * taps + k]);
  parallel_for(s.n, 1, [&](int64_t begin, int64_t end) {
    std::vector<C> image(static_cast<size_t>(s.h * s.w * channels));
    for (int64_t n = begin; n < end; ++n) {
      std::fill(image.begin(), image.end(), C(0));
      for (int64_t i = 0; i < s.pixels(); ++i) {
        const T* from = g + (n * s.pixels() + i) * channels;
        for (int64_t k = 0; k < taps; ++k) {
          const int64_t iy = i / s.ow * s.p.stride[0] - s.p.before[0] + k / s.kw * s.p.dilation[0];
          const int64_t ix = i % s.ow * s.p.stride[1] - s.p.before[1] + k % s.kw * s.p.dilation[1];
          if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
          C* to = image.data() + (iy * s.w + ix) * channels;
          const C* wk = taps_first.data() + k * channels;
#pragma omp simd
          for (int64_t c = 0; c < channels; ++c) to[c] += wk[c] * static_cast<C>(from[c]);
        }
      }
      T* out = dx + n * s.h * s.w * channels;
      for (size_t i = 0; i < image.size(); ++i) out[i] = T(image[i]);
    }
  });
}

void conv2d_backward_input_cpu(const View& dx, const View& g, const View& w, const Conv2d& p) {
  const Geometry s(dx, w, g, p);
  if (dx.numel() == 0) return;
  by_floating(dx.dtype, [&]<class T>() {
    using C = Compute<T>;
    T *out = dx.as<T>(), *in = g.as<T>();
    const DType t = dx.dtype;
    if (s.depthwise()) return depthwise_backward_input<T>(s, out, in, w.as<T>());
    std::vector<T> packed = packed_weights(s, w.as<T>());
    // (O, depth): the packed weights seen by rows of outputs.
    const auto weights = [&](int64_t k) {
      return matrix(packed.data() + k * s.depth() * s.o, t, s.o, s.depth(), 1, s.o);
    };
    if (s.pointwise()) {
      for (int64_t k = 0; k < s.groups; ++k) {
        kernels::gemm(matrix(out + k * s.c, t, s.n * s.pixels(), s.c, s.channels),
                      matrix(in + k * s.o, t, s.n * s.pixels(), s.o, s.outputs), weights(k), View{},
                      1, 0);
      }
      return;
    }
    const int64_t block = block_pixels<T>(s);
    parallel_for(s.n, 1, [&](int64_t begin, int64_t end) {
      std::vector<T> patches(static_cast<size_t>(block * s.depth()));
      std::vector<C> sums(kIsHalf<T> ? static_cast<size_t>(s.h * s.w * s.channels) : 0);
      for (int64_t n = begin; n < end; ++n) {
        T* image = out + n * s.h * s.w * s.channels;
        C* target;
        if constexpr (kIsHalf<T>) target = sums.data();
        else target = image;
        std::fill_n(target, s.h * s.w * s.channels, C(0));
        for (int64_t first = 0; first < s.pixels(); first += block) {
          const int64_t last = std::min(s.pixels(), first + block);
          for (int64_t k = 0; k < s.groups; ++k) {
            kernels::gemm(matrix(patches.data(), t, last - first, s.depth(), s.depth()),
                          matrix(in + (n * s.pixels() + first) * s.outputs + k * s.o, t,
                                 last - first, s.o, s.outputs),
                          weights(k), View{}, 1, 0);
            scatter_patches<T>(s, patches.data(), k, first, last, target);
          }
        }
        if constexpr (kIsHalf<T>)
          for (size_t i = 0; i < sums.size(); ++i) image[i] = T(sums[i]);
      }
    });
  });
}

// Adds the images [begin, end) into sums (group, depth, O per group), in the computing type.
template <class T>
void weight_sums(const Geometry& s, const T* g, const T* x, DType t, int64_t begin, int64_t end,
                 std::vector<Compute<T>>& sums) {
  using C = Compute<T>;
  const int64_t block = s.pointwise() ? s.pixels() : block_pixels<T>(s);
  std::vector<T> patches(s.pointwise() ? 0 : static_cast<size_t>(block * s.depth()));
  std::vector<T> product(kIsHalf<T> ? static_cast<size_t>(s.depth() * s.o) : 0);
  for (int64_t n = begin; n < end; ++n) {
    for (int64_t first = 0; first < s.pixels(); first += block) {
      const int64_t last = std::min(s.pixels(), first + block);
      for (int64_t k = 0; k < s.groups; ++k) {
        View rows;
        if (s.pointwise()) {
          rows = matrix(const_cast<T*>(x) + (n * s.pixels() + first) * s.channels + k * s.c, t,
                        s.depth(), last - first, 1, s.channels);
        } else {
          gather_patches(s, x, n, k, first, last, patches.data());
          rows = matrix(patches.data(), t, s.depth(), last - first, 1, s.depth());
        }
        const View outputs =
            matrix(const_cast<T*>(g) + (n * s.pixels() + first) * s.outputs + k * s.o, t,
                   last - first, s.o, s.outputs);
        C* to = sums.data() + k * s.depth() * s.o;
        if constexpr (kIsHalf<T>) {
          kernels::gemm(matrix(product.data(), t, s.depth(), s.o, s.o), rows, outputs, View{}, 1,
                        0);
          for (size_t i = 0; i < product.size(); ++i) to[i] += static_cast<C>(product[i]);
        } else {
          kernels::gemm(matrix(to, t, s.depth(), s.o, s.o), rows, outputs, View{}, 1, 1);
        }
      }
    }
  }
}

template <class T>
void depthwise_weight_sums(const Geometry& s, const T* g, const T* x, int64_t begin, int64_t end,
                           std::vector<Compute<T>>& sums) {
  using C = Compute<T>;
  const int64_t channels = s.channels;
  for (int64_t n = begin; n < end; ++n) {
    for (int64_t i = 0; i < s.pixels(); ++i) {
      const T* from = g + (n * s.pixels() + i) * channels;
      for (int64_t k = 0; k < s.kh * s.kw; ++k) {
        const int64_t iy = i / s.ow * s.p.stride[0] - s.p.before[0] + k / s.kw * s.p.dilation[0];
        const int64_t ix = i % s.ow * s.p.stride[1] - s.p.before[1] + k % s.kw * s.p.dilation[1];
        if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
        const T* in = x + ((n * s.h + iy) * s.w + ix) * channels;
        C* to = sums.data() + k * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c)
          to[c] += static_cast<C>(from[c]) * static_cast<C>(in[c]);
      }
    }
  }
}

template <class T>
void bias_sums(const View& dbias, const Geometry& s, const T* g) {
  using C = Compute<T>;
  std::vector<double> total(static_cast<size_t>(s.outputs));
  std::vector<C> sum(static_cast<size_t>(s.outputs));
  for (int64_t n = 0; n < s.n; ++n) {
    std::fill(sum.begin(), sum.end(), C(0));
    for (int64_t i = 0; i < s.pixels(); ++i) {
      const T* row = g + (n * s.pixels() + i) * s.outputs;
      C* to = sum.data();
#pragma omp simd
      for (int64_t o = 0; o < s.outputs; ++o) to[o] += static_cast<C>(row[o]);
    }
    for (size_t o = 0; o < total.size(); ++o) total[o] += static_cast<double>(sum[o]);
  }
  for (size_t o = 0; o < total.size(); ++o) dbias.as<T>()[o] = T(static_cast<C>(total[o]));
}

void conv2d_backward_weight_cpu(const View& dw, const View& dbias, const View& g, const View& x,
                                const Conv2d& p) {
  const Geometry s(x, dw, g, p);
  by_floating(dw.dtype, [&]<class T>() {
    using C = Compute<T>;
    const T *gs = g.as<T>(), *xs = x.as<T>();
    const int64_t parts = std::clamp<int64_t>(s.n, 1, kParts), taps = s.kh * s.kw;
    std::vector<std::vector<C>> sums(static_cast<size_t>(parts));
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        auto& sum = sums[static_cast<size_t>(i)];
        sum.assign(static_cast<size_t>(s.outputs * s.depth()), C(0));
        const int64_t first = s.n * i / parts, last = s.n * (i + 1) / parts;
        if (s.depthwise()) depthwise_weight_sums<T>(s, gs, xs, first, last, sum);
        else weight_sums<T>(s, gs, xs, dw.dtype, first, last, sum);
      }
    });
    for (size_t i = 1; i < sums.size(); ++i)
      for (size_t j = 0; j < sums[0].size(); ++j) sums[0][j] += sums[i][j];
    T* out = dw.as<T>();
    const C* total = sums[0].data();
    for (int64_t k = 0; k < s.groups; ++k) {
      for (int64_t o = 0; o < s.o; ++o) {
        T* to = out + (k * s.o + o) * s.depth();
        for (int64_t c = 0; c < s.c; ++c) {
          for (int64_t tap = 0; tap < taps; ++tap) {
            const int64_t at = s.depthwise() ? tap * s.channels + k
                                             : k * s.depth() * s.o + (tap * s.c + c) * s.o + o;
            to[c * taps + tap] = T(total[at]);
          }
        }
      }
    }
    if (dbias.data) bias_sums<T>(dbias, s, gs);
  });
}

}  // namespace

NNM_KERNEL(conv2d, conv2d_cpu);
NNM_KERNEL(conv2d_backward_input, conv2d_backward_input_cpu);
NNM_KERNEL(conv2d_backward_weight, conv2d_backward_weight_cpu);

}  // namespace nnm
