// Convolutions against PyTorch.
#include <doctest/doctest.h>

#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

TEST_CASE("convolution: values") {
  CHECK(differs(conv2d(wave({1, 2, 4, 4}), wave({2, 2, 3, 3}, 1), wave({2}, 2), 2, 1),
                {-0.725554946051, -2.95643153109, -3.30942049877, -1.50053219583, 0.504904351201,
                 5.59777666856, 3.29071374547, 5.45086976917}) == "");
  CHECK(differs(conv2d(wave({1, 4, 4, 5}), wave({2, 2, 2, 2}, 1), {}, {2, 1}, 0, {1, 2}, 2),
                {0.0714375158436, -0.401908975022, -0.571098766266, -0.299901144507, 0.197168078086,
                 0.545024430033, 0.465790471149, 0.60900339493, 0.29133469085, -0.256321942809,
                 -0.600773151334, -0.490571216268}) == "");
  CHECK(differs(conv2d(wave({1, 3, 3, 3}), wave({3, 1, 2, 2}, 1), {}, 1, 0, 1, 3),
                {1.11889284271, 1.95039064502, -0.326904923925, -1.71228641001, -2.01688307151,
                 -0.146922717922, 2.42726882479, 1.18340317487, -1.59582667313, -2.56480077814,
                 0.584618975688, 2.31959475337}) == "");
  CHECK(differs(conv2d(wave({2, 3, 2, 2}), wave({2, 3, 1, 1}, 1), wave({2}, 2)),
                {0.756409622081, 0.968309050423, 1.13554965851, 1.13156708835, 0.119013229585,
                 0.111280933141, 0.200392567597, 0.318910224576, 0.746098261316, 0.660436992115,
                 0.763108338487, 0.976412672409, 0.329271137271, 0.213162992886, 0.116796467763,
                 0.1130998269}) == "");
  CHECK(differs(conv2d(wave({1, 1, 2, 3}), wave({1, 1, 2, 2}, 1), {}, 1, Padding::same),
                {1.11889284271, 1.95039064502, 0.49200351917, -0.059129365586, -1.29740494928,
                 -0.822563230791}) == "");
  CHECK(differs(conv2d(wave({1, 2, 3}), wave({1, 1, 2, 2}, 1), {}, 1, Padding::valid),
                {1.11889284271, 1.95039064502}) == "");
  CHECK(differs(conv1d(wave({2, 2, 5}), wave({2, 2, 3}, 1), wave({2}, 2), 2, 1),
                {2.68828205109, 2.4659296361, -0.534116636458, 2.27718369569, 0.515009694486,
                 -0.361657892663, -0.334007772719, -1.23178643002, 1.52809062729, -1.23921447066,
                 -0.80255090915, 0.563638074107}) == "");
  CHECK(differs(conv1d(wave({2, 4}), wave({1, 2, 2}, 1)),
                {1.11095400373, 1.66267651264, 0.95611858481}) == "");
  CHECK(differs(conv1d(wave({1, 1, 4}), wave({1, 1, 2}, 1), {}, 1, Padding::same),
                {0.741262323268, 1.58069896456, 1.22389414315, 0.359627768707}) == "");
}

namespace {

std::string check_conv2d(const Shape& x, const Shape& w, bool bias, Size2 stride, Size2 padding,
                         Size2 dilation, int64_t groups) {
  Tensors inputs{random_leaf(x), random_leaf(w, -1, 1, 2)};
  if (bias) inputs.push_back(random_leaf({w[0]}, -1, 1, 3));
  return gradcheck(
      [&](const Tensors& v) {
        return conv2d(v[0], v[1], bias ? v[2] : Tensor(), stride, padding, dilation, groups);
      },
      inputs);
}

}  // namespace

