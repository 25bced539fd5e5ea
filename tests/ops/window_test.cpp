// Patches, inverse poolings and bags: gradients, what they undo, types and errors. Their values are
// among the golden cases.
#include <doctest/doctest.h>

#include "nnm/ops/functional.h"
#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

TEST_CASE("patches: gradients") {
  const auto unfolds = [](const Shape& x, Size2 kernel, Size2 dilation, Size2 padding,
                          Size2 stride) {
    return gradcheck(
        [&](const Tensors& v) { return unfold(v[0], kernel, dilation, padding, stride); },
        {random_transposed_leaf(x)});
  };
  CHECK(unfolds({2, 2, 4, 5}, 2, 1, 0, 1) == "");
  CHECK(unfolds({2, 4, 5}, {3, 1}, {1, 2}, {2, 1}, {2, 1}) == "");
  CHECK(unfolds({1, 1, 2, 2}, 3, 2, 3, 2) == "");  // taps beside the image
  CHECK(gradcheck(
            [](const Tensors& v) {
              return fold(v[0], {4, 5}, 2);
            },
            {random_transposed_leaf({2, 8, 12})}) == "");
  CHECK(gradcheck(
            [](const Tensors& v) {
              return fold(v[0], {4, 3}, {3, 1}, {1, 2}, {2, 1}, 2);
            },
            {random_leaf({6, 9})}) == "");
}

TEST_CASE("patches: put together they count each pixel as often as they have it") {
  const Tensor x = wave({2, 3, 5, 6});
  const auto there_and_back = [](const Tensor& t) {
    return fold(unfold(t, {3, 2}, 1, 1, 2), {5, 6}, {3, 2}, 1, 1, 2);
  };
  CHECK(differs(there_and_back(x), there_and_back(ones_like(x)) * x, 1e-12) == "");
  const Tensor apart = unfold(x.detach(), {5, 6});
  CHECK(differs(apart, reshape(x, {2, 90, 1}), 0) == "");
}

TEST_CASE("patches: a convolution is a product with them") {
  const Tensor x = wave({2, 3, 5, 6}), w = wave({4, 3, 2, 3}, 1);
  const Tensor y = matmul(reshape(w, {4, 18}), unfold(x, {2, 3}, {2, 1}, {1, 0}, {1, 2}));
  const Tensor expected = conv2d(x, w, {}, {1, 2}, {1, 0}, {2, 1});
  CHECK(differs(reshape(y, expected.shape()), expected, 1e-12) == "");
}

TEST_CASE("inverse poolings: gradients, and maxima at their places") {
  const Tensor x = random_leaf({2, 3, 4, 6}).detach();
  const auto [values, places] = max_pool2d_with_indices(x, 2);
  const Tensor back = max_unpool2d(values, places, 2);
  CHECK(back.shape() == x.shape());
  CHECK(differs(max_pool2d(back, 2), clamp(values, Scalar(0.0)), 0) == "");
  CHECK(differs(gather(flatten(back, 2), 2, flatten(places, 2)), flatten(values, 2), 0) == "");
  CHECK(differs(sum(back), sum(values)) == "");
  const auto [line, at] = max_pool1d_with_indices(select(x, 2, 0), 3);
  CHECK(max_unpool1d(line, at, 3).shape() == Shape{2, 3, 6});
  const Tensor volume = random_leaf({1, 2, 4, 2, 4}).detach();
  const auto [box, in] = max_pool3d_with_indices(volume, 2);
  CHECK(differs(sum(max_unpool3d(box, in, 2)), sum(box)) == "");
  CHECK(gradcheck([&at = places](const Tensors& v) { return max_unpool2d(v[0], at, 2); },
                  {random_leaf({2, 3, 2, 3})}) == "");
  CHECK(gradcheck([&at = in](const Tensors& v) { return max_unpool3d(v[0], at, 2); },
                  {random_leaf({1, 2, 2, 1, 2})}) == "");
  CHECK(gradcheck([&at = at](const Tensors& v) { return max_unpool1d(v[0], at, 3); },
                  {random_leaf({2, 3, 2})}) == "");
}

TEST_CASE("windows at random places: maxima of them, all of the image in turn") {
  const Tensor x = random_leaf({2, 3, 7, 9});
  const Tensor samples = random_leaf({2, 3, 2}, 0, 1).detach();
  CHECK(gradcheck(
            [&](const Tensors& v) {
              return fractional_max_pool2d_with_indices(v[0], {3, 2}, {4, 5}, samples).first;
            },
            {x}) == "");
  const auto [values, places] = fractional_max_pool2d_with_indices(x, 2, {4, 5});
  CHECK(values.shape() == Shape{2, 3, 4, 5});
  CHECK(differs(gather(flatten(x, 2), 2, flatten(places, 2)), flatten(values, 2), 0) == "");
  CHECK(std::string(values.grad_fn()->name) == "FractionalMaxPool2DBackward0");
  // As many windows as fit are all there are, wherever they start.
  const auto whole = fractional_max_pool2d_with_indices(x, {2, 3}, {6, 7}).first;
  CHECK(differs(whole, max_pool2d(x, {2, 3}, 1), 0) == "");
}

