// Cases of convolution, pooling and normalisation.
#include <fmt/format.h>

#include "kernels/conv.h"
#include "kernels/norm.h"
#include "kernels/pool.h"
#include "kernels/resample.h"
#include "nnm/run/selftest/suite.h"

namespace nnm::run {

namespace {

DType stats_type(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

struct Convolved {
  Sizes x;
  int64_t outputs, kernel[2];
  Conv2d p;
};

int64_t extent(const Convolved& c, size_t d) {
  const int64_t span = c.p.dilation[d] * (c.kernel[d] - 1) + 1;
  return (c.x[2 + d] + c.p.before[d] + c.p.after[d] - span) / c.p.stride[d] + 1;
}

/// As a product of matrices, by tiles, by products of patches, directly.
const std::vector<Convolved>& convolutions() {
  static const std::vector<Convolved> all = {
      {{2, 3, 9, 8}, 5, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{1, 7, 11, 6}, 17, {3, 2}, {{2, 1}, {1, 2}, {2, 0}, {1, 3}, 1}},
      {{3, 12, 6, 5}, 20, {1, 1}, {{1, 1}, {1, 1}, {0, 0}, {0, 0}, 1}},
      {{3, 4, 7, 7}, 6, {1, 1}, {{2, 2}, {1, 1}, {0, 0}, {0, 0}, 1}},
      {{2, 18, 5, 6}, 20, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 2}},
      {{2, 40, 6, 7}, 40, {3, 3}, {{1, 2}, {1, 1}, {1, 1}, {1, 1}, 40}},
      {{1, 6, 5, 5}, 12, {2, 2}, {{1, 1}, {2, 1}, {1, 0}, {1, 0}, 3}},
      {{5, 12, 10, 11}, 40, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}},
      {{3, 16, 9, 10}, 24, {3, 3}, {{2, 1}, {1, 2}, {1, 1}, {1, 2}, 1}},
      {{0, 3, 5, 5}, 4, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}}};
  return all;
}

void check_passes(Suite& s, const Convolved& c, DType t) {
  const Sizes y = {c.x[0], c.outputs, extent(c, 0), extent(c, 1)},
              w = {c.outputs, c.x[1] / c.p.groups, c.kernel[0], c.kernel[1]};
  const Conv2d p = c.p;
  const std::string note =
      fmt::format("stride {} {}, groups {}", p.stride[0], p.stride[1], p.groups);
  const auto forward = [p](const Views& v) { kernels::conv2d(v[0], v[1], v[2], v[3], p); };
  for (const Operand& bias : {in(t, {c.outputs}), absent()})
    s.check(kernels::conv2d, note,
            {out(t, y, Lay::channels), in(t, c.x, Lay::channels), in(t, w), bias}, 4, forward);
  s.check(kernels::conv2d_backward_input, note,
          {out(t, c.x, Lay::channels), in(t, y, Lay::channels), in(t, w)}, 4,
          [p](const Views& v) { kernels::conv2d_backward_input(v[0], v[1], v[2], p); });
  for (const Operand& bias : {out(t, {c.outputs}), absent()})
    s.check(kernels::conv2d_backward_weight, note,
            {out(t, w), bias, in(t, y, Lay::channels), in(t, c.x, Lay::channels)}, 8,
            [p](const Views& v) { kernels::conv2d_backward_weight(v[0], v[1], v[2], v[3], p); });
}

void check_conv(Suite& s) {
  for (const DType t : kFloats)
    for (const Convolved& c : convolutions()) check_passes(s, c, t);
  // So many pixels that the largest tiles are enough for a large device.
  check_passes(s, {{11, 1, 40, 40}, 72, {1, 2}, {{1, 1}, {1, 1}, {0, 0}, {0, 0}, 1}}, DType::f32);
  // So many channels that cuDNN is asked in f32, too.
  check_passes(s, {{1, 64, 5, 4}, 64, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}}, DType::f32);
  // Images whose patches go in two batches.
  check_passes(s, {{2, 8, 100, 110}, 8, {7, 7}, {{1, 1}, {1, 1}, {3, 3}, {3, 3}, 1}}, DType::bf16);
}

struct Pooled {
  Sizes x;
  int64_t out[2];
  Pool2d p;
};

Pool2d windows(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  Pool2d p;
  for (int d = 0; d < 2; ++d)
    p.kernel[d] = kernel, p.stride[d] = stride, p.padding[d] = padding, p.dilation[d] = dilation;
  return p;
}

Pool2d adaptive() {
  Pool2d p;
  p.adaptive = true;
  return p;
}

