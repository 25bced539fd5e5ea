// Maximum pooling: vectors of channels where those are innermost, single elements elsewhere.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cpu/pool_images.h"
#include "kernels/cpu/vector.h"
#include "kernels/pool.h"

namespace nnm {
namespace {

// Channels at once: their numbers, as many taps of the same width, and taps as they are kept.
template <class T>
struct Lanes {
  using C = Compute<T>;
  using Tap = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;
  static constexpr int64_t kCount = kVectorBytes / int64_t{sizeof(C)};
  typedef C Numbers __attribute__((vector_size(kVectorBytes)));
  typedef Tap Taps __attribute__((vector_size(kVectorBytes)));
  typedef uint8_t Bytes __attribute__((vector_size(kCount), aligned(1)));
  typedef C Anywhere __attribute__((vector_size(kVectorBytes), aligned(sizeof(C))));
};

// `count` numbers that lie `step` apart; kWhole: they are a vector as they lie in memory.
template <bool kWhole, class T>
inline void load(typename Lanes<T>::Numbers& v, const T* p, int64_t step, int64_t count) {
  if constexpr (kWhole) {
    v = *reinterpret_cast<const typename Lanes<T>::Anywhere*>(p);
  } else {
    Compute<T> buffer[Lanes<T>::kCount] = {};
    for (int64_t i = 0; i < count; ++i) buffer[i] = static_cast<Compute<T>>(p[i * step]);
    std::memcpy(&v, buffer, sizeof(v));
  }
}

template <bool kWhole, class T>
inline void store(T* p, int64_t step, const typename Lanes<T>::Numbers& v, int64_t count) {
  if constexpr (kWhole) {
    *reinterpret_cast<typename Lanes<T>::Anywhere*>(p) = v;
  } else {
    for (int64_t i = 0; i < count; ++i) p[i * step] = T(v[i]);
  }
}

// body<kWhole>(channel, count) over channels, a vector of them at a time. Those of a type that is
// computed in and that lie one after another are whole, but for the last.
template <class T, class Body>
inline void for_lanes(int64_t channels, bool innermost, const Body& body) {
  constexpr int64_t kCount = Lanes<T>::kCount;
  int64_t c = 0;
  if constexpr (!kIsHalf<T>) {
    if (innermost)
      for (; c + kCount <= channels; c += kCount) body.template operator()<true>(c, kCount);
  }
  for (; c < channels; c += kCount)
    body.template operator()<false>(c, std::min(kCount, channels - c));
}

// The taps of one window: places within its image, in the order in which they are looked at.
struct WindowTaps {
  Window h, w;
  int64_t width;  ///< of the image
  template <class Body>
  void each(const Body& body) const {
    int64_t tap = 0;
    for (int64_t y = h.first; y < h.last; y += h.step)
      for (int64_t x = w.first; x < w.last; x += w.step) body(tap++, y, x);
  }
  int64_t place(int64_t tap) const {
    const int64_t columns = w.count();
    return (h.first + tap / columns * h.step) * width + w.first + tap % columns * w.step;
  }
};

template <class T>
struct Maxima {
  typename Lanes<T>::Numbers best;
  typename Lanes<T>::Taps tap;
};

// The maxima of a window in `count` channels from `from` on.
template <bool kWhole, class T>
inline void take(Maxima<T>& m, const T* from, const Pixels<T>& x, const WindowTaps& taps,
                 int64_t count) {
  using Numbers = typename Lanes<T>::Numbers;
  using Tap = typename Lanes<T>::Tap;
  Numbers best = Numbers{} - std::numeric_limits<Compute<T>>::infinity();
  typename Lanes<T>::Taps at = {};
  taps.each([&](int64_t tap, int64_t h, int64_t w) {
    Numbers v;
    load<kWhole>(v, from + h * x.h + w * x.w, x.c, count);
    const auto larger = (v > best) | (v != v);
    best = larger ? v : best;
    at = larger ? static_cast<Tap>(tap) : at;
  });
  m.best = best, m.tap = at;
}

// The maximum of a window in one channel, and its tap.
template <class T>
std::pair<Compute<T>, int64_t> maximum(const T* from, const Pixels<T>& x, const WindowTaps& taps) {
  Compute<T> best = -std::numeric_limits<Compute<T>>::infinity();
  int64_t at = 0;
  taps.each([&](int64_t tap, int64_t h, int64_t w) {
    const auto value = static_cast<Compute<T>>(from[h * x.h + w * x.w]);
    const bool larger = value > best || value != value;
    best = larger ? value : best;
    at = larger ? tap : at;
  });
  return {best, at};
}

// Pooling with taps or places as they are asked for.
template <class T>
struct MaxPool {
  const Pool2d& p;
  const View &y, &indices;
  const Pixels<T> out, in;
  const Pixels<uint8_t> bytes;
  const Pixels<int64_t> places;
  const bool want_bytes, want_places;

