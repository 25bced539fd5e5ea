// Pooling against PyTorch.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;
using nnm::testing::same_bits;
using nnm::testing::Threads;

TEST_CASE("maxima: values") {
  CHECK(differs(max_pool2d_with_indices(wave({1, 2, 4, 5}), {2, 3}, 2, 1, 1, true).first,
                {0.783326909627, 0.973847630878, 0.427379880234, 0.412118485242, 0.793667863849,
                 0.969889810845, 0.965657776549, 0.965657776549, -0.472421986398, 0.0504226878068,
                 0.961152724502, 0.961152724502, 0.956375928405, 0.365652620283, 0.823333000738,
                 0.832759485308, 0.951328738787, 0.349951368957}) == "");
  CHECK(differs(max_pool2d_with_indices(wave({1, 2, 4, 5}), {2, 3}, 2, 1, 1, true).second,
                {1, 2, 3, 10, 8, 9, 16, 16, 18, 1, 3, 3, 10, 11, 9, 16, 17, 18}) == "");
  CHECK(differs(max_pool2d(wave({1, 1, 5, 5}), 2, 1, 0, 2),
                {0.973847630878, 0.783326909627, 0.973847630878, 0.803784426552, 0.965657776549,
                 0.969889810845, 0.813673737507, 0.961152724502, 0.813673737507}) == "");
  CHECK(differs(max_pool2d(channels_last(wave({1, 2, 4, 4})), 2),
                {0.783326909627, 0.973847630878, 0.969889810845, 0.803784426552, 0.965657776549,
                 0.961152724502, 0.823333000738, 0.956375928405}) == "");
  CHECK(differs(max_pool1d(wave({1, 2, 6}), 3, 2),
                {0.973847630878, 0.973847630878, 0.793667863849, 0.969889810845}) == "");
  CHECK(differs(max_pool1d_with_indices(wave({2, 5}), 2).second, {1, 2, 1, 3}) == "");
  CHECK(differs(adaptive_max_pool2d_with_indices(wave({1, 1, 5, 4}), {3, 2}).first,
                {0.783326909627, 0.973847630878, 0.969889810845, 0.803784426552, 0.965657776549,
                 0.803784426552}) == "");
  CHECK(differs(adaptive_max_pool2d_with_indices(wave({1, 1, 5, 4}), {3, 2}).second,
                {1, 2, 9, 15, 16, 15}) == "");
  CHECK(differs(adaptive_max_pool1d(wave({1, 2, 5}), 2),
                {0.973847630878, 0.973847630878, 0.0168139004843, 0.969889810845}) == "");
}

TEST_CASE("means: values") {
  CHECK(differs(avg_pool2d(wave({1, 1, 4, 5}), {2, 3}, 2, 1, true),
                {0.130554484938, 0.364092403457, -0.00252342717684, -0.299285335626,
                 -0.360456405164, 0.172532856333, 0.29490703385, 0.14832939388, -0.242747831913}) ==
        "");
  CHECK(differs(avg_pool2d(wave({1, 1, 4, 5}), {2, 3}, 2, 1, false, false),
                {0.391663454814, 0.728184806913, -0.00757028153051, -0.448928003439,
                 -0.360456405164, 0.258799284499, 0.88472110155, 0.29665878776, -0.72824349574}) ==
        "");
  CHECK(differs(avg_pool2d(wave({1, 1, 4, 4}), 2, {}, 0, false, true, 3),
                {-0.212241217111, 0.215092308013, 0.00687928690291, 0.263996688413}) == "");
  CHECK(differs(avg_pool1d(wave({1, 2, 6}), 3, 2),
                {0.585724846835, 0.319569022606, 0.0125724255925, 0.725225386645}) == "");
  CHECK(differs(adaptive_avg_pool2d(wave({1, 2, 4, 5}), {3, 2}),
                {0.00394897262816, 0.456513107166, -0.459972390556, 0.0118458014024, 0.189971522939,
                 -0.461507197519, -0.350126579519, 0.384473240308, -0.232271567999, -0.344812443987,
                 0.448050321242, -0.239103210741}) == "");
  CHECK(differs(adaptive_avg_pool2d(channels_last(wave({1, 2, 3, 3})), {1, 1}),
                {0.0891356818397, 0.153484267975}) == "");
  CHECK(differs(adaptive_avg_pool2d(wave({2, 2, 3}), {{}, 2}),
                {0.391663454814, 0.878587270253, -0.00757028153051, -0.71002528048, -0.377975293536,
                 0.405240882167, 0.691004148043, -0.0227087042668}) == "");
  CHECK(differs(adaptive_avg_pool1d(wave({1, 2, 5}), 2),
                {0.585724846835, 0.319569022606, -0.577826901579, 0.593457191726}) == "");
}

