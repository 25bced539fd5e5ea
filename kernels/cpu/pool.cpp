// Maximum and average pooling: rows of channels where those are innermost, single elements
// elsewhere.
#include "kernels/pool.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 4096;

// One window along one dimension: positions first, first + step, … below last, and its padded
// extent.
struct Window {
  int64_t first, last, step, padded;
  int64_t count() const { return last <= first ? 0 : (last - first + step - 1) / step; }
};

Window window(const Pool2d& p, int d, int64_t i, int64_t in, int64_t out) {
  if (p.adaptive) {
    const int64_t first = i * in / out, last = ((i + 1) * in + out - 1) / out;
    return {first, last, 1, last - first};
  }
  const int64_t start = i * p.stride[d] - p.padding[d];
  const int64_t stop = start + (p.kernel[d] - 1) * p.dilation[d] + 1;
  int64_t first = start;
  if (first < 0) first += (-first + p.dilation[d] - 1) / p.dilation[d] * p.dilation[d];
  return {first, std::min(stop, in), p.dilation[d], std::min(stop, in + p.padding[d]) - start};
}

std::vector<Window> windows(const Pool2d& p, int d, int64_t in, int64_t out) {
  std::vector<Window> w;
  for (int64_t i = 0; i < out; ++i) w.push_back(window(p, d, i, in, out));
  return w;
}

// Elements at (n, ·, h, w): C of them, `step` apart.
template <class T>
struct Pixels {
  T* p;
  int64_t n, c, h, w;
  explicit Pixels(const View& v)
      : p(v.as<T>()), n(v.stride[0]), c(v.stride[1]), h(v.stride[2]), w(v.stride[3]) {}
  T* at(int64_t in, int64_t ic, int64_t ih, int64_t iw) const {
    return p + in * n + ic * c + ih * h + iw * w;
  }
};

// body(n, first channel, channels, output row). Innermost channels are taken all at once.
template <class Body>
void for_rows(const View& y, const Body& body) {
  const int64_t samples = y.size[0], channels = y.size[1], rows = y.size[2];
  if (y.stride[1] == 1 && channels > 1) {
    const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, channels * y.size[3]));
    return parallel_for(samples * rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(i / rows, 0, channels, i % rows);
    });
  }
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, rows * y.size[3]));
  parallel_for(samples * channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t r = 0; r < rows; ++r) body(i / channels, i % channels, 1, r);
  });
}

void max_pool2d_cpu(const View& y, const View& indices, const View& x, const Pool2d& p) {
  const auto hs = windows(p, 0, x.size[2], y.size[2]), ws = windows(p, 1, x.size[3], y.size[3]);
  const int64_t width = x.size[3];
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Pixels<T> out(y), in(x);
    const View& places = indices.data ? indices : y;
    const int64_t sn = places.stride[0], sc = places.stride[1], sh = places.stride[2],
                  sw = places.stride[3];
    for_rows(y, [&](int64_t n, int64_t c0, int64_t channels, int64_t oh) {
      std::vector<C> best(static_cast<size_t>(channels));
      std::vector<int64_t> place(static_cast<size_t>(channels));
      const Window& wh = hs[static_cast<size_t>(oh)];
      for (int64_t ow = 0; ow < y.size[3]; ++ow) {
        const Window& ww = ws[static_cast<size_t>(ow)];
        std::fill(best.begin(), best.end(), -std::numeric_limits<C>::infinity());
        std::fill(place.begin(), place.end(), wh.first * width + ww.first);
        for (int64_t h = wh.first; h < wh.last; h += wh.step) {
          for (int64_t w = ww.first; w < ww.last; w += ww.step) {
            const T* v = in.at(n, c0, h, w);
            const int64_t at = h * width + w;
            for (int64_t c = 0; c < channels; ++c) {
              const C value = static_cast<C>(v[c * in.c]);
              const auto k = static_cast<size_t>(c);
              const bool take = value > best[k] || value != value;
              best[k] = take ? value : best[k];
              place[k] = take ? at : place[k];
            }
          }
        }
        T* o = out.at(n, c0, oh, ow);
        for (int64_t c = 0; c < channels; ++c) o[c * out.c] = T(best[static_cast<size_t>(c)]);
        if (!indices.data) continue;
        int64_t* to = indices.as<int64_t>() + n * sn + c0 * sc + oh * sh + ow * sw;
        for (int64_t c = 0; c < channels; ++c) to[c * sc] = place[static_cast<size_t>(c)];
      }
    });
  });
}

