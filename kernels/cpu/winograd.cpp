// Winograd's F(4x4, 3x3): transforms of a vector of channels at a time around products at 36
// frequencies. Method: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
// The points of interpolation are 0, ±5/8, ±3/2 and infinity: of the pairs a, b tried between 1/2
// and 2 the one with the least error, 2 times that of the direct sum where 1, 2 has 6 times.
#include "kernels/winograd.h"

#include <cstdlib>
#include <cstring>

#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vector.h"
#include "kernels/parallel.h"
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

// Six inputs to six frequencies: the polynomial (x - each other point) at each point.
template <class V>
inline void to_image(const V* d, int64_t step, V* out, int64_t out_step) {
  const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
          d5 = d[5 * step];
  const V ea = d4 - kB2 * d2, oa = kA * (d3 - kB2 * d1);
  const V eb = d4 - kA2 * d2, ob = kB * (d3 - kA2 * d1);
  out[0] = kA2 * kB2 * d0 - (kA2 + kB2) * d2 + d4;
  out[out_step] = ea + oa;
  out[2 * out_step] = ea - oa;
  out[3 * out_step] = eb + ob;
  out[4 * out_step] = eb - ob;
  out[5 * out_step] = kA2 * kB2 * d1 - (kA2 + kB2) * d3 + d5;
}

constexpr float kN0 = 1 / (kA2 * kB2), kNa = 1 / (2 * kA2 * (kA2 - kB2)),
                kNb = 1 / (2 * kB2 * (kB2 - kA2));

// Three weights to six frequencies.
template <class V>
inline void to_weight(const V* w, int64_t step, V* out, int64_t out_step) {
  const V w0 = w[0], w1 = w[step], w2 = w[2 * step];
  const V ea = kNa * w0 + kNa * kA2 * w2, oa = kNa * kA * w1;
  const V eb = kNb * w0 + kNb * kB2 * w2, ob = kNb * kB * w1;
  out[0] = kN0 * w0;
  out[out_step] = ea + oa;
  out[2 * out_step] = ea - oa;
  out[3 * out_step] = eb + ob;
  out[4 * out_step] = eb - ob;
  out[5 * out_step] = w2;
}

// Its transpose: six frequencies of a gradient to three weights.
template <class V>
inline void from_weight(const V* m, int64_t step, V* out, int64_t out_step) {
  const V ea = m[step] + m[2 * step], oa = m[step] - m[2 * step];
  const V eb = m[3 * step] + m[4 * step], ob = m[3 * step] - m[4 * step];
  out[0] = kN0 * m[0] + kNa * ea + kNb * eb;
  out[out_step] = kNa * kA * oa + kNb * kB * ob;
  out[2 * out_step] = kNa * kA2 * ea + kNb * kB2 * eb + m[5 * step];
}

// Six frequencies to four outputs.
template <class V>
inline void from_image(const V* m, int64_t step, V* out, int64_t out_step) {
  const V ea = m[step] + m[2 * step], oa = m[step] - m[2 * step];
  const V eb = m[3 * step] + m[4 * step], ob = m[3 * step] - m[4 * step];
  out[0] = m[0] + ea + eb;
  out[out_step] = kA * oa + kB * ob;
  out[2 * out_step] = kA2 * ea + kB2 * eb;
  out[3 * out_step] = kA2 * kA * oa + kB2 * kB * ob + m[5 * step];
}

// Its transpose: four gradients to six frequencies.
template <class V>
inline void to_gradient(const V* g, int64_t step, V* out, int64_t out_step) {
  const V g0 = g[0], g1 = g[step], g2 = g[2 * step], g3 = g[3 * step];
  const V ea = g0 + kA2 * g2, oa = kA * (g1 + kA2 * g3);
  const V eb = g0 + kB2 * g2, ob = kB * (g1 + kB2 * g3);
  out[0] = g0;
  out[out_step] = ea + oa;
  out[2 * out_step] = ea - oa;
  out[3 * out_step] = eb + ob;
  out[4 * out_step] = eb - ob;
  out[5 * out_step] = g3;
}

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

