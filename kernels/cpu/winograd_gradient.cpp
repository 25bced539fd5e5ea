// Winograd's convolution: the gradients of weights.
#include <algorithm>

#include "kernels/cpu/winograd_transforms.h"
#include "kernels/parallel.h"
#include "kernels/winograd.h"

namespace nnm {
namespace {

// Its transpose: six frequencies of a gradient to three weights.
template <class V>
inline void from_weight(const V* m, int64_t step, V* out, int64_t out_step) {
  const V ea = m[step] + m[2 * step], oa = m[step] - m[2 * step];
  const V eb = m[3 * step] + m[4 * step], ob = m[3 * step] - m[4 * step];
  out[0] = kN0 * m[0] + kNa * ea + kNb * eb;
  out[out_step] = kNa * kA * oa + kNb * kB * ob;
  out[2 * out_step] = kNa * kA2 * ea + kNb * kB2 * eb + m[5 * step];
}

// Its transpose: four gradients to six frequencies.
template <class V>
inline void to_gradient(const V* g, int64_t step, V* out, int64_t out_step) {
  const V g0 = g[0], g1 = g[step], g2 = g[2 * step], g3 = g[3 * step];
  const V ea = g0 + kA2 * g2, oa = kA * (g1 + kA2 * g3);
  const V eb = g0 + kB2 * g2, ob = kB * (g1 + kB2 * g3);
  out[0] = g0;
  pairs(ea, oa, eb, ob, out, out_step);
  out[5 * out_step] = g3;
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

// Weights' gradients of panels [p0, p0 + panels) from their sums.
void write_panels(const Plan& s, const float* sums, int64_t p0, int64_t panels, float* dw) {
  const int64_t slices = (s.c + kDeep - 1) / kDeep;
  parallel_for(panels * slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / slices, c = i % slices * kDeep;
      write_weights(s, sums + panel * s.weight_panel(), p0 + panel, c, std::min(s.c, c + kDeep),
                    dw);
    }
  });
}

// The operands of the pass, and the parts of its memory.
struct Backward {
  const float *x, *g;
  const int64_t* before;
  float *zeros, *images, *gradients, *sums;

  Backward(const Plan& s, const View& g, const View& x, const View& work, const Conv2d& p)
      : x(x.as<const float>()),
        g(g.as<const float>()),
        before(p.before),
        zeros(work.as<float>()),
        images(zeros + s.zeros()),
        gradients(images + s.block * s.image_group()),
        sums(gradients + s.block * s.gradient_group()) {
    std::fill_n(zeros, s.zeros(), 0.f);
  }

  // Group g as the i-th of those in memory.
  void transform(const Plan& s, int64_t group, int64_t i) const {
    by_width(s.c, [&]<class V>() {
      transform_images<V>(s, x, before, zeros, group, images + i * s.image_group());
    });
    by_width(s.o, [&]<class V>() {
      transform_gradients<V>(s, g, zeros, group, gradients + i * s.gradient_group());
    });
  }

  // Adds groups [g0, g0 + groups), which lie in memory from the i-th on, to the sums of a frequency
  // and a pair of the panels from p0 on.
  void add(const Plan& s, int64_t g0, int64_t groups, int64_t i, int64_t p0, const Pair& pair,
           int64_t f, float* to, bool first) const {
    constexpr int64_t kPanel = Plan::kRows * Plan::kColumns;
    sum_products(s, g0, groups, images + i * s.image_group() + f * s.image_frequency(),
                 {gradients + i * s.gradient_group() + f * s.gradient_frequency() +
                      (p0 + pair.first) * kPanel,
                  pair.next(kPanel), to + pair.first * s.weight_panel() + f * s.weight_frequency(),
                  pair.next(s.weight_panel())},
                 first);
  }
};

// Of few weights each part of the groups has sums of its own: a thread works on what it has
// transformed, while it is in its core's cache.
void sum_by_parts(const Plan& s, const Backward& b) {
  const int64_t workers = std::min<int64_t>({num_threads(), Plan::kParts, s.block}),
                share = s.block / workers, pairs = Pair::count(s.panels);
  const int64_t most =
      std::clamp(2 * s.groups_at_once(s.image_group() + s.gradient_group()), int64_t{1}, share);
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = Plan::kParts * begin / workers; part < Plan::kParts * end / workers;
         ++part) {
      const int64_t w = begin, first = s.groups * part / Plan::kParts,
                    stop = s.groups * (part + 1) / Plan::kParts;
      float* sums = b.sums + part * s.weights();
      for (int64_t g0 = first; g0 < stop; g0 += most) {
        const int64_t groups = std::min(most, stop - g0);
        for (int64_t g = 0; g < groups; ++g) b.transform(s, g0 + g, w * share + g);
        for (int64_t i = 0; i < pairs; ++i)
          for (int64_t f = 0; f < Plan::kFrequencies; ++f)
            b.add(s, g0, groups, w * share, 0, Pair(i, s.panels), f, sums, g0 == first);
      }
    }
  });
  parallel_for(s.weights(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < Plan::kParts; ++part) {
      const float* more = b.sums + part * s.weights();
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) b.sums[i] += more[i];
    }
  });
}

void winograd_backward_weight_cpu(const View& dw, const View& g, const View& x, const View& work,
                                  const Conv2d& p) {
  const Plan s(x, g);
  const Backward b(s, g, x, work, p);
  if (s.sums_by_parts()) {
    sum_by_parts(s, b);
    return write_panels(s, b.sums, 0, s.panels, dw.as<float>());
  }
  for (int64_t p0 = 0; p0 < s.panels; p0 += s.chunk) {
    const int64_t panels = std::min(s.chunk, s.panels - p0);
    for (int64_t g0 = 0; g0 < s.groups; g0 += s.block) {
      const int64_t groups = std::min(s.block, s.groups - g0);
      // One block of tiles serves all chunks.
      if (p0 == 0 || s.block < s.groups) {
        parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) b.transform(s, g0 + i, i);
        });
      }
      parallel_for(Pair::count(panels) * Plan::kFrequencies, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          b.add(s, g0, groups, 0, p0, Pair(i / Plan::kFrequencies, panels), i % Plan::kFrequencies,
                b.sums, g0 == 0);
      });
    }
    write_panels(s, b.sums, p0, panels, dw.as<float>());
  }
}

NNM_KERNEL(winograd_backward_weight, winograd_backward_weight_cpu);

}  // namespace
}  // namespace nnm
