// Convolutions and poolings of volumes: gradients, memory, types and errors. Their values are among
// the golden cases.
#include "nnm/ops/volume.h"

#include <doctest/doctest.h>

#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

namespace {

// A leaf whose channels lie innermost.
Tensor channels_innermost_leaf(const Shape& s) {
  const Tensor t = random_leaf({s[0], s[2], s[3], s[4], s[1]}).detach();
  return permute(t, {0, 4, 1, 2, 3}).requires_grad_();
}

struct VolumeCase {
  Shape x, w;
  bool bias;
  Size3 stride, padding, dilation;
  int64_t groups;
};

const VolumeCase kVolumes[] = {
    {{2, 2, 3, 4, 3}, {3, 2, 2, 3, 2}, true, 1, 0, 1, 1},
    {{1, 2, 3, 3, 3}, {2, 2, 3, 3, 3}, true, 1, 1, 1, 1},
    {{1, 4, 4, 3, 3}, {4, 2, 2, 2, 2}, true, {2, 1, 2}, {1, 0, 1}, {2, 1, 1}, 2},
    {{2, 3, 3, 3, 2}, {3, 1, 3, 1, 2}, false, 1, {2, 0, 0}, 1, 3},
    {{1, 2, 3, 4, 3}, {3, 2, 1, 2, 2}, true, 1, 0, 1, 1},  // slice by slice
    {{1, 2, 5, 2, 2}, {2, 2, 1, 1, 1}, true, {3, 1, 1}, 0, 1, 1},
    {{1, 2, 1, 2, 2}, {2, 2, 3, 1, 1}, false, 1, {3, 0, 0}, {2, 1, 1}, 1},  // taps beside
    {{2, 2, 3, 2}, {3, 2, 2, 2, 2}, true, 1, 0, 1, 1},                      // no batch
};

std::string check_conv3d(const VolumeCase& c, const Tensor& x) {
  Tensors inputs{x, random_leaf(c.w, -1, 1, 2)};
  if (c.bias) inputs.push_back(random_leaf({c.w[0]}, -1, 1, 3));
  return gradcheck(
      [&](const Tensors& v) {
        return conv3d(v[0], v[1], c.bias ? v[2] : Tensor(), c.stride, c.padding, c.dilation,
                      c.groups);
      },
      inputs);
}

}  // namespace

TEST_CASE("volumes: gradients of convolutions") {
  for (const VolumeCase& c : kVolumes) {
    CAPTURE(c.w.str());
    CHECK(check_conv3d(c, random_leaf(c.x)) == "");
    if (c.x.size() == 5) CHECK(check_conv3d(c, channels_innermost_leaf(c.x)) == "");
  }
  CHECK(gradcheck([](const Tensors& v) { return conv3d(v[0], v[1], {}, 1, Padding::same); },
                  {random_leaf({1, 2, 3, 2, 3}), random_leaf({2, 2, 2, 3, 2})}) == "");
}

TEST_CASE("volumes: gradients of transposed convolutions") {
  const auto check = [](const Shape& x, const Shape& w, int64_t groups, Size3 stride, Size3 padding,
                        Size3 extra, Size3 dilation) {
    return gradcheck(
        [&](const Tensors& v) {
          return conv_transpose3d(v[0], v[1], v[2], stride, padding, extra, groups, dilation);
        },
        {random_leaf(x), random_leaf(w, -1, 1, 2), random_leaf({w[1] * groups}, -1, 1, 3)});
  };
  CHECK(check({2, 2, 2, 3, 2}, {2, 3, 2, 2, 3}, 1, 1, 0, 0, 1) == "");
  CHECK(check({1, 4, 2, 2, 3}, {4, 2, 3, 1, 2}, 2, {2, 1, 3}, {1, 0, 1}, {1, 0, 2}, {2, 1, 1}) ==
        "");
  CHECK(check({2, 2, 3, 2}, {2, 3, 1, 2, 2}, 1, 1, 0, 0, 1) == "");
}

TEST_CASE("volumes: a convolution is the sum of those of slices") {
  const Tensor x = wave({2, 3, 4, 5, 4}), w = wave({4, 3, 2, 3, 2}, 1);
  const auto part = [&](int64_t tap) {
    Tensors slices;
    for (int64_t d = 0; d < 3; ++d)
      slices.push_back(conv2d(select(x, 2, d + tap), select(w, 2, tap)));
    return stack(slices, 2);
  };
  FlopCounter counter;
  const Tensor y = conv3d(x, w);
  CHECK(counter.flops == 2 * y.numel() * 3 * 2 * 3 * 2);
  CHECK(differs(y, part(0) + part(1), 1e-12) == "");
}