TEST_CASE("convolution: gradients") {
  CHECK(check_conv2d({2, 3, 5, 4}, {2, 3, 3, 2}, true, 1, 0, 1, 1) == "");
  CHECK(check_conv2d({1, 2, 6, 5}, {4, 1, 3, 3}, true, 2, 1, 1, 2) == "");
  CHECK(check_conv2d({2, 3, 5, 5}, {3, 1, 3, 3}, false, {1, 2}, {2, 1}, 1, 3) == "");
  CHECK(check_conv2d({2, 2, 5, 6}, {3, 2, 2, 2}, true, 1, 1, {1, 2}, 1) == "");
  CHECK(check_conv2d({2, 2, 3, 3}, {3, 2, 1, 1}, true, 1, 0, 1, 1) == "");
  CHECK(check_conv2d({2, 2, 5, 5}, {3, 2, 1, 1}, true, 2, 0, 1, 1) == "");
  CHECK(check_conv2d({2, 4, 4}, {3, 2, 3, 3}, true, 1, 1, 1, 1) == "");
  CHECK(gradcheck([](const Tensors& v) { return conv1d(v[0], v[1], v[2], 2, 1); },
                  {random_leaf({2, 3, 6}), random_leaf({4, 3, 3}), random_leaf({4})}) == "");
  CHECK(gradcheck([](const Tensors& v) { return conv2d(v[0], v[1], {}, 1, Padding::same); },
                  {random_leaf({1, 2, 3, 4}), random_leaf({2, 2, 2, 3})}) == "");
}

namespace {

// Values and gradients of a convolution against those of one on images with their zeros around
// them, of which every tap meets some pixel.
void check_against_padded(const Shape& image, const Shape& kernel, Size2 stride, Size2 padding,
                          Size2 dilation, int64_t groups) {
  CAPTURE(image.str());
  CAPTURE(kernel.str());
  Tensors grads[2];
  Tensor results[2];
  for (const bool padded : {false, true}) {
    const Tensor x = wave_leaf(image), w = wave_leaf(kernel, 1), b = wave_leaf({kernel[0]}, 2);
    const Tensor wide = pad(x, {padding[1], padding[1], padding[0], padding[0]});
    const FlopCounter counter;
    const Tensor y = padded ? conv2d(wide, w, b, stride, 0, dilation, groups)
                            : conv2d(x, w, b, stride, padding, dilation, groups);
    CHECK(counter.flops == 2 * y.numel() * kernel[1] * kernel[2] * kernel[3]);
    sum(mul(y, wave(y.shape(), 3))).backward();
    results[padded] = y;
    grads[padded] = {x.grad(), w.grad(), b.grad()};
  }
  CHECK(differs(results[0], results[1], 1e-12) == "");
  for (size_t i = 0; i < 3; ++i) CHECK(differs(grads[0][i], grads[1][i], 1e-12) == "");
}

}  // namespace

TEST_CASE("convolution: taps that meet no pixel count for nothing") {
  check_against_padded({3, 2, 1, 1}, {4, 2, 3, 3}, 1, 1, 1, 1);
  check_against_padded({3, 2, 1, 1}, {4, 2, 3, 3}, 1, 2, 2, 1);
  check_against_padded({3, 4, 1, 1}, {4, 2, 3, 3}, 1, 1, 1, 2);
  check_against_padded({2, 2, 2, 2}, {3, 2, 3, 3}, 2, 1, 1, 1);
  check_against_padded({2, 2, 1, 4}, {3, 2, 3, 3}, 1, 1, 1, 1);
  check_against_padded({2, 2, 3, 2}, {3, 2, 3, 7}, {1, 2}, {1, 3}, 1, 1);
  check_against_padded({2, 2, 1, 1}, {3, 2, 2, 4}, 1, {1, 3}, 1, 1);
  check_against_padded({2, 2, 1, 1}, {3, 2, 2, 2}, 3, 1, 2, 1);
}

TEST_CASE("convolution: layout") {
  const Tensor y = conv2d(wave_leaf({2, 3, 5, 5}), wave({4, 3, 3, 3}), {}, 1, 1);
  CHECK(y.is_channels_last());
  CHECK(std::string(y.grad_fn()->name) == "ConvolutionBackward0");
  CHECK(y.grad_fn()->next.size() == 3);
  CHECK(relu(y).is_channels_last());
  CHECK(max_pool2d(y, 2).is_channels_last());
  CHECK(batch_norm(y, {}, {}, {}, {}, true).is_channels_last());
}

