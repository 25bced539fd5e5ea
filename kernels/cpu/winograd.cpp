// Winograd's convolution: results, and the gradients of images.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/cpu/transpose.h"
#include "kernels/cpu/winograd_transforms.h"
#include "kernels/parallel.h"
#include "kernels/winograd.h"

namespace nnm {
namespace {

// Three weights to six frequencies.
template <class V>
inline void to_weight(const V* w, int64_t step, V* out, int64_t out_step) {
  const V w0 = w[0], w1 = w[step], w2 = w[2 * step];
  const V ea = kNa * w0 + kNa * kA2 * w2, oa = kNa * kA * w1;
  const V eb = kNb * w0 + kNb * kB2 * w2, ob = kNb * kB * w1;
  out[0] = kN0 * w0;
  pairs(ea, oa, eb, ob, out, out_step);
  out[5 * out_step] = w2;
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

// Weights as a pass sees them: from channel c to result o at tap k, or at 8 - k. Without `w` they
// are transformed already.
struct Weights {
  const float* w;
  int64_t c_stride, o_stride;
  bool turned;
  const float* transformed = nullptr;
};

// The taps of channels [begin, end), at most kDeep, of a panel; missing results are zeros.
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

// x * w with `before` zeros above and left of x, where all transformed weights are at hand: a
// thread transforms some groups and multiplies them while they are in its core's cache.
void convolve_by_groups(const Plan& s, const Target& to, const float* x, const float* weights,
                        const int64_t* before, const float* zeros, float* images) {
  const int64_t workers = std::min<int64_t>(num_threads(), s.block), share = s.block / workers;
  const int64_t most = std::clamp(s.groups_at_once(s.image_group()), int64_t{1}, share);
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t w = begin; w < end; ++w) {
      float* own = images + w * share * s.image_group();
      const int64_t stop = s.groups * (w + 1) / workers;
      for (int64_t g0 = s.groups * w / workers; g0 < stop; g0 += most) {
        const int64_t groups = std::min(most, stop - g0);
        by_width(s.c, [&]<class V>() {
          for (int64_t g = 0; g < groups; ++g)
            transform_images<V>(s, x, before, zeros, g0 + g, own + g * s.image_group());
        });
        const Piece piece{own, weights, g0, groups, 0, s.panels};
        for (int64_t i = 0; i < Pair::count(s.panels); ++i)
          for (int64_t g = 0; g < groups; g += kGroupsAtOnce)
            multiply_part(s, piece, i, g, std::min(groups, g + kGroupsAtOnce), to);
      }
    }
  });
}

// x * w with `before` zeros above and left of x.
void convolve(const Plan& s, const Target& to, const float* x, const Weights& w,
              const int64_t* before, float* work) {
  float *zeros = work, *images = zeros + s.zeros(), *space = images + s.block * s.image_group();
  std::fill_n(zeros, s.zeros(), 0.f);
  if ((!w.w || s.chunk == s.panels) && s.groups >= 4 * num_threads()) {
    if (w.w) transform_weights(s, w, 0, s.panels, space);
    return convolve_by_groups(s, to, x, w.w ? space : w.transformed, before, zeros, images);
  }
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

NNM_KERNEL(winograd, winograd_cpu);
NNM_KERNEL(winograd_weights, winograd_weights_cpu);
NNM_KERNEL(winograd_backward_input, winograd_backward_input_cpu);

}  // namespace
}  // namespace nnm
