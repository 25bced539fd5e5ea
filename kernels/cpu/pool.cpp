// Average pooling: rows of channels where those are innermost, single elements elsewhere.
#include "kernels/pool.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/pool_images.h"

namespace nnm {
namespace {

constexpr int64_t kLanes = 16;

/// The sum of n elements side by side, in lanes that do not wait for each other.
template <class T>
Compute<T> sum_of(const T* p, int64_t n) {
  using C = Compute<T>;
  C lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<C>(p[i + j]);
  C sum = 0;
  for (; i < n; ++i) sum += static_cast<C>(p[i]);
  for (const C lane : lanes) sum += lane;
  return sum;
}

void avg_pool2d_cpu(const View& y, const View& x, const Pool2d& p) {
  const auto hs = windows(p, 0, x.size[2], y.size[2]), ws = windows(p, 1, x.size[3], y.size[3]);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Pixels<T> out(y), in(x);
    for_rows(y, x, [&](int64_t n, int64_t c0, int64_t channels, int64_t oh) {
      std::vector<C> sum(static_cast<size_t>(channels));
      const Window& wh = hs[static_cast<size_t>(oh)];
      for (int64_t ow = 0; ow < y.size[3]; ++ow) {
        const Window& ww = ws[static_cast<size_t>(ow)];
        std::fill(sum.begin(), sum.end(), C(0));
        for (int64_t h = wh.first; h < wh.last; ++h) {
          if (channels == 1 && in.w == 1 && ww.last - ww.first >= kLanes) {
            sum[0] += sum_of(in.at(n, c0, h, ww.first), ww.last - ww.first);
            continue;
          }
          for (int64_t w = ww.first; w < ww.last; ++w) {
            const T* v = in.at(n, c0, h, w);
            for (int64_t c = 0; c < channels; ++c)
              sum[static_cast<size_t>(c)] += static_cast<C>(v[c * in.c]);
          }
        }
        const C d = C(divisor(p, wh, ww));
        T* o = out.at(n, c0, oh, ow);
        for (int64_t c = 0; c < channels; ++c) o[c * out.c] = T(sum[static_cast<size_t>(c)] / d);
      }
    });
  });
}

void avg_pool2d_backward_cpu(const View& dx, const View& g, const Pool2d& p) {
  const auto hs = windows(p, 0, dx.size[2], g.size[2]), ws = windows(p, 1, dx.size[3], g.size[3]);
  by_floating(dx.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Pixels<T> out(dx), in(g);
    for_planes(dx, [&](int64_t n, int64_t c0, int64_t channels) {
      clear(out, dx, n, c0, channels);
      for (int64_t oh = 0; oh < g.size[2]; ++oh) {
        const Window& wh = hs[static_cast<size_t>(oh)];
        for (int64_t ow = 0; ow < g.size[3]; ++ow) {
          const Window& ww = ws[static_cast<size_t>(ow)];
          const C share = C(1 / divisor(p, wh, ww));
          const T* v = in.at(n, c0, oh, ow);
          for (int64_t h = wh.first; h < wh.last; ++h) {
            for (int64_t w = ww.first; w < ww.last; ++w) {
              T* o = out.at(n, c0, h, w);
              for (int64_t c = 0; c < channels; ++c)
                o[c * out.c] =
                    T(static_cast<C>(o[c * out.c]) + share * static_cast<C>(v[c * in.c]));
            }
          }
        }
      }
    });
  });
}

}  // namespace

NNM_KERNEL(avg_pool2d, avg_pool2d_cpu);
NNM_KERNEL(avg_pool2d_backward, avg_pool2d_backward_cpu);

}  // namespace nnm