TEST_CASE("convolution: errors are PyTorch's") {
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          conv2d(z({2, 4, 8, 8}), z({8, 3, 3, 3}));
        }) ==
        "Given groups=1, weight of size [8, 3, 3, 3], expected input[2, 4, 8, 8] to have 3 "
        "channels, but got 4 channels instead");
  CHECK(message_of([&] {
          conv2d(z({2, 4, 8, 8}), z({8, 2, 3, 3}), {}, 1, 0, 1, 3);
        }) ==
        "Given groups=3, expected weight to be divisible by 3 at dimension 0, but got weight of "
        "size [[8, 2, 3, 3]] instead");
  CHECK(message_of([&] {
          conv2d(z({2, 4, 8, 8}), z({6, 4, 3, 3}), z({5}));
        }) ==
        "Given weight of size [6, 4, 3, 3], expected bias to be 1-dimensional with 6 elements, but "
        "got bias of size [5] instead");
  CHECK(message_of([&] {
          conv2d(z({2, 4, 2, 2}), z({6, 4, 3, 3}));
        }) ==
        "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size "
        "can't be greater than actual input size");
  CHECK(message_of([&] {
          conv1d(z({2, 4, 2}), z({8, 4, 3}));
        }) ==
        "Calculated padded input size per channel: (2). Kernel size: (3). Kernel size can't be "
        "greater than actual input size");
  CHECK(message_of([&] {
          conv1d(z({2, 4, 8}), z({8, 3, 3}));
        }) ==
        "Given groups=1, weight of size [8, 3, 3], expected input[2, 4, 8] to have 3 channels, but "
        "got 4 channels instead");
  CHECK(message_of([&] {
          conv2d(z({4, 2}), z({6, 4, 3, 3}));
        }) ==
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [4, 2]");
  CHECK(message_of([&] {
          conv2d(z({2, 4, 2, 2}), z({6, 4, 3, 3}), {}, 0);
        }) == "non-positive stride is not supported");
  CHECK(message_of([&] {
          conv2d(z({2, 4, 5, 5}), z({6, 4, 3, 3}), {}, 2, Padding::same);
        }) == "padding='same' is not supported for strided convolutions");
  CHECK(message_of([&] {
          conv2d(to(z({1, 4, 5, 5}), DType::f64), z({6, 4, 3, 3}), z({6}));
        }) == "Input type (double) and bias type (float) should be the same");
}

TEST_CASE("convolution: the meta device, counts and short types") {
  const Tensor x = wave({2, 4, 9, 9}), w = wave({6, 2, 3, 3}, 1), b = wave({6}, 2);
  const Tensor y = conv2d(x, w, b, 2, 1, 1, 2);
  FlopCounter counter;
  const Tensor meta = conv2d(on_meta(x), on_meta(w), on_meta(b), 2, 1, 1, 2);
  CHECK(meta.shape() == y.shape());
  CHECK(meta.strides() == y.strides());
  CHECK(counter.flops == 2 * y.numel() * 2 * 3 * 3);
  for (const DType t : {DType::bf16, DType::f16})
    CHECK(differs(to(conv2d(to(x, t), to(w, t), to(b, t), 2, 1, 1, 2), DType::f64), y, 0.05) == "");
}

TEST_CASE("transposed convolution: values") {
  CHECK(differs(conv_transpose2d(wave({1, 2, 2, 2}), wave({2, 1, 3, 3}, 1), wave({1}, 2), 2, 1, 1),
                {0.850339524795, 0.792007510512, 0.000674190698849, -0.483227845991, 2.1171136507,
                 1.79411327952, 1.67444249508, 2.31813991839, -0.161363193102, -0.679823255509,
                 0.486854034989, 0.622209548238, 1.50325401342, 2.32219864583, 1.27785352978,
                 1.30196370412}) == "");
  CHECK(differs(conv_transpose2d(wave({1, 4, 2, 2}), wave({4, 1, 2, 1}, 1), {}, 1, 0, {1, 0}, 2,
                                 {2, 1}),
                {-0.148239104706,
                 0.331685860232,
                 0.560597578815,
                 0.365260226128,
                 0.234463323948,
                 1.25919310843,
                 1.33099065241,
                 0.395521005995,
                 0,
                 0,
                 -0.902987953803,
                 -1.05257936037,
                 -0.405599691798,
                 0.54832973727,
                 -1.3941887756,
                 -1.33231511699,
                 -0.262171939597,
                 1.00637773488,
                 0,
                 0}) == "");
  CHECK(differs(conv_transpose1d(wave({2, 2, 3}), wave({2, 1, 2}, 1), wave({1}, 2), 2),
                {1.05246462232, 0.682856120381, 1.42020518819, 1.88502307404, 1.401300946,
                 2.34878031049, 0.583940126047, -0.335852349995, 1.06150064524, 0.706853154511,
                 1.42387680314, 1.90276444827}) == "");
  CHECK(differs(conv_transpose1d(wave({2, 3}), wave({2, 1, 3}, 1), {}, 1, 1),
                {0.468926647897, 2.21685247703, 2.46753623226}) == "");
}