TEST_CASE("pooling: gradients") {
  const auto check = [](const std::function<Tensor(const Tensor&)>& f, const Shape& shape) {
    CHECK(gradcheck([&](const Tensors& v) { return f(v[0]); }, {random_leaf(shape)}) == "");
    if (shape.size() == 4) {
      const Tensor last = channels_last(random_leaf(shape).detach()).requires_grad_();
      CHECK(gradcheck([&](const Tensors& v) { return f(v[0]); }, {last}) == "");
      const Tensor odd = random_transposed_leaf(shape);
      CHECK(gradcheck([&](const Tensors& v) { return f(v[0]); }, {odd}) == "");
    }
  };
  check([](const Tensor& x) { return max_pool2d(x, {2, 3}, 2, 1, 1, true); }, {2, 2, 5, 6});
  check([](const Tensor& x) { return max_pool2d(x, 2, 1, 0, 2); }, {2, 5, 6});
  check([](const Tensor& x) { return avg_pool2d(x, {2, 3}, 2, 1, true, false); }, {2, 2, 5, 6});
  check([](const Tensor& x) { return avg_pool2d(x, 2, {}, 0, false, true, 3); }, {2, 4, 4});
  check([](const Tensor& x) { return max_pool1d(x, 3, 2); }, {2, 2, 7});
  check([](const Tensor& x) { return avg_pool1d(x, 3, 2, 1); }, {2, 7});
  check([](const Tensor& x) { return adaptive_avg_pool2d(x, {3, 2}); }, {2, 2, 5, 4});
  check([](const Tensor& x) { return adaptive_avg_pool2d(x, {1, 1}); }, {2, 2, 5, 4});
  check([](const Tensor& x) { return adaptive_max_pool2d(x, {3, 2}); }, {2, 2, 5, 4});
  check([](const Tensor& x) { return adaptive_avg_pool1d(x, 2); }, {2, 2, 5});
  check([](const Tensor& x) { return adaptive_max_pool1d(x, 2); }, {2, 5});
}

namespace {

/// The arguments of max_pool2d beside its input.
struct MaxPooling {
  Size2 kernel_size;
  OptionalTuple<2> stride = {};
  Size2 padding = 0, dilation = 1;
  bool ceil_mode = false;
};

// The maxima of a window and the gradient of their input for ones above, by taps or by places.
struct MaximaOf {
  Tensor y, dx;
  MaximaOf(const Tensor& images, const MaxPooling& p, bool places) {
    const Tensor x = images.detach().requires_grad_();
    const auto run = [&](const auto& f) {
      return f(x, p.kernel_size, p.stride, p.padding, p.dilation, p.ceil_mode);
    };
    y = places ? run(max_pool2d_with_indices).first : run(max_pool2d);
    Generator g(3);
    y.backward(to(rand(y.shape(), {}, &g), y.dtype()));
    dx = x.grad();
  }
};

// Few different numbers, many of them equal, and NaN and infinities.
Tensor ties(const Shape& shape) {
  Generator g(5);
  const Tensor x = floor(mul(rand(shape, {}, &g), 6));
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor rare = rand(shape, {}, &g);
  return where(lt(rare, 0.05), full({}, std::nan("")), where(gt(rare, 0.8), full({}, -inf), x));
}

}  // namespace