  MaxPool(const View& y, const View& indices, const View& x, const Pool2d& p)
      : p(p),
        y(y),
        indices(indices),
        out(y),
        in(x),
        bytes(indices.data ? indices : y),
        places(indices.data ? indices : y),
        want_bytes(indices.data && indices.dtype == DType::u8),
        want_places(indices.data && indices.dtype == DType::i64) {}

  void element(int64_t n, int64_t c, int64_t oh, int64_t ow, const WindowTaps& taps) const {
    const auto [best, tap] = maximum(in.at(n, c, 0, 0), in, taps);
    *out.at(n, c, oh, ow) = T(best);
    if (want_bytes) *bytes.at(n, c, oh, ow) = static_cast<uint8_t>(tap);
    if (want_places) *places.at(n, c, oh, ow) = taps.place(tap);
  }

  void pixel(int64_t n, int64_t oh, int64_t ow, int64_t channels, const WindowTaps& taps) const {
    const bool innermost = in.c == 1 && out.c == 1;
    for_lanes<T>(channels, innermost, [&]<bool kWhole>(int64_t c, int64_t count) {
      Maxima<T> m;
      take<kWhole>(m, in.at(n, c, 0, 0), in, taps, count);
      store<kWhole>(out.at(n, c, oh, ow), out.c, m.best, count);
      if (want_bytes) keep_taps<kWhole>(bytes.at(n, c, oh, ow), m.tap, count);
      if (want_places) {
        int64_t* to = places.at(n, c, oh, ow);
        for (int64_t i = 0; i < count; ++i) to[i * places.c] = taps.place(m.tap[i]);
      }
    });
  }

  template <bool kWhole>
  void keep_taps(uint8_t* to, const typename Lanes<T>::Taps& tap, int64_t count) const {
    using Bytes = typename Lanes<T>::Bytes;
    if constexpr (kWhole) *reinterpret_cast<Bytes*>(to) = __builtin_convertvector(tap, Bytes);
    else
      for (int64_t i = 0; i < count; ++i) to[i * bytes.c] = static_cast<uint8_t>(tap[i]);
  }