// Tiles of group `g` of a gradient as rows (frequency, panel, tile, channel of the panel).
template <class V>
void transform_gradients(const Plan& s, const float* gradient, const float* zeros, int64_t g,
                         float* out) {
  const int64_t first = s.first_tile(g), rows = s.first_tile(g + 1) - first;
  for (int64_t r = 0; r < rows; ++r) {
    const Corner t(s, first + r);
    const Window<4> from(gradient, zeros, t.image, t.y, t.x, s.oh, s.ow, s.o);
    for (int64_t o = 0; o < s.panels * Plan::kColumns; o += kLanes<V>) {
      V d[16] = {}, columns[24], v[36];
      for (int i = 0; i < 16 && o < s.o; ++i) d[i] = load<V>(from.at[i] + o);
      for (int i = 0; i < 4; ++i) to_gradient(d + i, 4, columns + i, 4);
      for (int i = 0; i < 6; ++i) to_gradient(columns + 4 * i, 1, v + 6 * i, 1);
      float* to =
          out + (o / Plan::kColumns * Plan::kRows + r) * Plan::kColumns + o % Plan::kColumns;
      for (int f = 0; f < 36; ++f) store(to + f * s.gradient_frequency(), v[f]);
    }
  }
}

// Weights as a pass sees them: from channel c to result o at tap k, or at 8 - k. Without `w` they
// are transformed already.
struct Weights {
  const float* w;
  int64_t c_stride, o_stride;
  bool turned;
  const float* transformed = nullptr;
};

// The taps of channels [begin, end), at most kDeep, of a panel; missing results are zeros.
constexpr int64_t kDeep = 16;
void gather_taps(const Plan& s, const Weights& w, int64_t panel, int64_t begin, int64_t end,
                 float (*taps)[9][Plan::kColumns]) {
  const int64_t first = panel * Plan::kColumns, count = std::min(Plan::kColumns, s.o - first);
  if (count < Plan::kColumns)
    std::memset(taps, 0, sizeof(taps[0]) * static_cast<size_t>(end - begin));
  const float* from = w.w + begin * w.c_stride + first * w.o_stride;
  if (w.c_stride == 9 && !w.turned) {
    // The channels of a result, and their taps, lie in a row of memory.
    for (int64_t o = 0; o < count; o += 8)
      transpose_eight(&taps[0][0][o], Plan::kColumns, from + o * w.o_stride, w.o_stride,
                      9 * (end - begin));
    return;
  }
  for (int64_t o = 0; o < count; ++o)
    for (int64_t c = 0; c < end - begin; ++c)
      for (int k = 0; k < 9; ++k)
        taps[c][k][o] = from[c * w.c_stride + o * w.o_stride + (w.turned ? 8 - k : k)];
}

// Channels [begin, end), at most kDeep, of a panel as rows (frequency, channel, result).
void transform_slice(const Plan& s, const Weights& w, int64_t panel, int64_t begin, int64_t end,
                     float* out) {
  alignas(64) float taps[kDeep][9][Plan::kColumns];
  gather_taps(s, w, panel, begin, end, taps);
  for (int64_t c = begin; c < end; ++c) {
    for (int64_t o = 0; o < Plan::kColumns; o += kLanes<Wide>) {
      Wide d[9], columns[18], v[36];
      for (int k = 0; k < 9; ++k) d[k] = load<Wide>(&taps[c - begin][k][o]);
      for (int i = 0; i < 3; ++i) to_weight(d + i, 3, columns + i, 3);
      for (int i = 0; i < 6; ++i) to_weight(columns + 3 * i, 1, v + 6 * i, 1);
      for (int f = 0; f < 36; ++f)
        store(out + f * s.weight_frequency() + c * Plan::kColumns + o, v[f]);
    }
  }
}

// Panels [p0, p0 + panels).
void transform_weights(const Plan& s, const Weights& w, int64_t p0, int64_t panels, float* out) {
  const int64_t slices = (s.c + kDeep - 1) / kDeep;
  parallel_for(panels * slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t p = i / slices, c = i % slices * kDeep;
      transform_slice(s, w, p0 + p, c, std::min(s.c, c + kDeep), out + p * s.weight_panel());
    }
  });
}

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

// m (kR, 16), rows 16 apart = a (kR, depth) u (depth, 16), with the second vectors of rows of u
// `u_next` and those of m `m_next` behind the first.
template <int kR>
void multiply_rows(int64_t depth, const float* a, int64_t a_stride, const float* u, int64_t u_next,
                   float* m, int64_t m_next) {
  Wide sum[kR][2] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const Wide u0 = load<Wide>(u + k * Plan::kColumns),
               u1 = load<Wide>(u + k * Plan::kColumns + u_next);
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
      sum[r][0] += a[r * a_stride + k] * u0;
      sum[r][1] += a[r * a_stride + k] * u1;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
    store(m + r * Plan::kColumns, sum[r][0]);
    store(m + r * Plan::kColumns + m_next, sum[r][1]);
  }
}

using MultiplyRows = void (*)(int64_t, const float*, int64_t, const float*, int64_t, float*,
                              int64_t);
