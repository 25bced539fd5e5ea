// What the Winograd kernels share. F(4x4, 3x3): transforms of a vector of channels at a time around
// products at 36 frequencies. Method: Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks" (2016). The points of interpolation are 0, ±5/8, ±3/2 and infinity: of the pairs a, b
// tried between 1/2 and 2 the one with the least error, 2 times that of the direct sum where 1, 2
// has 6 times.
#pragma once

#include "kernels/cpu/vector.h"
#include "kernels/winograd_plan.h"

namespace nnm {
namespace {

using Plan = WinogradPlan;
typedef float Eight __attribute__((vector_size(32)));
// What products are made of: half a panel or a whole one.
typedef float Wide __attribute__((vector_size(kVectorBytes)));
template <class V>
constexpr int64_t kLanes = sizeof(V) / sizeof(float);

// A vector wherever floats may lie.
template <class V>
struct Anywhere {
  typedef V Type __attribute__((aligned(4)));
};
template <class V>
const typename Anywhere<V>::Type& load(const float* p) {
  return *reinterpret_cast<const typename Anywhere<V>::Type*>(p);
}
template <class V>
void store(float* p, const V& v) {
  *reinterpret_cast<typename Anywhere<V>::Type*>(p) = v;
}

// Calls body<V>() with the widest vectors that `channels` are made of; they are made of eights.
template <class Body>
void by_width(int64_t channels, const Body& body) {
  if (channels % kLanes<Wide> == 0) body.template operator()<Wide>();
  else body.template operator()<Eight>();
}

constexpr float kA = 0.625f, kB = 1.5f, kA2 = kA * kA, kB2 = kB * kB;

// The one-dimensional transforms, of vectors that lie `step` apart.

// The frequencies of both pairs of points, from what is even and odd in them.
template <class V>
inline void pairs(const V& ea, const V& oa, const V& eb, const V& ob, V* out, int64_t out_step) {
  out[out_step] = ea + oa;
  out[2 * out_step] = ea - oa;
  out[3 * out_step] = eb + ob;
  out[4 * out_step] = eb - ob;
}

// Six inputs to six frequencies: the polynomial (x - each other point) at each point.
template <class V>
inline void to_image(const V* d, int64_t step, V* out, int64_t out_step) {
  const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
          d5 = d[5 * step];
  const V ea = d4 - kB2 * d2, oa = kA * (d3 - kB2 * d1);
  const V eb = d4 - kA2 * d2, ob = kB * (d3 - kA2 * d1);
  out[0] = kA2 * kB2 * d0 - (kA2 + kB2) * d2 + d4;
  pairs(ea, oa, eb, ob, out, out_step);
  out[5 * out_step] = kA2 * kB2 * d1 - (kA2 + kB2) * d3 + d5;
}

constexpr float kN0 = 1 / (kA2 * kB2), kNa = 1 / (2 * kA2 * (kA2 - kB2)),
                kNb = 1 / (2 * kB2 * (kB2 - kA2));

// Where a tile's pixels lie; outside of the image, zeros.
template <int kSide>
struct Window {
  const float* at[kSide * kSide];
  Window(const float* images, const float* zeros, int64_t image, int64_t y0, int64_t x0, int64_t h,
         int64_t w, int64_t channels) {
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) {
        const int64_t iy = y0 + y, ix = x0 + x;
        const bool inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
        at[y * kSide + x] = inside ? images + ((image * h + iy) * w + ix) * channels : zeros;
      }
  }
};

// The result's corner of a tile.
struct Corner {
  int64_t image, y, x;
  Corner(const Plan& s, int64_t tile)
      : image(tile / s.tiles_image),
        y(tile % s.tiles_image / s.tiles_x * 4),
        x(tile % s.tiles_image % s.tiles_x * 4) {}
};

// Tiles of group `g` of x as rows (frequency, tile, channel).
template <class V>
void transform_images(const Plan& s, const float* x, const int64_t* before, const float* zeros,
                      int64_t g, float* out) {
  const int64_t first = s.first_tile(g), rows = s.first_tile(g + 1) - first;
  for (int64_t r = 0; r < rows; ++r) {
    const Corner t(s, first + r);
    const Window<6> from(x, zeros, t.image, t.y - before[0], t.x - before[1], s.h, s.w, s.c);
    for (int64_t c = 0; c < s.c; c += kLanes<V>) {
      V d[36], columns[36], v[36];
      for (int i = 0; i < 36; ++i) d[i] = load<V>(from.at[i] + c);
      for (int i = 0; i < 6; ++i) to_image(d + i, 6, columns + i, 6);
      for (int i = 0; i < 6; ++i) to_image(columns + 6 * i, 1, v + 6 * i, 1);
      for (int f = 0; f < 36; ++f) store(out + f * s.image_frequency() + r * s.c + c, v[f]);
    }
  }
}

// Weights of channels that are transformed at a time.
constexpr int64_t kDeep = 16;

// Panels that products work on at once: a row of the register tile is two vectors. Of an odd count
// of panels the last one is its own neighbour.
constexpr int64_t kPanelsAtOnce = 2 * kLanes<Wide> / Plan::kColumns;
struct Pair {
  int64_t first, step;  ///< panels, from the first to the second
  Pair(int64_t i, int64_t panels)
      : first(i * kPanelsAtOnce), step(first + kPanelsAtOnce <= panels ? kPanelsAtOnce - 1 : 0) {}
  static int64_t count(int64_t panels) { return (panels + kPanelsAtOnce - 1) / kPanelsAtOnce; }
  int64_t end() const { return first + step + 1; }
  /// From one vector of a row to the next where panels lie `apart`.
  int64_t next(int64_t apart) const { return kPanelsAtOnce == 1 ? kLanes<Wide> : step * apart; }
};

}  // namespace
}  // namespace nnm