TEST_CASE("windows: shapes alone, half types") {
  const Tensor x = on_meta(zeros({2, 3, 6, 7}));
  CHECK(unfold(x, 2, 1, 1, 2).shape() == Shape{2, 12, 16});
  CHECK(fold(on_meta(zeros({12, 16})), {6, 7}, 2, 1, 1, 2).shape() == Shape{3, 6, 7});
  const auto [values, places] = max_pool2d_with_indices(x, 2);
  CHECK(max_unpool2d(values, places, 2, {}, 0, std::vector<int64_t>{6, 7}).shape() == x.shape());
  CHECK(fractional_max_pool2d_with_indices(x, 2, {3, 4}).second.shape() == Shape{2, 3, 3, 4});
  for (const DType t : {DType::bf16, DType::f16}) {
    const Tensor half = to(wave({1, 2, 3, 4}), t);
    const Tensor columns = unfold(half, 2);
    CHECK(columns.dtype() == t);
    CHECK(differs(to(columns, DType::f64), unfold(to(half, DType::f64), 2), 0) == "");
    CHECK(differs(to(fold(columns, {3, 4}, 2), DType::f64),
                  fold(to(columns, DType::f64), {3, 4}, 2), 2e-2) == "");
  }
}

TEST_CASE("windows: errors are PyTorch's") {
  const auto z = [](const Shape& s) { return zeros(s); };
  CHECK(message_of([&] {
          unfold(z({1, 2, 3, 4}), 5);
        }) ==
        "Given input with spatial size (3, 4), kernel_size=(5, 5), dilation=(1, 1), padding=(0, "
        "0), calculated shape of the array of sliding blocks as (-1, 0), but its components must "
        "be at least one.");
  CHECK(message_of([&] {
          unfold(z({1, 2, 3, 4}), 2, 1, -1);
        }) == "padding should be non-negative, but got pad_height: -1 pad_width: -1");
  CHECK(message_of([&] {
          unfold(z({1, 2, 3, 4}), 2, 1, 0, 0);
        }) == "stride should be greater than zero, but got stride_height: 0 stride_width: 0");
  CHECK(message_of([&] {
          unfold(z({1, 2, 0, 4}), 2);
        }) ==
        "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
        "dimensions for input, but got: [1, 2, 0, 4]");
  CHECK(message_of([&] {
          fold(z({2, 7, 12}), {4, 5}, 2);
        }) ==
        "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but "
        "got input.size(1)=7 and kernel_size=(2, 2).");
  CHECK(message_of([&] {
          fold(z({2, 8, 11}), {4, 5}, 2);
        }) ==
        "Given output_size=(4, 5), kernel_size=(2, 2), dilation=(1, 1), padding=(0, 0), stride=(1, "
        "1), expected size of input's dimension 2 to match the calculated number of sliding blocks "
        "3 * 4 = 12, but got input.size(2)=11.");
  const Tensor places = zeros({1, 2, 2, 2}, {DType::i64});
  CHECK(message_of([&] {
          max_unpool2d(z({1, 2, 2, 2}), places + Scalar(100), 2);
        }) == "Found an invalid max index: 100 (output volumes are of size 4x4)");
  CHECK(message_of([&] {
          max_unpool2d(z({1, 1, 2, 2}), places, 2);
        }) ==
        "Expected shape of indices to be same as that of the input tensor ([1, 1, 2, 2]) but got "
        "indices tensor with shape: [1, 2, 2, 2]");
  CHECK(message_of([&] {
          max_unpool2d(z({1, 2, 2, 2}), places, 2, {}, 0, std::vector<int64_t>{9, 9});
        }) == "invalid output_size \"(9, 9)\" (dim 0 must be between 2 and 6)");
  CHECK(message_of([&] {
          max_unpool2d(z({1, 2, 2, 2}), places, 2, {}, 0, std::vector<int64_t>{9});
        }) ==
        "output_size should be a sequence containing 2 or 4 elements, but it has a length of '1'");
  CHECK(message_of([&] {
          max_unpool2d(z({1, 2, 2, 2}), places, 2, {}, 3);
        }) ==
        "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
        "output_size[0]=-2");
  CHECK(message_of([&] {
          fractional_max_pool2d_with_indices(z({1, 2, 5, 5}), 2, 5);
        }) == "fractional_max_pool2d(): pool height 2 too large relative to input height 5");
  CHECK(message_of([&] {
          fractional_max_pool2d_with_indices(z({1, 2, 5, 5}), 2, 3, z({1, 1, 2}));
        }) == "Expect _random_samples.size(1) equals to input channel size.");
}

