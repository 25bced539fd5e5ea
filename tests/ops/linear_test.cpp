// Linear layers at inference: packed weights give the same bits, and are never stale.
#include "kernels/linear.h"

#include <doctest/doctest.h>

#include <cstring>

#include "kernels/parallel.h"
#include "nnm/tensor/allocator.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;
using nnm::testing::Threads;

namespace {

bool there() {
  if (kernels::linear.has(DeviceType::cpu)) return true;
  MESSAGE("skipped: no such kernel for this processor");
  return false;
}

}  // namespace

TEST_SUITE_BEGIN("linear");

TEST_CASE("linear: the kernel agrees with f64, packed or not, whatever the thread count") {
  if (!there()) return;
  manual_seed(0);
  for (const int64_t m : {1, 5, 6, 12, 13, 64, 95, 96}) {
    for (const int64_t n : {1, 7, 16, 33, 200}) {
      for (const int64_t k : {1, 3, 128, 129, 512, 700}) {
        const std::string sizes = fmt::format("{} {} {}", m, n, k);
        CAPTURE(sizes);
        const Tensor x = randn({m, k}), w = randn({n, k}), b = randn({n});
        const Tensor wide = linear(to(x, DType::f64), to(w, DType::f64), to(b, DType::f64));
        const Tensor packed = empty({linear_packed(w)}, {DType::u8, {}});
        kernels::linear_weights(packed, w);
        Tensor first;
        for (const int threads : {1, 2, 3}) {
          const Threads scope(threads);
          const Tensor y = empty({m, n}), z = empty({m, n});
          kernels::linear(y, x, w, View{}, b, false);
          kernels::linear(z, x, w, packed, b, false);
          CHECK(same_bits(y, z));
          const Tensor added = randn({m, n}), sum = added + y;
          kernels::linear(added, x, w, packed, b, true);
          CHECK(same_bits(added, sum));
          if (!first.defined()) first = y;
          CHECK(same_bits(y, first));
        }
        CHECK(differs(to(first, DType::f64), wide, 1e-4) == "");
      }
    }
  }
}

TEST_CASE("linear: from call to call, and after every change") {
  manual_seed(1);
  const NoGradGuard no_grad;
  for (const Shape& shape : {Shape{64, 300}, Shape{2, 30, 300}, Shape{8, 300}, Shape{200, 300}}) {
    const Tensor x = randn(shape), w = randn({500, 300}), b = randn({500});
    for (int round = 0; round < 3; ++round) {
      const Tensor first = linear(x, w, b);
      for (int i = 0; i < 3; ++i) CHECK(same_bits(linear(x, w, b), first));
      CHECK(same_bits(linear(x, clone(w), b), first));
      const Tensor exact_x = to(x, DType::f64), exact_w = to(w, DType::f64);
      CHECK(differs(to(first, DType::f64), linear(exact_x, exact_w, to(b, DType::f64)), 1e-4) ==
            "");
      CHECK(differs(to(linear(x, w, {}), DType::f64), linear(exact_x, exact_w, {}), 1e-4) == "");
      mul_(w, 1.5);
    }
  }
}

TEST_CASE("linear: weights are kept when met again, and not in training") {
  if (!there()) return;
  const Tensor x = randn({64, 300}), w = randn({500, 300}).requires_grad_();
  const auto at_inference = [&] {
    const NoGradGuard no_grad;
    linear(x, w, {});
  };
  const auto bytes = [] { return memory_stats().allocated; };
  const size_t before = bytes();
  at_inference();
  CHECK(bytes() < before + 100'000);
  at_inference();
  CHECK(bytes() >= before + 500 * 300 * 4);
  linear(x, w, {});
  CHECK(bytes() < before + 100'000);
}

TEST_SUITE_END();
