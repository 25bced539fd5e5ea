// Maximum and average pooling: rows of channels where those are innermost, single elements
// elsewhere.
#include "kernels/pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"
#include "kernels/pool_window.h"

namespace nnm {
namespace {

constexpr int64_t kGrain = 4096;

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

constexpr int64_t kChannels = 64;

// The maxima of one window in `count` channels, at most kChannels, and their places. Types of one
// width, so that the comparison selects both in one vector.
template <class T, class Place>
struct Maxima {
  using C = Compute<T>;
  C best[kChannels];
  Place place[kChannels];

  template <bool kInnermost>
  void take(const T* in, const Pixels<T>& x, const Window& wh, const Window& ww, int64_t width,
            int64_t count) {
    const int64_t step = kInnermost ? 1 : x.c;
    const auto first = static_cast<Place>(wh.first * width + ww.first);
    for (int64_t c = 0; c < count; ++c) {
      best[c] = -std::numeric_limits<C>::infinity();
      place[c] = first;
    }
    for (int64_t h = wh.first; h < wh.last; h += wh.step) {
      for (int64_t w = ww.first; w < ww.last; w += ww.step) {
        const T* v = in + h * x.h + w * x.w;
        const auto at = static_cast<Place>(h * width + w);
#pragma omp simd
        for (int64_t c = 0; c < count; ++c) {
          const C value = static_cast<C>(v[c * step]);
          const bool larger = value > best[c] || value != value;
          best[c] = larger ? value : best[c];
          place[c] = larger ? at : place[c];
        }
      }
    }
  }
};

// The maximum of one window in one channel.
template <class T>
std::pair<Compute<T>, int64_t> maximum(const T* in, const Pixels<T>& x, const Window& wh,
                                       const Window& ww, int64_t width) {
  using C = Compute<T>;
  C best = -std::numeric_limits<C>::infinity();
  int64_t place = wh.first * width + ww.first;
  for (int64_t h = wh.first; h < wh.last; h += wh.step) {
    const T* row = in + h * x.h;
    for (int64_t w = ww.first; w < ww.last; w += ww.step) {
      const C value = static_cast<C>(row[w * x.w]);
      const bool larger = value > best || value != value;
      best = larger ? value : best;
      place = larger ? h * width + w : place;
    }
  }
  return {best, place};
}

template <class T, class Place>
void max_pool2d_typed(const View& y, const View& indices, const View& x, const Pool2d& p) {
  const auto hs = windows(p, 0, x.size[2], y.size[2]), ws = windows(p, 1, x.size[3], y.size[3]);
  const int64_t width = x.size[3];
  const Pixels<T> out(y), in(x);
  const Pixels<int64_t> places(indices.data ? indices : y);
  for_rows(y, [&](int64_t n, int64_t c0, int64_t channels, int64_t oh) {
    Maxima<T, Place> m;
    const Window& wh = hs[static_cast<size_t>(oh)];
    for (int64_t ow = 0; ow < y.size[3]; ++ow) {
      const Window& ww = ws[static_cast<size_t>(ow)];
      if (channels == 1) {
        const auto [best, place] = maximum(in.at(n, c0, 0, 0), in, wh, ww, width);
        *out.at(n, c0, oh, ow) = T(best);
        if (indices.data) *places.at(n, c0, oh, ow) = place;
        continue;
      }
      for (int64_t k = 0; k < channels; k += kChannels) {
        const int64_t count = std::min(kChannels, channels - k);
        const T* from = in.at(n, c0 + k, 0, 0);
        if (in.c == 1) m.template take<true>(from, in, wh, ww, width, count);
        else m.template take<false>(from, in, wh, ww, width, count);
        T* o = out.at(n, c0 + k, oh, ow);
        for (int64_t c = 0; c < count; ++c) o[c * out.c] = T(m.best[c]);
        if (!indices.data) continue;
        int64_t* to = places.at(n, c0 + k, oh, ow);
        for (int64_t c = 0; c < count; ++c) to[c * places.c] = m.place[c];
      }
    }
  });
}

void max_pool2d_cpu(const View& y, const View& indices, const View& x, const Pool2d& p) {
  const bool small = x.size[2] * x.size[3] <= std::numeric_limits<int32_t>::max();
  by_floating(x.dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, double>) return max_pool2d_typed<T, int64_t>(y, indices, x, p);
    else if (small) return max_pool2d_typed<T, int32_t>(y, indices, x, p);
    else return max_pool2d_typed<T, int64_t>(y, indices, x, p);
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
  const auto bytes = static_cast<size_t>(channels) * sizeof(T);
  for (int64_t h = 0; h < dx.size[2]; ++h) {
    for (int64_t w = 0; w < dx.size[3]; ++w) {
      T* o = out.at(n, c0, h, w);
      if (out.c == 1) std::memset(static_cast<void*>(o), 0, bytes);
      else
        for (int64_t c = 0; c < channels; ++c) o[c * out.c] = T(Compute<T>(0));
    }
  }
}

// Adds n gradients to where their maxima were; offset(place) is an element's distance from `to`.
template <class T, class Offset>
inline void add_to_places(T* to, int64_t step, const T* g, int64_t g_step, const int64_t* places,
                          int64_t place_step, int64_t n, const Offset& offset) {
  using C = Compute<T>;
  for (int64_t c = 0; c < n; ++c) {
    T& o = to[c * step + offset(places[c * place_step])];
    o = T(static_cast<C>(o) + static_cast<C>(g[c * g_step]));
  }
}

void max_pool2d_backward_cpu(const View& dx, const View& g, const View& indices, const Pool2d&) {
  const int64_t width = dx.size[3];
  by_floating(dx.dtype, [&]<class T>() {
    const Pixels<T> out(dx), in(g);
    const Pixels<int64_t> places(indices);
    // Where rows follow each other without gaps, a place is an offset as it stands.
    const bool even = out.h == width * out.w;
    for_planes(dx, [&](int64_t n, int64_t c0, int64_t channels) {
      clear(out, dx, n, c0, channels);
      T* base = out.at(n, c0, 0, 0);
      for (int64_t h = 0; h < g.size[2]; ++h) {
        for (int64_t w = 0; w < g.size[3]; ++w) {
          const T* v = in.at(n, c0, h, w);
          const int64_t* at = places.at(n, c0, h, w);
          if (even) {
            add_to_places(base, out.c, v, in.c, at, places.c, channels,
                          [&](int64_t i) { return i * out.w; });
          } else {
            add_to_places(base, out.c, v, in.c, at, places.c, channels,
                          [&](int64_t i) { return i / width * out.h + i % width * out.w; });
          }
        }
      }
    });
  });
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