namespace {

Tensor bag(const std::vector<int64_t>& indices, const Tensor& weight,
           const EmbeddingBagOptions& o) {
  return embedding_bag(labels(indices, {static_cast<int64_t>(indices.size())}), weight, o);
}

}  // namespace

TEST_CASE("bags: gradients") {
  const Tensor offsets = labels({0, 2, 2, 5}, {4});
  const std::vector<int64_t> at{1, 3, 3, 0, 1, 4, 4};
  for (const char* mode : {"sum", "mean", "max"}) {
    CAPTURE(mode);
    for (const auto padding : {std::optional<int64_t>(), std::optional<int64_t>(3)}) {
      CHECK(gradcheck(
                [&](const Tensors& v) {
                  return bag(at, v[0], {.offsets = offsets, .mode = mode, .padding_idx = padding});
                },
                {random_leaf({5, 3})}) == "");
    }
  }
  CHECK(gradcheck(
            [&](const Tensors& v) {
              return bag(at, v[0], {.offsets = offsets, .mode = "sum", .per_sample_weights = v[1]});
            },
            {random_leaf({5, 3}), random_leaf({7}, -1, 1, 2)}) == "");
}

TEST_CASE("bags: empty ones are zero, and none at all") {
  const Tensor w = wave({4, 2});
  for (const char* mode : {"sum", "mean", "max"}) {
    CAPTURE(mode);
    const Tensor y = bag({1, 2}, w, {.offsets = labels({0, 0, 2}, {3}), .mode = mode});
    CHECK(differs(select(y, 0, 0), zeros({2}, {DType::f64})) == "");
    CHECK(differs(select(y, 0, 2), zeros({2}, {DType::f64})) == "");
    CHECK(bag({1, 2}, w, {.offsets = labels({}, {0}), .mode = mode}).shape() == Shape{0, 2});
    CHECK(bag({}, w, {.offsets = labels({0, 0}, {2}), .mode = mode}).shape() == Shape{2, 2});
    const Tensor meta = embedding_bag(on_meta(labels({1, 2}, {2})), on_meta(w),
                                      {.offsets = on_meta(labels({0}, {1})), .mode = mode});
    CHECK(meta.shape() == Shape{1, 2});
  }
}

TEST_CASE("bags: gradients by how often an index occurs") {
  // PyTorch 2.13 on the CPU divides by the count of another index where some are left out.
  const Tensor w = wave_leaf({4, 1});
  sum(bag({3, 3, 1, 0, 1, 1}, w,
          {.offsets = labels({0, 3}, {2}), .scale_grad_by_freq = true, .mode = "sum"}))
      .backward();
  CHECK(differs(w.grad(), {1, 1, 0, 1}) == "");
}

TEST_CASE("bags: errors are PyTorch's") {
  const Tensor w = zeros({6, 3});
  const auto say = [&](const EmbeddingBagOptions& o) {
    return message_of([&] { bag({1, 2, 3}, w, o); });
  };
  CHECK(say({}) == "offsets has to be a 1D Tensor but got None");
  CHECK(say({.offsets = labels({1, 2}, {2})}) ==
        "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
        "position 0. However, got 1");
  CHECK(say({.offsets = labels({0, 4}, {2})}) ==
        "offsets[-1] can not be greater than input's length 3 but got offsets[-1] of 4");
  CHECK(say({.offsets = labels({0, 2, 1}, {3})}) == "embedding_bag: offsets must not decrease");
  CHECK(say({.offsets = labels({0}, {1}), .mode = "min"}) ==
        "mode has to be one of sum, mean or max");
  CHECK(say({.offsets = labels({0}, {1}), .scale_grad_by_freq = true, .mode = "max"}) ==
        "max mode does not support scaling the gradient by the frequency");
  CHECK(say({.offsets = labels({0}, {1}), .padding_idx = 7}) ==
        "padding_idx must be within the number of embeddings, -6 through 5, but got 7");
  CHECK(say({.offsets = labels({0}, {1}), .mode = "sum", .per_sample_weights = zeros({2})}) ==
        "embedding_bag: If per_sample_weights (torch.Size([2])) is not None, then it must have the "
        "same shape as the input (torch.Size([3]))");
}
