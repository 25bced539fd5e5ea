// Winograd's convolution against the direct sum in f64.
#include "kernels/winograd.h"

#include <doctest/doctest.h>

#include <cstring>

#include "kernels/parallel.h"
#include "kernels/pointwise.h"
#include "kernels/winograd_plan.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;
using nnm::testing::Threads;

namespace {

Conv2d padded(int64_t top, int64_t left, int64_t bottom, int64_t right) {
  return {{1, 1}, {1, 1}, {top, left}, {bottom, right}, 1};
}

// The operands of the three passes in f32: weights and bias as PyTorch begins with them, which
// gives results of about 1.
struct Operands {
  Conv2d p;
  Tensor x, w, b, g;

  Operands(const Shape& image, int64_t outputs, const Conv2d& p) : p(p) {
    const double bound = 1 / std::sqrt(9.0 * static_cast<double>(image[1]));
    x = channels_last(randn(image));
    w = mul(sub(mul(rand({outputs, image[1], 3, 3}), Scalar(2.0)), Scalar(1.0)), Scalar(bound));
    b = mul(sub(mul(rand({outputs}), Scalar(2.0)), Scalar(1.0)), Scalar(bound));
    g = channels_last(randn({image[0], outputs, image[2] + p.before[0] + p.after[0] - 2,
                             image[3] + p.before[1] + p.after[1] - 2}));
  }

  Tensors by_winograd(int threads) const {
    const Threads scope(threads);
    const Tensor y = empty_like(g), dx = empty_like(x), dw = empty_like(w);
    const Tensor work = empty({std::max(winograd_workspace(x, g), winograd_workspace(g, x))},
                              {DType::u8, Device{}});
    kernels::fill(work, 255, 255);  // NaN where it is read before it is written
    kernels::winograd(y, x, w, View{}, b, work, p, {});
    kernels::winograd_backward_input(dx, g, w, work, p);
    kernels::winograd_backward_weight(dw, g, x, work, p);
    return {y, dx, dw};
  }

  Tensor by_transformed(int threads) const {
    const Threads scope(threads);
    const Tensor y = empty_like(g), u8 = empty({winograd_transformed(w)}, {DType::u8, Device{}}),
                 work = empty({winograd_workspace(x, g)}, {DType::u8, Device{}});
    kernels::winograd_weights(u8, w);
    kernels::fill(work, 255, 255);
    kernels::winograd(y, x, w, u8, b, work, p, {});
    return y;
  }

  Tensors directly() const {
    const auto wide = [](const Tensor& t) { return to(t, DType::f64); };
    const Tensor xd = channels_last(wide(x)), wd = wide(w), gd = channels_last(wide(g));
    const Tensor y = empty_like(gd), dx = empty_like(xd), dw = empty_like(wd);
    kernels::conv2d(y, xd, wd, wide(b), p);
    kernels::conv2d_backward_input(dx, gd, wd, p);
    kernels::conv2d_backward_weight(dw, View{}, gd, xd, p);
    return {y, dx, dw};
  }
};

// "" where torch.testing.assert_close would be content, its tolerances for f32 times `unit`.
std::string differs_from(const Tensor& x, const Tensor& y, double unit = 1) {
  const std::vector<double> got = x.to_vector<double>(), expected = y.to_vector<double>();
  for (size_t i = 0; i < got.size(); ++i) {
    if (!(std::abs(got[i] - expected[i]) <= 1e-5 * unit + 1.3e-6 * std::abs(expected[i])))
      return fmt::format("element {}: {}, expected {}", i, got[i], expected[i]);
  }
  return {};
}

}  // namespace

