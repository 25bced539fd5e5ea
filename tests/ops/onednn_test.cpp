// The oneDNN plug-in against the kernels of nnm: the same numbers up to rounding, the same bits
// from run to run.
#include "kernels/onednn.h"

#include <doctest/doctest.h>

#include <cstring>

#include "kernels/gemm.h"
#include "kernels/parallel.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;
using nnm::testing::Threads;

namespace {

Tensor f32(const Shape& shape, double seed) { return to(wave(shape, seed), DType::f32); }

struct ConvCase {
  Shape x, w;
  Conv2d p;
};

ConvCase conv_case(const Shape& x, const Shape& w, int64_t stride, int64_t padding,
                   int64_t dilation, int64_t groups) {
  return {x,
          w,
          {{stride, stride}, {dilation, dilation}, {padding, padding}, {padding, padding}, groups}};
}

Tensor own_conv2d(const Tensor& x, const Tensor& w, const Tensor& b, const Conv2d& p,
                  const Shape& y) {
  const Tensor out = empty_channels_last(y);
  kernels::conv2d(out, x, w, b, p);
  return out;
}

// With weights brought in oneDNN's order.
Tensor with_own_weights(const OneDnn& plugin, const Tensor& like, const Tensor& x, const Tensor& w,
                        const Tensor& b, const Conv2d& p, int threads) {
  const Tensor y = empty_like(like);
  const OneDnn::Order order = plugin.conv2d_order(y, x, w, b, p, threads);
  REQUIRE(order.number >= 0);
  Tensor own;
  if (order.number > 0) {
    own = empty({order.bytes}, {DType::u8, {}});
    plugin.conv2d_reorder(own, w, p, order.number, threads);
  }
  REQUIRE(plugin.conv2d(y, x, w, own, b, p, threads));
  return y;
}

}  // namespace

TEST_CASE("onednn: products agree with the kernels") {
  const OneDnn* plugin = onednn();
  if (!plugin) {
    MESSAGE("skipped: no plug-in here");
    return;
  }
  const int64_t m = 70, n = 48, k = 53;
  const Tensor a = f32({m, k}, 0), b = f32({k, n}, 1), at = contiguous(t(a)), bt = contiguous(t(b));
  for (const int threads : {1, 2}) {
    const Threads scope(threads);
    for (const Tensor& left : {a, t(at)}) {
      for (const Tensor& right : {b, t(bt)}) {
        const Tensor own = f32({m, n}, 2), other = clone(own), again = clone(own);
        kernels::gemm(own, left, right, View{}, 0.5, 2);
        REQUIRE(plugin->gemm(other, left, right, 0.5, 2, threads));
        REQUIRE(plugin->gemm(again, left, right, 0.5, 2, threads));
        CHECK(differs(other, own, 1e-5) == "");
        CHECK(same_bits(other, again));
      }
    }
  }
  // A result that lies by columns.
  const Tensor own = zeros({m, n}), by_columns = t(zeros({n, m}));
  kernels::gemm(own, a, b, View{}, 1, 0);
  REQUIRE(plugin->gemm(by_columns, a, b, 1, 0, 1));
  CHECK(differs(by_columns, own, 1e-5) == "");
  // Neither rows nor columns lie in rows of memory: left to the kernels.
  const Tensor gaps = slice(slice(f32({2 * m, 2 * k}, 0), 0, {}, {}, 2), 1, {}, {}, 2);
  CHECK(!plugin->gemm(own, gaps, b, 1, 0, 1));
}

TEST_CASE("onednn: convolutions agree with the kernels") {
  const OneDnn* plugin = onednn();
  if (!plugin) {
    MESSAGE("skipped: no plug-in here");
    return;
  }
  const ConvCase cases[] = {conv_case({2, 3, 9, 8}, {16, 3, 3, 3}, 1, 1, 1, 1),
                            conv_case({3, 16, 8, 8}, {32, 16, 3, 3}, 2, 1, 1, 1),
                            conv_case({2, 1, 12, 12}, {8, 1, 5, 5}, 1, 0, 1, 1),
                            conv_case({2, 16, 7, 7}, {16, 1, 3, 3}, 1, 1, 1, 16),
                            conv_case({2, 16, 7, 7}, {32, 8, 3, 3}, 1, 2, 2, 2),
                            conv_case({2, 24, 5, 5}, {10, 24, 1, 1}, 1, 0, 1, 1)};
  for (const ConvCase& c : cases) {
    CAPTURE(c.w.str());
    const Tensor x = channels_last(f32(c.x, 0)), w = f32(c.w, 1), b = f32({c.w[0]}, 2);
    Shape size{c.x[0], c.w[0], 0, 0};
    for (int i = 0; i < 2; ++i)
      size[i + 2] = (c.x[i + 2] + 2 * c.p.before[i] - c.p.dilation[i] * (c.w[i + 2] - 1) - 1) /
                        c.p.stride[i] +
                    1;
    const Tensor own = own_conv2d(x, w, b, c.p, size), g = channels_last(f32(size, 3));
    const Tensor dx = empty_like(x), dw = empty_like(w), db = empty_like(b);
    kernels::conv2d_backward_input(dx, g, w, c.p);
    kernels::conv2d_backward_weight(dw, db, g, x, c.p);
    for (const int threads : {1, 2}) {
      Tensors first;
      for (int run = 0; run < 2; ++run) {
        const Tensor y = empty_like(own), dx2 = empty_like(dx), dw2 = empty_like(dw),
                     db2 = empty_like(db);
        REQUIRE(plugin->conv2d(y, x, w, View{}, b, c.p, threads));
        CHECK(differs(y, own, 1e-5) == "");
        CHECK(same_bits(with_own_weights(*plugin, y, x, w, b, c.p, threads), y));
        REQUIRE(plugin->conv2d_backward_input(dx2, g, w, c.p, threads));
        CHECK(differs(dx2, dx, 1e-5) == "");
        REQUIRE(plugin->conv2d_backward_weight(dw2, db2, g, x, c.p, threads));
        CHECK(differs(dw2, dw, 1e-4) == "");
        CHECK(differs(db2, db, 1e-4) == "");
        if (run == 0) first = {y, dx2, dw2, db2};
        else
          for (size_t i = 0; i < 4; ++i) CHECK(same_bits(first[i], Tensors{y, dx2, dw2, db2}[i]));
      }
    }
  }
}

TEST_CASE("onednn: large operations take it, and agree with f64") {
  const Tensor x = wave({300, 400}), w = wave({200, 400}, 1), b = wave({200}, 2);
  const Tensor y = linear(to(x, DType::f32), to(w, DType::f32), to(b, DType::f32));
  CHECK(differs(to(y, DType::f64), linear(x, w, b), 1e-4) == "");
  const Tensor image = wave({4, 16, 30, 30}), kernel = wave({32, 16, 3, 3}, 1), bias = wave({32});
  const Tensor z =
      conv2d(to(image, DType::f32), to(kernel, DType::f32), to(bias, DType::f32), 1, 1);
  CHECK(differs(to(z, DType::f64), conv2d(image, kernel, bias, 1, 1), 1e-4) == "");
}