TEST_CASE("volumes: gradients of poolings") {
  const auto check = [](const std::function<Tensor(const Tensor&)>& f) {
    const auto of = [&f](const Tensors& v) { return f(v[0]); };
    CHECK(gradcheck(of, {random_leaf({2, 2, 4, 3, 5})}) == "");
    CHECK(gradcheck(of, {channels_innermost_leaf({2, 2, 4, 3, 5})}) == "");
    CHECK(gradcheck(of, {random_transposed_leaf({1, 2, 4, 3, 5})}) == "");
    CHECK(gradcheck(of, {random_leaf({2, 4, 3, 5})}) == "");
  };
  check([](const Tensor& x) { return max_pool3d(x, 2); });
  check([](const Tensor& x) { return max_pool3d(x, {2, 3, 2}, {1, 2, 2}, {1, 1, 0}, 1, true); });
  check([](const Tensor& x) { return max_pool3d(x, 2, 1, 0, {2, 1, 3}); });
  check([](const Tensor& x) { return avg_pool3d(x, 2); });
  check([](const Tensor& x) { return avg_pool3d(x, {3, 2, 2}, 2, 1, true, false); });
  check([](const Tensor& x) { return avg_pool3d(x, 2, {1, 2, 1}, 0, false, true, 3); });
  check([](const Tensor& x) { return adaptive_avg_pool3d(x, {3, {}, 2}); });
  check([](const Tensor& x) { return adaptive_avg_pool3d(x, {1, 1, 1}); });
  check([](const Tensor& x) { return adaptive_max_pool3d(x, {3, {}, 2}); });
}

TEST_CASE("volumes: the first of equal maxima, and the last of those that are no numbers") {
  const Tensor x = zeros({1, 1, 3, 3, 3});
  CHECK(max_pool3d_with_indices(x, 2, 1).second.to_vector<int64_t>() ==
        std::vector<int64_t>{0, 1, 3, 4, 9, 10, 12, 13});
  x.data<float>()[4] = x.data<float>()[13] = std::nanf("");
  const auto [values, places] = max_pool3d_with_indices(x, 3);
  CHECK(std::isnan(values.item().d));
  CHECK(places.item().i == 13);
}

TEST_CASE("volumes: memory and names of nodes") {
  const Tensor x = wave_leaf({2, 3, 4, 4, 4});
  const Tensor y = conv3d(x, wave({5, 3, 2, 2, 2}));
  const Shape last{5 * 27, 1, 5 * 9, 5 * 3, 5};
  CHECK(y.strides() == last);
  CHECK(relu(y).strides() == last);
  CHECK(batch_norm(y, {}, {}, {}, {}, true).strides() == last);
  CHECK(max_pool3d(y, 2).strides() == Shape{5, 1, 5, 5, 5});
  CHECK(max_pool3d(x, 2).is_contiguous());
  const auto name = [](const Tensor& t) { return std::string(t.grad_fn()->name); };
  CHECK(name(y) == "ConvolutionBackward0");
  CHECK(name(conv_transpose3d(x, wave({3, 2, 1, 2, 1}))) == "ConvolutionBackward0");
  CHECK(name(max_pool3d(x, 2)) == "MaxPool3DWithIndicesBackward0");
  CHECK(name(avg_pool3d(x, 2)) == "AvgPool3DBackward0");
  CHECK(name(adaptive_avg_pool3d(x, {2, 2, 2})) == "AdaptiveAvgPool3DBackward0");
  CHECK(name(adaptive_avg_pool3d(x, {1, 1, 1})) == "MeanBackward1");
  CHECK(name(adaptive_max_pool3d(x, {2, 2, 2})) == "AdaptiveMaxPool3DBackward0");
}

TEST_CASE("volumes: shapes alone, and empty batches") {
  const Tensor x = on_meta(zeros({2, 3, 6, 7, 8})), w = on_meta(zeros({4, 3, 3, 2, 1}));
  CHECK(conv3d(x, w, {}, {2, 1, 1}, {1, 0, 0}).shape() == Shape{2, 4, 3, 6, 8});
  CHECK(conv_transpose3d(x, on_meta(zeros({3, 4, 3, 2, 1})), {}, 2).shape() ==
        Shape{2, 4, 13, 14, 15});
  CHECK(max_pool3d_with_indices(x, 2).second.shape() == Shape{2, 3, 3, 3, 4});
  CHECK(avg_pool3d(x, {2, 3, 1}).shape() == Shape{2, 3, 3, 2, 8});
  CHECK(adaptive_max_pool3d(x, {std::nullopt, 2, 1}).shape() == Shape{2, 3, 6, 2, 1});
  const Tensor none = zeros({0, 3, 4, 4, 4});
  CHECK(conv3d(none, zeros({2, 3, 2, 2, 2})).shape() == Shape{0, 2, 3, 3, 3});
  CHECK(max_pool3d(none, 2).shape() == Shape{0, 3, 2, 2, 2});
}