const std::vector<Pooled>& pools() {
  static const std::vector<Pooled> all = {
      {{2, 3, 8, 6}, {4, 3}, windows(2, 2, 0, 1)},
      {{1, 5, 9, 7}, {5, 4}, windows(3, 2, 1, 1)},
      {{2, 33, 7, 9}, {7, 9}, windows(3, 1, 1, 1)},
      {{3, 4, 7, 10}, {3, 5}, adaptive()},
      {{2, 3, 6, 5}, {3, 3}, windows(2, 2, 0, 1)},
      {{0, 3, 4, 4}, {2, 2}, windows(2, 2, 0, 1)},
      {{2, 3, 9, 8}, {4, 3}, windows(3, 2, 1, 2)},
      // Packs of channels: windows that meet, that do not, and with positions between them.
      {{2, 16, 9, 7}, {5, 4}, windows(3, 2, 1, 1)},
      {{1, 8, 7, 9}, {3, 5}, adaptive()},
      {{2, 8, 9, 11}, {4, 5}, windows(2, 2, 0, 1)},
      {{2, 24, 7, 10}, {3, 4}, windows(2, 3, 1, 1)},
      {{1, 8, 7, 9}, {2, 3}, windows(2, 3, 0, 2)}};
  return all;
}

void check_max_pool(Suite& s, const Pooled& c, DType t, Lay lay) {
  const Sizes y = {c.x[0], c.x[1], c.out[0], c.out[1]};
  const Pool2d p = c.p;
  const auto forward = [p](const Views& v) { kernels::max_pool2d(v[0], v[1], v[2], p); };
  s.check(kernels::max_pool2d, "", {out(t, y, lay), out(DType::i64, y, lay), in(t, c.x, lay)}, 0,
          forward);
  s.check(kernels::max_pool2d, "", {out(t, y, lay), absent(), in(t, c.x, lay, specials())}, 0,
          forward);
  // The CPU rounds bf16 and f16 after each of the gradients that meet.
  s.check(
      kernels::max_pool2d_backward, "",
      {out(t, c.x, lay), out(t, y, lay), out(DType::i64, y, lay), in(t, y, lay), in(t, c.x, lay)},
      2, [p](const Views& v) {
        kernels::max_pool2d(v[1], v[2], v[4], p);
        kernels::max_pool2d_backward(v[0], v[3], v[2], p);
      });
}

void check_avg_pool(Suite& s, const Pooled& c, DType t, Lay lay) {
  const Sizes y = {c.x[0], c.x[1], c.out[0], c.out[1]};
  for (const bool padding_counts : {true, false}) {
    Pool2d p = c.p;
    p.count_include_pad = padding_counts;
    p.divisor = c.x[1] == 5 ? 7 : 0;
    const std::string note = padding_counts ? "padding counts" : "";
    s.check(kernels::avg_pool2d, note, {out(t, y, lay), in(t, c.x, lay)}, 2,
            [p](const Views& v) { kernels::avg_pool2d(v[0], v[1], p); });
    s.check(kernels::avg_pool2d_backward, note, {out(t, c.x, lay), in(t, y, lay)}, 2,
            [p](const Views& v) { kernels::avg_pool2d_backward(v[0], v[1], p); });
  }
}

void check_pools(Suite& s) {
  for (const DType t : kFloats)
    for (const Pooled& c : pools())
      for (const Lay lay : {Lay::plain, Lay::channels}) {
        check_max_pool(s, c, t, lay);
        if (c.p.dilation[0] == 1) check_avg_pool(s, c, t, lay);
      }
}

void check_resample(Suite& s) {
  struct Extents {
    int64_t before, in, out, after;
    double step;
  };
  // Up and down, by PyTorch's steps and by others; one element on either side.
  const Extents all[] = {{6, 5, 10, 1, 0.5}, {2, 5, 12, 7, 5.0 / 12}, {3, 11, 4, 1, 2.75},
                         {2, 9, 3, 8, 3},    {5, 1, 4, 3, 0.25},      {4, 7, 1, 2, 7},
                         {0, 3, 6, 2, 0.5}};
  for (const DType t : kFloats)
    for (const Extents& e : all)
      for (const Resampling mode :
           {Resampling::nearest, Resampling::nearest_exact, Resampling::linear, Resampling::cubic})
        for (const bool corners : {false, true}) {
          const auto gaps = static_cast<double>(e.out > 1 ? e.out - 1 : 1);
          const Resample r{mode, corners, e.in, e.out,
                           corners ? static_cast<double>(e.in - 1) / gaps : e.step};
          const Sizes x = {e.before, e.in, e.after}, y = {e.before, e.out, e.after};
          const std::string note =
              fmt::format("mode {}{}", static_cast<int>(mode), corners ? ", corners" : "");
          s.check(kernels::resample, note, {out(t, y), in(t, x)}, 2,
                  [r](const Views& v) { kernels::resample(v[0], v[1], r); });
          s.check(kernels::resample_backward, note, {out(t, x), in(t, y)}, 2,
                  [r](const Views& v) { kernels::resample_backward(v[0], v[1], r); });
        }
}

