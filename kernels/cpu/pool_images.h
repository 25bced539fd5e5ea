// What the pooling kernels share: windows, and images by the rows and planes that threads take.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"
#include "kernels/pool_window.h"

namespace nnm {
namespace {

inline std::vector<Window> windows(const Pool2d& p, int d, int64_t in, int64_t out) {
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

// Whether neighbours in memory are channels.
inline bool channels_together(const View& x) { return x.stride[1] == 1 && x.size[1] > 1; }

// body(n, first channel, channels, row of y), of channels all at once where they lie together in x.
template <class Body>
void for_rows(const View& y, const View& x, const Body& body) {
  constexpr int64_t kGrain = 4096;
  const int64_t samples = y.size[0], channels = y.size[1], rows = y.size[2];
  if (channels_together(x)) {
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

// body(n, first channel, channels) over everything that one part may write: a sample, or a plane.
template <class Body>
void for_planes(const View& dx, const Body& body) {
  const bool together = channels_together(dx);
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
    if (channels == 1 && out.w == 1) {
      std::memset(static_cast<void*>(out.at(n, c0, h, 0)), 0,
                  static_cast<size_t>(dx.size[3]) * sizeof(T));
      continue;
    }
    for (int64_t w = 0; w < dx.size[3]; ++w) {
      T* o = out.at(n, c0, h, w);
      if (out.c == 1) std::memset(static_cast<void*>(o), 0, bytes);
      else
        for (int64_t c = 0; c < channels; ++c) o[c * out.c] = T(Compute<T>(0));
    }
  }
}

}  // namespace
}  // namespace nnm