TEST_CASE("winograd: the three passes agree with the direct sum, whatever the thread count") {
  manual_seed(0);
  const Operands cases[] = {
      {{1, 8, 3, 3}, 8, padded(0, 0, 0, 0)},       {{2, 16, 9, 6}, 24, padded(1, 1, 1, 1)},
      {{1, 40, 5, 13}, 16, padded(2, 2, 2, 2)},    {{3, 24, 4, 4}, 8, padded(0, 1, 1, 2)},
      {{2, 8, 7, 10}, 32, padded(2, 0, 1, 1)},     {{1, 64, 1, 1}, 64, padded(1, 1, 1, 1)},
      {{30, 64, 13, 14}, 48, padded(1, 1, 1, 1)},   // several blocks of tiles
      {{2, 136, 6, 5}, 200, padded(1, 1, 1, 1)},    // several chunks of weights
      {{19, 136, 16, 16}, 152, padded(1, 1, 1, 1)}  // both
  };
  for (const Operands& c : cases) {
    CAPTURE(c.x.shape().str());
    REQUIRE(winograd_fits(c.w, c.p));
    const Tensors own = c.by_winograd(1), direct = c.directly();
    CHECK(differs_from(own[0], direct[0]) == "");
    CHECK(differs_from(own[1], direct[1]) == "");
    // Sums over all pixels: as large as the root of their number.
    const double pixels = static_cast<double>(c.g.numel() / c.g.size(1));
    CHECK(differs_from(own[2], direct[2], std::max(1.0, std::sqrt(pixels))) == "");
    for (const int threads : {1, 2, 3}) {
      const Tensors again = c.by_winograd(threads);
      for (size_t i = 0; i < own.size(); ++i) CHECK(same_bits(again[i], own[i]));
      CHECK(same_bits(c.by_transformed(threads), own[0]));
    }
  }
}

TEST_CASE("winograd: blocks and chunks are what the test above says") {
  const auto plan = [](int64_t n, int64_t c, int64_t h, int64_t w, int64_t o) {
    return WinogradPlan(zeros({n, c, h, w}), zeros({n, o, h, w}));
  };
  const WinogradPlan blocks = plan(30, 64, 13, 14, 48), chunks = plan(2, 136, 6, 5, 200),
                     both = plan(19, 136, 16, 16, 152);
  CHECK(blocks.block < blocks.groups);
  CHECK(blocks.chunk == blocks.panels);
  CHECK(blocks.groups_at_once(blocks.image_group()) < blocks.groups / 3);
  CHECK(blocks.sums_by_parts());
  CHECK(chunks.block == chunks.groups);
  CHECK(chunks.chunk < chunks.panels);
  CHECK(both.block < both.groups);
  CHECK(both.chunk < both.panels);
  CHECK(!both.sums_by_parts());
}

TEST_CASE("winograd: what it does not know is left to others") {
  const Conv2d same = padded(1, 1, 1, 1);
  const auto with = [&](auto change) {
    Conv2d p = same;
    change(p);
    return winograd_fits(zeros({8, 8, 3, 3}), p);
  };
  CHECK(with([](Conv2d&) {}));
  CHECK(!with([](Conv2d& p) { p.stride[1] = 2; }));
  CHECK(!with([](Conv2d& p) { p.dilation[0] = 2; }));
  CHECK(!with([](Conv2d& p) { p.groups = 8; }));
  CHECK(!with([](Conv2d& p) { p.before[0] = 3; }));
  CHECK(!with([](Conv2d& p) { p.after[1] = -1; }));
  CHECK(!winograd_fits(zeros({8, 8, 3, 1}), same));
  CHECK(!winograd_fits(zeros({8, 12, 3, 3}), same));
  CHECK(!winograd_fits(zeros({4, 8, 3, 3}), same));
  CHECK(!winograd_fits(zeros({8, 8, 3, 3}, {DType::f64, {}}), same));
}

TEST_CASE("winograd: a large convolution and its gradients agree with f64") {
  manual_seed(1);
  const Tensor x = randn({4, 32, 28, 27}), w = mul(randn({64, 32, 3, 3}), Scalar(0.05)),
               b = randn({64}), g = randn({4, 64, 28, 27});
  const auto gradients = [&](DType t) {
    Tensors in;
    for (const Tensor& v : {x, w, b}) in.push_back(clone(to(v, t)).requires_grad_());
    const Tensor y = conv2d(in[0], in[1], in[2], 1, 1);
    y.backward(to(g, t));
    return Tensors{y.detach(), in[0].grad(), in[1].grad(), in[2].grad()};
  };
  const Tensors single = gradients(DType::f32), wide = gradients(DType::f64);
  CHECK(differs_from(single[0], wide[0]) == "");
  CHECK(differs_from(single[1], wide[1]) == "");
  CHECK(differs_from(single[2], wide[2], 55) == "");
  CHECK(differs_from(single[3], wide[3], 55) == "");
}
