// Resampling, borders, poolings and losses of images: the same in either memory format, and what
// the golden cases leave out.
#include <doctest/doctest.h>

#include "kernels/pointwise.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/layout.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::message_of;

namespace {

Tensor images_with_channels_last(const Tensor& x) {
  const Tensor y = empty_channels_last(x.shape(), x.options());
  kernels::copy(y, x);
  return y;
}

struct Outcome {
  Tensor y, dx;
};

template <class F>
Outcome run_on_leaf(const F& f, const Tensor& leaf) {
  Tensor x = leaf.detach();
  x.requires_grad_();
  const Tensor y = f(x);
  sum(y * wave(y.shape(), 3)).backward();
  return {y, x.grad()};
}

/// "" where f gives the same for both formats.
template <class F>
std::string in_both_formats(const F& f, const Tensor& x, bool keeps_format = true) {
  const Outcome plain = run_on_leaf(f, x), last = run_on_leaf(f, images_with_channels_last(x));
  if (keeps_format && !detail::has_channels_innermost(last.y)) return "channels are not innermost";
  const std::string y = differs(last.y, plain.y, 1e-12);
  return y.empty() ? differs(last.dx, plain.dx, 1e-12) : y;
}

}  // namespace

TEST_CASE("images: resampling and borders in both memory formats") {
  const Tensor x = wave({2, 3, 4, 5}).detach();
  for (const char* mode : {"nearest", "nearest-exact", "bilinear", "bicubic"}) {
    CAPTURE(mode);
    CHECK(in_both_formats(
              [&](const Tensor& t) {
                return interpolate(t, {7, 3}, {}, mode);
              },
              x) == "");
  }
  for (const char* mode : {"reflect", "replicate", "circular", "constant"}) {
    CAPTURE(mode);
    CHECK(in_both_formats([&](const Tensor& t) { return pad(t, {2, 1, 1, 3}, mode); }, x) == "");
    CHECK(in_both_formats([&](const Tensor& t) { return pad(t, {-1, 3, 2, -1}, mode); }, x) == "");
  }
}

TEST_CASE("images: groups of channels in both memory formats") {
  for (const Shape& shape : {Shape{2, 6, 4, 5}, Shape{3, 4, 11, 13}, Shape{1, 130, 3, 2}}) {
    const Tensor x = wave(shape).detach(), weight = wave({shape[1]}, 1).detach(),
                 bias = wave({shape[1]}, 2).detach();
    for (const int64_t groups : {int64_t{1}, int64_t{2}, shape[1]}) {
      CAPTURE(groups);
      CHECK(in_both_formats(
                [&](const Tensor& t) { return group_norm(t, groups, weight, bias, 1e-5); }, x) ==
            "");
      const auto gradient = [&](const Tensor& images) {
        return run_on_leaf([&](const Tensor& t) { return group_norm(images, groups, t, t, 1e-5); },
                           weight)
            .dx;
      };
      CHECK(differs(gradient(images_with_channels_last(x)), gradient(x), 1e-12) == "");
    }
  }
}

TEST_CASE("images: losses of classes in both memory formats") {
  const Tensor x = wave({2, 3, 4, 5}).detach();
  const Tensor labels = remainder(arange(0, 40, 1, DType::i64), Scalar(int64_t{3}));
  const Tensor target = reshape(labels, {2, 4, 5}), weight = wave({3}).detach() + Scalar(2.0);
  for (const char* reduction : {"mean", "sum", "none"}) {
    CAPTURE(reduction);
    CHECK(in_both_formats(
              [&](const Tensor& t) { return cross_entropy(t, target, weight, 1, reduction, 0.1); },
              x, false) == "");
    CHECK(
        in_both_formats([&](const Tensor& t) { return nll_loss(t, target, weight, 0, reduction); },
                        x, false) == "");
  }
}

TEST_CASE("images: bytes are resampled by way of numbers and rounded") {
  const Tensor x = to(reshape(arange(0, 4, 1, DType::f32) * Scalar(85.0), {1, 1, 2, 2}), DType::u8);
  const Tensor y = interpolate(x, {3, 3}, {}, "bilinear", true);
  CHECK(y.dtype() == DType::u8);
  const int64_t expected[] = {0, 42, 85, 85, 128, 170, 170, 212, 255};
  for (int i = 0; i < 9; ++i) CHECK(std::abs(int64_t{y.data<uint8_t>()[i]} - expected[i]) <= 1);
  CHECK(message_of([] {
          interpolate(ones({1, 1, 2}, {DType::i64}), {4}, {});
        }) == "\"compute_indices_weights_nearest\" not implemented for 'Long'");
}

TEST_CASE("images: windows of maxima that all miss the image") {
  const auto pooled = [](const Tensor& t) { return max_pool2d(t, 2, 1, 1, 5); };
  const Tensor x = wave({1, 2, 4, 4}).detach();
  const Outcome o = run_on_leaf(pooled, x);
  CHECK(o.y.shape() == Shape{1, 2, 1, 1});
  CHECK(differs(o.dx, zeros_like(x), 0) == "");
}

TEST_CASE("powers of whole numbers are products") {
  const Tensor x = wave({3, 4}, 1).detach();
  CHECK(differs(pow(x, Scalar(3.0)), x * x * x, 0) == "");
  CHECK(differs(pow(x, Scalar(-2.0)), reciprocal(x * x), 1e-15) == "");
}

TEST_CASE("extremes of rows and columns: NaN is both the largest and the smallest") {
  for (const int64_t width : {3, 16, 41}) {
    const Tensor x = to(wave({37, width}), DType::f32).detach();
    x.data<float>()[5 * width + 2] = std::nanf("");
    for (const bool largest : {false, true}) {
      const auto extreme = [&](int64_t dim) { return largest ? amax(x, {dim}) : amin(x, {dim}); };
      const Tensor rows = extreme(1), columns = extreme(0);
      for (int64_t i = 0; i < 37; ++i) CHECK(std::isnan(rows.data<float>()[i]) == (i == 5));
      for (int64_t j = 0; j < width; ++j) CHECK(std::isnan(columns.data<float>()[j]) == (j == 2));
    }
  }
}