TEST_CASE("volumes: half types") {
  for (const DType t : {DType::bf16, DType::f16}) {
    const double near = t == DType::bf16 ? 1e-2 : 2e-3;
    const Tensor x = to(wave({1, 2, 4, 4, 4}), t), w = to(wave({2, 2, 3, 3, 3}, 1), t);
    const Tensor wide = to(x, DType::f64);
    const auto same = [&](const Tensor& half, const Tensor& exact, double tolerance) {
      CHECK(half.dtype() == t);
      CHECK(differs(to(half, DType::f64), exact, tolerance) == "");
    };
    same(conv3d(x, w, {}, 1, 1), conv3d(wide, to(w, DType::f64), {}, 1, 1), 2 * near);
    same(max_pool3d(x, 2), max_pool3d(wide, 2), 0);
    same(avg_pool3d(x, 3, 1), avg_pool3d(wide, 3, 1), near);
    same(adaptive_avg_pool3d(x, {2, 1, 3}), adaptive_avg_pool3d(wide, {2, 1, 3}), near);
    const Tensor leaf = x.detach().requires_grad_();
    sum(avg_pool3d(leaf, 2)).backward();
    CHECK(differs(to(leaf.grad(), DType::f64), full(x.shape(), 0.125, {DType::f64, {}})) == "");
  }
}

TEST_CASE("volumes: errors are PyTorch's") {
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          conv3d(z({3, 2}), z({4, 3, 3, 3, 3}));
        }) ==
        "Expected 4D (unbatched) or 5D (batched) input to conv3d, but got input of size: [3, 2]");
  CHECK(message_of([&] {
          conv3d(z({2, 3, 2, 2, 2}), z({4, 3, 3, 3, 3}));
        }) ==
        "Calculated padded input size per channel: (2 x 2 x 2). Kernel size: (3 x 3 x 3). Kernel "
        "size can't be greater than actual input size");
  CHECK(message_of([&] {
          conv_transpose3d(z({2, 3, 4, 4, 4}), z({3, 2, 3, 3, 3}), {}, 1, 0, 1);
        }) ==
        "output padding must be smaller than either stride or dilation, but got "
        "output_padding_depth: 1 output_padding_height: 1 output_padding_width: 1 stride_depth: 1 "
        "stride_height: 1 stride_width: 1 dilation_depth: 1 dilation_height: 1 dilation_width: 1");
  CHECK(message_of([&] {
          max_pool3d(z({2, 3, 2, 2, 2}), 3);
        }) ==
        "Given input size: (3x2x2x2). Calculated output size: (3x0x0x0). Output size is too small");
  CHECK(message_of([&] {
          max_pool3d(z({2, 3, 8}), 2);
        }) == "non-empty 4D or 5D (batch mode) tensor expected for input");
  CHECK(message_of([&] {
          max_pool3d(z({2, 3, 8, 8, 8}), 2, -1);
        }) == "stride should be greater than zero, but got dT: -1 dH: -1 dW: -1");
  CHECK(message_of([&] {
          max_pool3d(z({2, 3, 8, 8, 8}), 2, {}, 0, 0);
        }) ==
        "dilation should be greater than zero, but got dilationT: 0 dilationH: 0 dilationW: 0");
  CHECK(message_of([&] {
          avg_pool3d(z({2, 3, 2, 2, 2}), 3);
        }) == "input image (T: 2 H: 2 W: 2) smaller than kernel size (kT: 3 kH: 3 kW: 3)");
  CHECK(message_of([&] {
          avg_pool3d(z({2, 3, 8, 8, 0}), 2);
        }) ==
        "avg_pool3d(): Expected input's non-batch dimensions to have positive length, but input "
        "has a shape of [2, 3, 8, 8, 0] and non-batch dimension 0 has length zero!");
  CHECK(message_of([&] {
          adaptive_avg_pool3d(z({8, 8}), {2, 2, 2});
        }) == "adaptive_avg_pool3d(): Expected 4D or 5D tensor, but got [8, 8]");
  CHECK(message_of([&] {
          adaptive_avg_pool3d(z({2, 3, 4, 4, 4}), {-2, -2, -2});
        }) ==
        "adaptive_avg_pool3d: elements of output_size must be greater than or equal to 0 but "
        "received {-2, -2,-2}");
}