TEST_CASE("maxima: ties, NaN and infinities are PyTorch's") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const Tensor one =
      nnm::testing::doubles({1,   1, nan, 2,   -inf, -inf, 1, 1,   3,   nan, -inf, -inf,  //
                             nan, 5, 0,   -0., -1,   -2,   6, nan, -0., 0,   -3,   -1},
                            {1, 1, 4, 6});
  const std::vector<double> hit = {1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0,
                                   0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0};
  for (const int64_t channels : {1, 40}) {
    const Tensor x = channels_last(contiguous(expand(one, {1, channels, 4, 6}))).requires_grad_();
    const Tensor y = max_pool2d(x, 2);
    y.backward(ones(y.shape(), {DType::f64}));
    CHECK(differs(select(x.grad(), 1, channels - 1), hit) == "");
    CHECK(std::isnan(select(y, 1, channels - 1).to_vector<double>()[1]));
  }
}

TEST_CASE("maxima: taps and places are the same bits") {
  const MaxPooling poolings[] = {
      {2},
      {{3, 2}, Size2{2, 1}, {1, 0}, {1, 2}, true},
      {3, Size2(2), 1},
      {2, Size2(3), 1},
      {2, Size2(1), 0, 2},
      {3, Size2(3), 0, 2},  // as far apart as they are wide, but for dilation
      {3, Size2(3), 1, 1, true},
      {{15, 16}, Size2(1), {7, 8}}};  // more taps than a byte tells
  for (const MaxPooling& p : poolings) {
    CAPTURE(p.kernel_size[0]);
    CAPTURE(p.ceil_mode);
    for (const int64_t channels : {1, 3, 16, 37}) {
      const Tensor plain = ties({2, channels, 11, 10});
      for (const DType t : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
        for (const Tensor& x : {to(plain, t), channels_last(to(plain, t)),
                                transpose(to(plain, t), 2, 3), transpose(to(plain, t), 0, 1)}) {
          const MaximaOf taps(x, p, false), places(x, p, true);
          CHECK(same_bits(taps.y, places.y));
          CHECK(same_bits(taps.dx, places.dx));
          if (t != DType::f32) continue;
          const Threads two(2);
          CHECK(same_bits(MaximaOf(x, p, false).dx, taps.dx));
        }
      }
    }
  }
}

TEST_CASE("pooling: nodes, meta shapes, errors") {
  const Tensor x = wave_leaf({1, 2, 4, 4});
  CHECK(std::string(max_pool2d(x, 2).grad_fn()->name) == "MaxPool2DWithIndicesBackward0");
  CHECK(std::string(avg_pool2d(x, 2).grad_fn()->name) == "AvgPool2DBackward0");
  CHECK(std::string(adaptive_avg_pool2d(x, {2, 2}).grad_fn()->name) ==
        "AdaptiveAvgPool2DBackward0");
  CHECK(std::string(adaptive_max_pool2d(x, {2, 2}).grad_fn()->name) ==
        "AdaptiveMaxPool2DBackward0");
  CHECK(max_pool2d(on_meta(x), 3, 2, 1).shape() == Shape{1, 2, 2, 2});
  CHECK(adaptive_avg_pool2d(on_meta(x), {{}, 3}).shape() == Shape{1, 2, 4, 3});
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          max_pool2d(z({2, 3, 2, 2}), 3);
        }) ==
        "Given input size: (3x2x2). Calculated output size: (3x0x0). Output size is too small");
  CHECK(message_of([&] {
          max_pool2d(z({2, 3, 8, 8}), 2, {}, 2);
        }) ==
        "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and "
        "dilation=1");
  CHECK(message_of([&] {
          max_pool2d(z({8, 8}), 2);
        }) == "non-empty 3D or 4D (batch mode) tensor expected for input");
  CHECK(message_of([&] { max_pool2d(z({2, 3, 2, 2}), 0); }) == "stride should not be zero");
  CHECK(message_of([&] {
          max_pool1d(z({2, 3, 2}), 3);
        }) == "max_pool1d() Invalid computed output size: 0");
  CHECK(message_of([&] {
          avg_pool1d(z({3, 2}), 3);
        }) ==
        "Given input size: (3x1x2). Calculated output size: (3x1x0). Output size is too small");
  CHECK(message_of([&] {
          avg_pool2d(z({2, 3, 4, 4}), 2, {}, 0, false, true, 0);
        }) == "divisor must be not zero");
  CHECK(message_of([&] {
          adaptive_avg_pool2d(z({8, 8}), {2, 2});
        }) == "adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got [8, 8]");
}