constexpr MultiplyRows kMultiplyRows[] = {nullptr,          multiply_rows<1>, multiply_rows<2>,
                                          multiply_rows<3>, multiply_rows<4>, multiply_rows<5>,
                                          multiply_rows<6>};

// Where results go, and what becomes of them before.
struct Target {
  float* y;
  const float *bias = nullptr, *addend = nullptr;  ///< absent, or like y's channels and like y
  bool relu = false;
};

// Results of group `g` in one panel from rows (frequency, tile, result).
template <class V>
void write_results(const Plan& s, const float* m, const Target& to, int64_t g, int64_t panel) {
  const int64_t first = s.first_tile(g), rows = s.first_tile(g + 1) - first;
  for (int64_t r = 0; r < rows; ++r) {
    const Corner t(s, first + r);
    const int64_t height = std::min<int64_t>(4, s.oh - t.y),
                  width = std::min<int64_t>(4, s.ow - t.x);
    for (int64_t l = 0; l < Plan::kColumns; l += kLanes<V>) {
      const int64_t o = panel * Plan::kColumns + l;
      if (o >= s.o) break;
      V d[36], columns[24], v[16];
      for (int f = 0; f < 36; ++f) d[f] = load<V>(m + (f * Plan::kRows + r) * Plan::kColumns + l);
      for (int i = 0; i < 6; ++i) from_image(d + i, 6, columns + i, 6);
      for (int i = 0; i < 4; ++i) from_image(columns + 6 * i, 1, v + 4 * i, 1);
      const V add = to.bias ? load<V>(to.bias + o) : V{};
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) {
          const int64_t at = ((t.image * s.oh + t.y + i) * s.ow + t.x + j) * s.o + o;
          V r = v[4 * i + j] + add;
          if (to.addend) r += load<V>(to.addend + at);
          // NaN stays NaN.
          if (to.relu) r = r < V{} ? V{} : r;
          store(to.y + at, r);
        }
    }
  }
}

// A block of groups and a chunk of panels, transformed.
struct Piece {
  const float *images, *weights;
  int64_t g0, groups, p0, panels;
};

// Groups whose products are in the cache of a core before they become results.
constexpr int64_t kGroupsAtOnce = 8;

// Results of groups [first, last) of a piece, at most kGroupsAtOnce, in a pair of its panels.
void multiply_part(const Plan& s, const Piece& piece, int64_t i, int64_t first, int64_t last,
                   const Target& to) {
  constexpr int64_t kGroup = Plan::kFrequencies * Plan::kRows * Plan::kColumns;
  alignas(64) float m[kPanelsAtOnce][kGroupsAtOnce][kGroup];
  const Pair pair(i, piece.panels);
  for (int64_t f = 0; f < Plan::kFrequencies; ++f) {
    const float* u = piece.weights + pair.first * s.weight_panel() + f * s.weight_frequency();
    for (int64_t g = first; g < last; ++g) {
      const int64_t rows = s.first_tile(piece.g0 + g + 1) - s.first_tile(piece.g0 + g);
      kMultiplyRows[rows](s.c, piece.images + g * s.image_group() + f * s.image_frequency(), s.c, u,
                          pair.next(s.weight_panel()),
                          m[0][g - first] + f * Plan::kRows * Plan::kColumns,
                          pair.next(kGroupsAtOnce * kGroup));
    }
  }
  by_width(s.o, [&]<class V>() {
    for (int64_t p = pair.first; p < pair.end(); ++p)
      for (int64_t g = first; g < last; ++g)
        write_results<V>(s, m[p - pair.first][g - first], to, piece.g0 + g, piece.p0 + p);
  });
}

// Results of a piece.
void multiply(const Plan& s, const Piece& piece, const Target& to) {
  const int64_t pairs = Pair::count(piece.panels), threads = num_threads();
  const int64_t runs = (piece.groups + kGroupsAtOnce - 1) / kGroupsAtOnce;
  // Where groups go round, a thread takes those that it has transformed: the others' would come
  // from another core's cache.
  if (piece.groups >= 4 * threads || pairs * runs < threads) {
    return parallel_for(piece.groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < pairs; ++i)
        for (int64_t g = begin; g < end; g += kGroupsAtOnce)
          multiply_part(s, piece, i, g, std::min(end, g + kGroupsAtOnce), to);
    });
  }
  parallel_for(pairs * runs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t g = i % runs * kGroupsAtOnce;
      multiply_part(s, piece, i / runs, g, std::min(piece.groups, g + kGroupsAtOnce), to);
    }
  });
}