void check_batch_norm(Suite& s, const Sizes& x, DType t, Lay lay) {
  const DType stats = stats_type(t);
  const Sizes c = {x[1]};
  const Contents positive = uniform(0.5, 2);
  const auto train = [](const Views& v) {
    kernels::batch_norm(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], 0.3, 1e-5);
  };
  s.check(kernels::batch_norm, "",
          {out(t, x, lay), in(t, x, lay, uniform(-1, 3)), in(t, c), in(t, c), out(stats, c),
           out(stats, c), both(DType::f32, c), both(DType::f32, c, positive)},
          4, train);
  s.check(kernels::batch_norm, "",
          {out(t, x, lay), in(t, x, lay, uniform(30, 31)), absent(), absent(), out(stats, c),
           out(stats, c), absent(), absent()},
          8, train);
  s.check(kernels::batch_norm_eval, "",
          {out(t, x, lay), in(t, x, lay), in(t, c), in(t, c), in(DType::f32, c),
           in(DType::f32, c, positive)},
          2, [](const Views& v) {
            kernels::batch_norm_eval(v[0], v[1], v[2], v[3], v[4], v[5], 1e-5);
          });
  for (const bool training : {true, false}) {
    const auto backward = [training](const Views& v) {
      kernels::batch_norm_backward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], training);
    };
    s.check(kernels::batch_norm_backward, training ? "training" : "",
            {in(stats, c), out(t, x, lay), out(t, c), out(t, c), in(t, x, lay), in(t, x, lay),
             in(t, c), in(stats, c, positive)},
            8, backward);
    s.check(kernels::batch_norm_backward, training ? "training" : "",
            {in(stats, c), out(t, x, lay), absent(), absent(), in(t, x, lay), in(t, x, lay),
             absent(), in(stats, c, positive)},
            8, backward);
  }
}

void check_layer_norm(Suite& s, const Sizes& x, DType t) {
  const DType stats = stats_type(t);
  const Sizes rows = {x[0]}, n = {x[1]};
  for (const bool rms : {false, true}) {
    const std::string note = rms ? "rms" : "";
    const Operand none = absent();
    for (const Operand& w : {in(t, n), none}) {
      const Operand b = w.role == Operand::Role::absent || rms ? none : in(t, n);
      s.check(kernels::layer_norm, note,
              {out(t, x), in(t, x), w, b, rms ? none : out(stats, rows), out(stats, rows)}, 4,
              [rms](const Views& v) {
                kernels::layer_norm(v[0], v[1], v[2], v[3], v[4], v[5], 1e-5, rms);
              });
      s.check(kernels::layer_norm_backward, note,
              {in(stats, rows, uniform(0.5, 2)), out(t, x), out(t, n), out(t, n), in(t, x),
               in(t, x), w, rms ? none : in(stats, rows)},
              8, [rms](const Views& v) {
                kernels::layer_norm_backward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], rms);
              });
    }
  }
}

void check_group_norm(Suite& s, const Sizes& x, int64_t groups, DType t) {
  const DType stats = stats_type(t);
  const Sizes rows = {x[0], groups}, c = {x[1]};
  for (const Operand& w : {in(t, c), absent()}) {
    s.check(kernels::group_norm, "",
            {out(t, x), in(t, x), w, w, out(stats, rows), out(stats, rows)}, 4,
            [groups](const Views& v) {
              kernels::group_norm(v[0], v[1], v[2], v[3], v[4], v[5], groups, 1e-5);
            });
    s.check(kernels::group_norm_backward, "",
            {in(stats, rows, uniform(0.5, 2)), out(t, x), out(t, c), out(t, c), in(t, x), in(t, x),
             w, in(stats, rows)},
            16, [groups](const Views& v) {
              kernels::group_norm_backward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], groups);
            });
  }
}

void check_norms(Suite& s) {
  for (const DType t : kFloats) {
    for (const Sizes& x : {Sizes{4, 3, 5, 6}, Sizes{2, 35, 3, 3}, Sizes{300, 40},
                           Sizes{60, 2, 30, 30}, Sizes{40, 3, 32, 20}})
      check_batch_norm(s, x, t, Lay::plain);
    // Channels that make no packs, that make less than a warp's, and more.
    for (const Sizes& x :
         {Sizes{4, 3, 5, 6}, Sizes{2, 35, 30, 30}, Sizes{2, 40, 20, 30}, Sizes{5, 264, 9, 7}})
      check_batch_norm(s, x, t, Lay::channels);
    for (const Sizes& x : {Sizes{5, 7}, Sizes{300, 33}, Sizes{17, 1024}, Sizes{3, 1100},
                           Sizes{1, 1}, Sizes{3, 72}, Sizes{2, 8192}})
      check_layer_norm(s, x, t);
    // More rows than blocks: of warps that hold few elements each, and many, and of blocks.
    if (t == DType::f32)
      for (const Sizes& x : {Sizes{4300, 64}, Sizes{800, 264}, Sizes{270, 1032}})
        check_layer_norm(s, x, t);
    check_group_norm(s, {2, 6, 15}, 3, t);
    check_group_norm(s, {3, 4, 1}, 2, t);
    check_group_norm(s, {2, 40, 300}, 2, t);
  }
}

}  // namespace

void check_layers(Suite& s) {
  check_conv(s);
  check_pools(s);
  check_resample(s);
  check_norms(s);
}

}  // namespace nnm::run
