// Convolution of few channels against the direct sum in f64.
#include "kernels/narrow.h"

#include <doctest/doctest.h>

#include "kernels/pointwise.h"
#include "nnm/ops/conv_passes.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;
using nnm::testing::Threads;

namespace {

// Operands in f32 of one case, and the results of the kernels.
struct NarrowCase {
  Conv2d p;
  Tensor x, w, b, g;

  NarrowCase(const Shape& image, const Shape& weights, Size2 stride, Size2 padding, Size2 dilation)
      : p{{stride[0], stride[1]},
          {dilation[0], dilation[1]},
          {padding[0], padding[1]},
          {padding[0], padding[1]},
          1} {
    x = channels_last(randn(image)), w = randn(weights), b = randn({weights[0]});
    g = channels_last(randn(conv2d(x, w, b, stride, padding, dilation).shape()));
  }

  Tensor forward(const Tensor& bias) const {
    const Tensor y = empty_like(g);
    kernels::narrow(y, x, w, bias, p);
    return y;
  }

  // Weights' and bias' gradients from images [0, at), then from the rest.
  std::pair<Tensor, Tensor> gradients(int64_t at) const {
    const Tensor sums = zeros({1, w.numel() / w.shape()[0] + 1, w.shape()[0]});
    const View xs = x, gs = g;
    kernels::narrow_gradients(sums, gs.part(0, at), xs.part(0, at), w, p);
    kernels::narrow_gradients(sums, gs.part(at, xs.size[0]), xs.part(at, xs.size[0]), w, p);
    const Tensor dw = empty_like(w), db = empty_like(b);
    kernels::narrow_backward_weight(dw, db, sums);
    return {dw, db};
  }
};

// The largest difference beside the size of what is expected.
double error_beside(const Tensor& x, const Tensor& expected) {
  const Tensor e = expected.detach();
  return max(abs(sub(to(x, DType::f64), e))).item().d / max(abs(e)).item().d;
}

}  // namespace

TEST_CASE("narrow: the direct sum") {
  manual_seed(11);
  const NarrowCase cases[] = {{{3, 1, 28, 28}, {32, 1, 3, 3}, 1, 1, 1},
                              {{2, 1, 7, 5}, {16, 1, 3, 3}, 1, 1, 1},
                              {{2, 3, 9, 14}, {48, 3, 3, 3}, 1, 1, 1},
                              {{9, 2, 6, 11}, {16, 2, 5, 4}, 1, {2, 0}, 1},
                              {{2, 4, 12, 10}, {64, 4, 4, 4}, 2, 1, 1},
                              {{2, 3, 17, 13}, {32, 3, 3, 2}, {3, 2}, {0, 1}, {2, 3}},
                              {{1, 1, 70, 33}, {32, 1, 5, 5}, 1, 2, 1},
                              {{2, 1, 3, 3}, {16, 1, 3, 3}, 1, 0, 1},
                              {{1, 3, 40, 40}, {32, 3, 1, 1}, 2, 0, 1},
                              {{2, 1, 4, 1500}, {16, 1, 2, 3}, 1, 0, 1}};
  for (const NarrowCase& c : cases) {
    CAPTURE(c.x.shape().str());
    CAPTURE(c.w.shape().str());
    REQUIRE(narrow_fits(c.w, c.p));
    const Tensor w = to(c.w, DType::f64).requires_grad_(), b = to(c.b, DType::f64).requires_grad_();
    const auto pair = [](const int64_t(&two)[2]) { return Size2{two[0], two[1]}; };
    const Tensor y =
        conv2d(to(c.x, DType::f64), w, b, pair(c.p.stride), pair(c.p.before), pair(c.p.dilation));
    y.backward(to(c.g, DType::f64));
    CHECK(error_beside(c.forward(c.b), y) < 2e-6);
    CHECK(error_beside(c.forward({}), sub(y, reshape(b, {-1, 1, 1}))) < 2e-6);
    const auto [dw, db] = c.gradients(0);
    CHECK(error_beside(dw, w.grad()) < 5e-6);
    CHECK(error_beside(db, b.grad()) < 5e-6);
    for (int64_t at = 1; at <= c.x.shape()[0]; ++at) {
      const auto [again, bias] = c.gradients(at);
      CHECK(same_bits(again, dw));
      CHECK(same_bits(bias, db));
    }
    for (const int threads : {2, 3}) {
      const Threads scope(threads);
      CHECK(same_bits(c.forward(c.b), [&] {
        const Threads one(1);
        return c.forward(c.b);
      }()));
    }
  }
}

TEST_CASE("narrow: what it is not for") {
  const Conv2d plain;
  CHECK(narrow_fits(ones({16, 1, 3, 3}), plain));
  CHECK(!narrow_fits(ones({8, 1, 3, 3}), plain));
  CHECK(!narrow_fits(ones({16, 5, 3, 3}), plain));
  CHECK(!narrow_fits(ones({16, 3, 5, 5}), plain));
  CHECK(!narrow_fits(to(ones({16, 1, 3, 3}), DType::f64), plain));
  CHECK(!narrow_fits(ones({16, 1, 3, 3}), {{1, 1}, {1, 1}, {0, 0}, {0, 0}, 2}));
  CHECK(!narrow_fits(ones({16, 1, 3, 3}), {{1, 1}, {1, 1}, {-1, 0}, {0, 0}, 1}));
}

TEST_CASE("narrow: a convolution with and without gradients, on any threads") {
  manual_seed(12);
  const Tensor x = randn({11, 1, 15, 14}), b = randn({32}).requires_grad_(),
               w = randn({32, 1, 3, 3}).requires_grad_();
  Tensor y, dw, db;
  for (const int threads : {1, 2, 3}) {
    const Threads scope(threads);
    const Tensor out = conv2d(x, w, b, 1, 1);
    sum(mul(out, out)).backward();
    if (threads == 1) y = out, dw = w.grad(), db = b.grad();
    CHECK(same_bits(out, y));
    CHECK(same_bits(w.grad(), dw));
    CHECK(same_bits(b.grad(), db));
    w.set_grad({}), b.set_grad({});
    const NoGradGuard no_grad;
    CHECK(same_bits(conv2d(x, w, b, 1, 1), y));
  }
}