// x * w with `before` zeros above and left of x.
void convolve(const Plan& s, const Target& to, const float* x, const Weights& w,
              const int64_t* before, float* work) {
  float *zeros = work, *images = zeros + s.zeros(), *space = images + s.block * s.image_group();
  std::fill_n(zeros, s.zeros(), 0.f);
  for (int64_t g0 = 0; g0 < s.groups; g0 += s.block) {
    const int64_t groups = std::min(s.block, s.groups - g0);
    parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
      by_width(s.c, [&]<class V>() {
        for (int64_t g = begin; g < end; ++g)
          transform_images<V>(s, x, before, zeros, g0 + g, images + g * s.image_group());
      });
    });
    const int64_t chunk = w.w ? s.chunk : s.panels;
    for (int64_t p0 = 0; p0 < s.panels; p0 += chunk) {
      const int64_t panels = std::min(chunk, s.panels - p0);
      // One chunk of weights serves all blocks.
      if (w.w && (g0 == 0 || chunk < s.panels)) transform_weights(s, w, p0, panels, space);
      const float* weights = w.w ? space : w.transformed + p0 * s.weight_panel();
      multiply(s, {images, weights, g0, groups, p0, panels}, to);
    }
  }
}

// A pair of panels of gradients, and of sums of their products with channels.
struct Products {
  const float* z;
  int64_t z_next;
  float* sum;
  int64_t sum_next;
};

// sum (kR, 16), rows 16 apart, + the outer products of kR channels of x and panels of gradients.
template <int kR>
void add_products(const Plan& s, int64_t g0, int64_t groups, const float* x, const Products& p,
                  bool first) {
  Wide total[kR][2] = {};
  const float* z = p.z;
  for (int64_t g = 0; g < groups; ++g, x += s.image_group(), z += s.gradient_group()) {
    const int64_t tiles = s.first_tile(g0 + g + 1) - s.first_tile(g0 + g);
    for (int64_t t = 0; t < tiles; ++t) {
      const Wide z0 = load<Wide>(z + t * Plan::kColumns),
                 z1 = load<Wide>(z + t * Plan::kColumns + p.z_next);
      const float* a = x + t * s.c;
#pragma GCC unroll 6
      for (int r = 0; r < kR; ++r) {
        total[r][0] += a[r] * z0;
        total[r][1] += a[r] * z1;
      }
    }
  }
  // All are read before the first is written: the two vectors may be the same one.
  if (!first) {
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
      total[r][0] += load<Wide>(p.sum + r * Plan::kColumns);
      total[r][1] += load<Wide>(p.sum + r * Plan::kColumns + p.sum_next);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
    store(p.sum + r * Plan::kColumns, total[r][0]);
    store(p.sum + r * Plan::kColumns + p.sum_next, total[r][1]);
  }
}

using AddProducts = void (*)(const Plan&, int64_t, int64_t, const float*, const Products&, bool);
constexpr AddProducts kAddProducts[] = {nullptr,         add_products<1>, add_products<2>,
                                        add_products<3>, add_products<4>, add_products<5>,
                                        add_products<6>};

// Groups summed before the next channels' turn: their rows stay in the first cache, and sums of
// few before they are added to the rest lose less.
constexpr int64_t kGroupsSummed = 12;

// sums (channel, 16) of one frequency and a pair of panels over a block of groups.
void sum_products(const Plan& s, int64_t g0, int64_t groups, const float* images, const Products& p,
                  bool first) {
  const int64_t parts = (s.c + Plan::kRows - 1) / Plan::kRows;
  for (int64_t g = 0; g < groups; g += kGroupsSummed) {
    const int64_t count = std::min(kGroupsSummed, groups - g);
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t c = s.c * i / parts, rows = s.c * (i + 1) / parts - c;
      kAddProducts[rows](
          s, g0 + g, count, images + g * s.image_group() + c,
          {p.z + g * s.gradient_group(), p.z_next, p.sum + c * Plan::kColumns, p.sum_next},
          first && g == 0);
    }
  }
}

// Weights' gradients of channels [begin, end), at most kDeep, from sums (frequency, channel, 16).
void write_weights(const Plan& s, const float* sums, int64_t panel, int64_t begin, int64_t end,
                   float* dw) {
  alignas(64) float taps[kDeep][9][Plan::kColumns];
  for (int64_t c = begin; c < end; ++c) {
    for (int64_t o = 0; o < Plan::kColumns; o += kLanes<Wide>) {
      Wide d[36], columns[18], v[9];
      for (int f = 0; f < 36; ++f)
        d[f] = load<Wide>(sums + f * s.weight_frequency() + c * Plan::kColumns + o);
      for (int i = 0; i < 6; ++i) from_weight(d + i, 6, columns + i, 6);
      for (int i = 0; i < 3; ++i) from_weight(columns + 6 * i, 1, v + 3 * i, 1);
      for (int k = 0; k < 9; ++k) store(&taps[c - begin][k][o], v[k]);
    }
  }
  const int64_t first = panel * Plan::kColumns, count = std::min(Plan::kColumns, s.o - first);
  for (int64_t o = 0; o < count; ++o) {
    float* to = dw + ((first + o) * s.c + begin) * 9;
    for (int64_t c = begin; c < end; ++c)
      for (int k = 0; k < 9; ++k) *to++ = taps[c - begin][k][o];
  }
}