  // The windows [first, last) of a row of a plane, whole ones of one shape, up to kRow: tap by tap,
  // each in vectors of windows.
  static constexpr int64_t kRow = 64;
  void row(int64_t n, int64_t c, int64_t oh, const Window& h, const std::vector<Window>& ws,
           int64_t first, int64_t last, int64_t width) const {
    using Tap = typename Lanes<T>::Tap;
    const int64_t count = last - first, step = p.stride[1];
    Compute<T> best[kRow];
    Tap at[kRow];
    std::fill_n(best, count, -std::numeric_limits<Compute<T>>::infinity());
    std::fill_n(at, count, Tap(0));
    const WindowTaps taps{h, ws[static_cast<size_t>(first)], width};
    taps.each([&](int64_t tap, int64_t ih, int64_t iw) {
      const T* const from = in.at(n, c, ih, iw);
      for (int64_t i = 0; i < count; ++i) {
        const auto v = static_cast<Compute<T>>(from[i * step]);
        // One condition at a time: `a || b` in a selection keeps GCC from vectorising.
        const bool larger = (v > best[i]) | (v != v);
        best[i] = larger ? v : best[i];
        at[i] = larger ? static_cast<Tap>(tap) : at[i];
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      *out.at(n, c, oh, first + i) = T(best[i]);
      if (want_bytes) *bytes.at(n, c, oh, first + i) = static_cast<uint8_t>(at[i]);
      if (want_places) *places.at(n, c, oh, first + i) = taps.place(at[i]) + i * step;
    }
  }

  // One row of a plane: whole windows together, those that the border cuts by themselves.
  void plane_row(int64_t n, int64_t c, int64_t oh, const Window& h, const std::vector<Window>& ws,
                 int64_t width) const {
    const auto whole = [&](int64_t i) {
      return in.w == 1 && !p.adaptive && ws[static_cast<size_t>(i)].count() == p.kernel[1];
    };
    const auto windows = static_cast<int64_t>(ws.size());
    for (int64_t ow = 0; ow < windows;) {
      int64_t last = ow;
      while (last < windows && last - ow < kRow && whole(last)) ++last;
      if (last > ow) row(n, c, oh, h, ws, ow, last, width);
      else element(n, c, oh, ow, {h, ws[static_cast<size_t>(ow)], width});
      ow = std::max(last, ow + 1);
    }
  }

  void run(const View& x) const {
    const auto hs = windows(p, 0, x.size[2], y.size[2]), ws = windows(p, 1, x.size[3], y.size[3]);
    const bool rows = channels_together(x);
    for_rows(y, x, [&](int64_t n, int64_t c0, int64_t channels, int64_t oh) {
      const Window& h = hs[static_cast<size_t>(oh)];
      if (!rows) return plane_row(n, c0, oh, h, ws, x.size[3]);
      for (int64_t ow = 0; ow < y.size[3]; ++ow)
        pixel(n, oh, ow, channels, {h, ws[static_cast<size_t>(ow)], x.size[3]});
    });
  }
};

void max_pool2d_cpu(const View& y, const View& indices, const View& x, const Pool2d& p) {
  by_floating(x.dtype, [&]<class T>() { MaxPool<T>(y, indices, x, p).run(x); });
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

template <class T>
void backward_by_places(const View& dx, const View& g, const View& indices) {
  const int64_t width = dx.size[3];
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
}

// Whether an element of the input is in one window at most, and whether all are in one.
struct Cover {
  bool disjoint = true, whole = true;
  Cover(const View& dx, const View& g, const Pool2d& p) {
    for (int d = 0; d < 2; ++d) {
      disjoint &= p.stride[d] > (p.kernel[d] - 1) * p.dilation[d];
      whole &= p.dilation[d] == 1 && p.stride[d] == p.kernel[d] &&
               g.size[2 + d] * p.stride[d] >= dx.size[2 + d] + p.padding[d];
    }
    whole &= disjoint;
  }
};

// Gradients from the taps of maxima: each tap of a window takes those that are its own. A kDisjoint
// window is the only one to write where it lies.
template <class T, bool kDisjoint>
struct FromTaps {
  const Pixels<T> out, in;
  const Pixels<uint8_t> bytes;

  // Distances from the first tap of a window by the number of its columns and the tap: an address
  // without a division, and without a branch on what nobody can foretell.
  static std::vector<int64_t> distances(const Pool2d& p, const Pixels<T>& out) {
    const int64_t taps = p.kernel[0] * p.kernel[1];
    std::vector<int64_t> d;
    for (int64_t columns = 1; columns <= p.kernel[1]; ++columns)
      for (int64_t tap = 0; tap < taps; ++tap)
        d.push_back(tap / columns * p.dilation[0] * out.h + tap % columns * p.dilation[1] * out.w);
    return d;
  }

  void plane(int64_t n, int64_t c, const std::vector<Window>& hs, const std::vector<Window>& ws,
             const int64_t* distance, int64_t taps) const {
    using C = Compute<T>;
    std::vector<const int64_t*> table;
    for (const Window& w : ws)
      table.push_back(distance + (std::max<int64_t>(w.count(), 1) - 1) * taps);
    for (size_t oh = 0; oh < hs.size(); ++oh) {
      if (hs[oh].first >= hs[oh].last) continue;
      for (size_t ow = 0; ow < ws.size(); ++ow) {
        // Taps far apart may all miss the image.
        if (ws[ow].first >= ws[ow].last) continue;
        const auto y = static_cast<int64_t>(oh), x = static_cast<int64_t>(ow);
        T& o = out.at(n, c, hs[oh].first, ws[ow].first)[table[ow][*bytes.at(n, c, y, x)]];
        o = T(static_cast<C>(o) + static_cast<C>(*in.at(n, c, y, x)));
      }
    }
  }

  void pixel(int64_t n, int64_t oh, int64_t ow, int64_t channels, const WindowTaps& taps) const {
    using Numbers = typename Lanes<T>::Numbers;
    using Taps = typename Lanes<T>::Taps;
    const bool innermost = in.c == 1 && out.c == 1 && bytes.c == 1;
    for_lanes<T>(channels, innermost, [&]<bool kWhole>(int64_t c, int64_t count) {
      Numbers g;
      Taps hit;
      load<kWhole>(g, in.at(n, c, oh, ow), in.c, count);
      load_taps<kWhole>(hit, bytes.at(n, c, oh, ow), count);
      taps.each([&](int64_t tap, int64_t h, int64_t w) {
        T* to = out.at(n, c, h, w);
        Numbers v = hit == static_cast<typename Lanes<T>::Tap>(tap) ? g : Compute<T>(0);
        if constexpr (!kDisjoint) {
          Numbers before;
          load<kWhole>(before, to, out.c, count);
          v += before;
        }
        store<kWhole>(to, out.c, v, count);
      });
    });
  }

  template <bool kWhole>
  void load_taps(typename Lanes<T>::Taps& tap, const uint8_t* from, int64_t count) const {
    if constexpr (kWhole) {
      tap = __builtin_convertvector(*reinterpret_cast<const typename Lanes<T>::Bytes*>(from),
                                    typename Lanes<T>::Taps);
    } else {
      typename Lanes<T>::Tap buffer[Lanes<T>::kCount] = {};
      for (int64_t i = 0; i < count; ++i) buffer[i] = from[i * bytes.c];
      std::memcpy(&tap, buffer, sizeof(tap));
    }
  }

  void run(const View& dx, const View& g, const Pool2d& p, bool whole) const {
    const auto hs = windows(p, 0, dx.size[2], g.size[2]), ws = windows(p, 1, dx.size[3], g.size[3]);
    const bool rows = channels_together(dx);
    const std::vector<int64_t> distance = distances(p, out);
    for_planes(dx, [&](int64_t n, int64_t c0, int64_t channels) {
      if (!whole || !rows) clear(out, dx, n, c0, channels);
      if (!rows) return plane(n, c0, hs, ws, distance.data(), p.kernel[0] * p.kernel[1]);
      for (int64_t oh = 0; oh < g.size[2]; ++oh) {
        for (int64_t ow = 0; ow < g.size[3]; ++ow) {
          const WindowTaps taps{hs[static_cast<size_t>(oh)], ws[static_cast<size_t>(ow)],
                                dx.size[3]};
          pixel(n, oh, ow, channels, taps);
        }
      }
    });
  }
};

void max_pool2d_backward_cpu(const View& dx, const View& g, const View& indices, const Pool2d& p) {
  by_floating(dx.dtype, [&]<class T>() {
    if (indices.dtype != DType::u8) return backward_by_places<T>(dx, g, indices);
    const Cover cover(dx, g, p);
    const Pixels<T> out(dx), in(g);
    const Pixels<uint8_t> bytes(indices);
    if (cover.disjoint) FromTaps<T, true>{out, in, bytes}.run(dx, g, p, cover.whole);
    else FromTaps<T, false>{out, in, bytes}.run(dx, g, p, false);
  });
}

}  // namespace

NNM_KERNEL(max_pool2d, max_pool2d_cpu);
NNM_KERNEL(max_pool2d_backward, max_pool2d_backward_cpu);

}  // namespace nnm