TEST_CASE("transposed convolution: gradients") {
  const auto check = [](const Shape& x, const Shape& w, const Shape& b, Size2 stride, Size2 padding,
                        Size2 extra, int64_t groups, Size2 dilation) {
    CHECK(gradcheck(
              [&](const Tensors& v) {
                return conv_transpose2d(v[0], v[1], v[2], stride, padding, extra, groups, dilation);
              },
              {random_leaf(x), random_leaf(w, -1, 1, 2), random_leaf(b, -1, 1, 3)}) == "");
  };
  check({2, 3, 3, 2}, {3, 2, 3, 3}, {2}, 2, 1, 1, 1, 1);
  check({1, 4, 3, 3}, {4, 2, 2, 3}, {4}, {1, 2}, 0, {0, 1}, 2, 1);
  check({1, 2, 3, 3}, {2, 2, 2, 2}, {2}, 1, 0, 1, 1, 2);
  check({2, 3, 3}, {2, 1, 1, 1}, {1}, 1, 0, 0, 1, 1);
  CHECK(gradcheck([](const Tensors& v) { return conv_transpose1d(v[0], v[1], v[2], 3, 1, 2); },
                  {random_leaf({2, 2, 4}), random_leaf({2, 3, 3}), random_leaf({3})}) == "");
}

TEST_CASE("transposed convolution: large ones agree with f64") {
  const Tensor x = wave({4, 16, 12, 12}), w = wave({16, 24, 3, 3}, 1), b = wave({24}, 2);
  const auto single = [](const Tensor& t) { return to(t, DType::f32); };
  for (const int64_t extra : {0, 1}) {
    const Tensor y = conv_transpose2d(single(x), single(w), single(b), 2, 1, extra);
    CHECK(y.is_channels_last());
    CHECK(differs(to(y, DType::f64), conv_transpose2d(x, w, b, 2, 1, extra), 1e-4) == "");
  }
}

TEST_CASE("transposed convolution: errors are PyTorch's, shapes on the meta device") {
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          conv_transpose2d(z({1, 3, 5, 5}), z({4, 2, 3, 3}));
        }) ==
        "Given transposed=1, weight of size [4, 2, 3, 3], expected input[1, 3, 5, 5] to have 4 "
        "channels, but got 3 channels instead");
  CHECK(message_of([&] {
          conv_transpose2d(z({1, 4, 5, 5}), z({4, 2, 3, 3}), {}, 2, 0, 2);
        }) ==
        "output padding must be smaller than either stride or dilation, but got "
        "output_padding_height: 2 output_padding_width: 2 stride_height: 2 stride_width: 2 "
        "dilation_height: 1 dilation_width: 1");
  CHECK(message_of([&] {
          conv_transpose2d(z({1, 4, 1, 1}), z({4, 2, 3, 3}), {}, 1, 2);
        }) ==
        "Given input size per channel: (1 x 1). Calculated output size per channel: (-1 x -1). "
        "Output size is too small");
  CHECK(message_of([&] {
          conv_transpose2d(z({1, 4, 5, 5}), z({4, 2, 3, 3}), z({3}));
        }) ==
        "Given transposed=1, weight of size [4, 2, 3, 3], expected bias to be 1-dimensional with 2 "
        "elements, but got bias of size [3] instead");
  CHECK(conv_transpose2d(on_meta(z({2, 4, 5, 5})), on_meta(z({4, 3, 2, 2})), {}, 2).shape() ==
        Shape{2, 3, 10, 10});
}