Weights forward_weights(const View& w) { return {w.as<const float>(), 9, w.size[1] * 9, false}; }

void winograd_cpu(const View& y, const View& x, const View& w, const View& transformed,
                  const View& bias, const View& work, const Conv2d& p, const ConvEpilogue& after) {
  const Plan s(x, y);
  if (y.numel() == 0) return;
  Weights weights = forward_weights(w);
  if (transformed) weights = {nullptr, 0, 0, false, transformed.as<const float>()};
  const Target to{y.as<float>(), bias.as<const float>(), after.addend.as<const float>(),
                  after.relu};
  convolve(s, to, x.as<const float>(), weights, p.before, work.as<float>());
}

void winograd_weights_cpu(const View& transformed, const View& w) {
  const Plan s = Plan::of_weights(w);
  transform_weights(s, forward_weights(w), 0, s.panels, transformed.as<float>());
}

// The gradient of x is a convolution of g with turned weights.
void winograd_backward_input_cpu(const View& dx, const View& g, const View& w, const View& work,
                                 const Conv2d& p) {
  const Plan s(g, dx);
  if (dx.numel() == 0) return;
  const int64_t before[] = {2 - p.before[0], 2 - p.before[1]};
  convolve(s, {dx.as<float>()}, g.as<const float>(), {w.as<const float>(), s.o * 9, 9, true},
           before, work.as<float>());
}

void winograd_backward_weight_cpu(const View& dw, const View& g, const View& x, const View& work,
                                  const Conv2d& p) {
  const Plan s(x, g);
  float *zeros = work.as<float>(), *images = zeros + s.zeros(),
        *gradients = images + s.block * s.image_group(),
        *sums = gradients + s.block * s.gradient_group();
  std::fill_n(zeros, s.zeros(), 0.f);
  const int64_t slices = (s.c + kDeep - 1) / kDeep;
  for (int64_t p0 = 0; p0 < s.panels; p0 += s.chunk) {
    const int64_t panels = std::min(s.chunk, s.panels - p0);
    for (int64_t g0 = 0; g0 < s.groups; g0 += s.block) {
      const int64_t groups = std::min(s.block, s.groups - g0);
      // One block of tiles serves all chunks.
      if (p0 == 0 || s.block < s.groups) {
        parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            by_width(s.c, [&]<class V>() {
              transform_images<V>(s, x.as<const float>(), p.before, zeros, g0 + i,
                                  images + i * s.image_group());
            });
            by_width(s.o, [&]<class V>() {
              transform_gradients<V>(s, g.as<const float>(), zeros, g0 + i,
                                     gradients + i * s.gradient_group());
            });
          }
        });
      }
      parallel_for(Pair::count(panels) * Plan::kFrequencies, 1, [&](int64_t begin, int64_t end) {
        constexpr int64_t kPanel = Plan::kRows * Plan::kColumns;
        for (int64_t i = begin; i < end; ++i) {
          const Pair pair(i / Plan::kFrequencies, panels);
          const int64_t f = i % Plan::kFrequencies;
          sum_products(
              s, g0, groups, images + f * s.image_frequency(),
              {gradients + f * s.gradient_frequency() + (p0 + pair.first) * kPanel,
               pair.next(kPanel), sums + pair.first * s.weight_panel() + f * s.weight_frequency(),
               pair.next(s.weight_panel())},
              g0 == 0);
        }
      });
    }
    parallel_for(panels * slices, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i / slices, c = i % slices * kDeep;
        write_weights(s, sums + panel * s.weight_panel(), p0 + panel, c, std::min(s.c, c + kDeep),
                      dw.as<float>());
      }
    });
  }
}

NNM_KERNEL(winograd, winograd_cpu);
NNM_KERNEL(winograd_weights, winograd_weights_cpu);
NNM_KERNEL(winograd_backward_input, winograd_backward_input_cpu);
NNM_KERNEL(winograd_backward_weight, winograd_backward_weight_cpu);

}  // namespace
}  // namespace nnm