// body(n, first channel, channels) over everything that one part may write: a sample, or a plane.
template <class Body>
void for_planes(const View& dx, const Body& body) {
  const bool together = dx.stride[1] == 1 && dx.size[1] > 1;
  const int64_t channels = dx.size[1], per = together ? channels : 1;
  parallel_for(dx.size[0] * channels / std::max<int64_t>(1, per), 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   if (together) body(i, 0, channels);
                   else body(i / channels, i % channels, 1);
                 }
               });
}

template <class T>
void clear(const Pixels<T>& out, const View& dx, int64_t n, int64_t c0, int64_t channels) {
  for (int64_t h = 0; h < dx.size[2]; ++h) {
    for (int64_t w = 0; w < dx.size[3]; ++w) {
      T* o = out.at(n, c0, h, w);
      for (int64_t c = 0; c < channels; ++c) o[c * out.c] = T(Compute<T>(0));
    }
  }
}

void max_pool2d_backward_cpu(const View& dx, const View& g, const View& indices) {
  const int64_t width = dx.size[3];
  by_floating(dx.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Pixels<T> out(dx), in(g);
    const Pixels<int64_t> places(indices);
    for_planes(dx, [&](int64_t n, int64_t c0, int64_t channels) {
      clear(out, dx, n, c0, channels);
      T* base = out.at(n, c0, 0, 0);
      for (int64_t h = 0; h < g.size[2]; ++h) {
        for (int64_t w = 0; w < g.size[3]; ++w) {
          const T* v = in.at(n, c0, h, w);
          const int64_t* at = places.at(n, c0, h, w);
          for (int64_t c = 0; c < channels; ++c) {
            const int64_t i = at[c * places.c];
            T& o = base[c * out.c + i / width * out.h + i % width * out.w];
            o = T(static_cast<C>(o) + static_cast<C>(v[c * in.c]));
          }
        }
      }
    });
  });
}

double divisor(const Pool2d& p, const Window& h, const Window& w) {
  if (p.divisor) return static_cast<double>(p.divisor);
  if (p.adaptive || !p.count_include_pad) return static_cast<double>(h.count() * w.count());
  return static_cast<double>(h.padded * w.padded);
}

void avg_pool2d_cpu(const View& y, const View& x, const Pool2d& p) {
  const auto hs = windows(p, 0, x.size[2], y.size[2]), ws = windows(p, 1, x.size[3], y.size[3]);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const Pixels<T> out(y), in(x);
    for_rows(y, [&](int64_t n, int64_t c0, int64_t channels, int64_t oh) {
      std::vector<C> sum(static_cast<size_t>(channels));
      const Window& wh = hs[static_cast<size_t>(oh)];
      for (int64_t ow = 0; ow < y.size[3]; ++ow) {
        const Window& ww = ws[static_cast<size_t>(ow)];
        std::fill(sum.begin(), sum.end(), C(0));
        for (int64_t h = wh.first; h < wh.last; ++h) {
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

NNM_KERNEL(max_pool2d, max_pool2d_cpu);
NNM_KERNEL(max_pool2d_backward, max_pool2d_backward_cpu);
NNM_KERNEL(avg_pool2d, avg_pool2d_cpu);
NNM_KERNEL(avg_pool2d_backward, avg_pool2d_backward_cpu);

}  // namespace nnm
