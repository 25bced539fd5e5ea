// Clipping gradients by their norm and by value.
#include "nnm/optim/clip.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace nnm;
using namespace nnm::optim;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor with_grad(std::vector<double> grad, DType dtype = DType::f64) {
  const Shape shape{static_cast<int64_t>(grad.size())};
  const Tensor p = tensor_of<double>(grad, shape, {dtype, {}});
  p.requires_grad_();
  p.set_grad(tensor_of<double>(grad, shape, {dtype, {}}));
  return p;
}

}  // namespace

TEST_SUITE_BEGIN("optim");

TEST_CASE("clip: the norm is taken over all gradients together") {
  const Tensor a = with_grad({3, 0}), b = with_grad({0, -4, 12});
  const Tensor without = tensor_of<double>(std::vector<double>{7}, {1}, {DType::f64, {}});
  CHECK(grad_norm({a, without, b}) == doctest::Approx(13).epsilon(1e-15));
  CHECK(grad_norm({a, b}, 1) == 19);
  CHECK(grad_norm({a, b}, kInf) == 12);
  CHECK(grad_norm({a, b}, 3) == doctest::Approx(std::cbrt(27 + 64 + 1728)).epsilon(1e-14));
  CHECK(grad_norm({without}) == 0);
  CHECK_THROWS_AS(grad_norm({a}, 0), Error);
}

TEST_CASE("clip: many elements, in every type and layout, whatever the threads") {
  std::vector<double> grad(100003);
  double squares = 0, top = 0;
  for (size_t i = 0; i < grad.size(); ++i) {
    grad[i] = (static_cast<double>(i * 7919 % 1001) - 500) / 64;
    squares += grad[i] * grad[i];
    top = std::max(top, std::abs(grad[i]));
  }
  for (const DType dtype : {DType::f64, DType::f32}) {
    CHECK(grad_norm({with_grad(grad, dtype)}) ==
          doctest::Approx(std::sqrt(squares)).epsilon(1e-13));
    CHECK(grad_norm({with_grad(grad, dtype)}, kInf) == top);
  }
  CHECK(grad_norm({with_grad({3, 4}, DType::bf16)}) == 5);
  const Tensor p = with_grad({3, 1, 4, 1});
  p.set_grad({});
  const Tensor half = tensor_of<double>(std::vector<double>{3, 9, 4, 9}, {4}, {DType::f64, {}})
                          .as_strided({2}, {2}, 0);
  const Tensor q = tensor_of<double>(std::vector<double>{0, 0}, {2}, {DType::f64, {}});
  q.set_grad(half);
  CHECK(grad_norm({p, q}) == 5);
}

TEST_CASE("clip: gradients of several types, one with gaps in its memory") {
  const Tensor a = with_grad({3}, DType::f32), b = with_grad({0, -4}),
               c = with_grad({12}, DType::bf16);
  const Tensor rows = tensor_of<double>(std::vector<double>{84, 9, 0, 9}, {4}, {DType::f64, {}});
  const Tensor d = tensor_of<double>(std::vector<double>{0, 0}, {2}, {DType::f64, {}});
  d.set_grad(rows.as_strided({2}, {2}, 0));
  CHECK(clip_grad_norm_({a, b, c, d}, 8.5) == 85);
  CHECK(grad_norm({a, b, c, d}) == doctest::Approx(8.5).epsilon(1e-3));
  CHECK(rows.to_vector<double>()[0] == doctest::Approx(8.4).epsilon(1e-6));
  CHECK(rows.to_vector<double>()[1] == 9);
  CHECK(a.grad().to_vector<float>()[0] == doctest::Approx(0.3));
}

TEST_CASE("clip: scales down only, in place") {
  const Tensor a = with_grad({3, 4});
  const Tensor grad = a.grad();
  CHECK(clip_grad_norm_({a}, 10) == 5);
  CHECK(grad.to_vector<double>() == std::vector<double>{3, 4});
  CHECK(clip_grad_norm_({a}, 1) == 5);
  CHECK(a.grad().is_same(grad));
  CHECK(grad.to_vector<double>()[0] == doctest::Approx(3 / (5 + 1e-6)).epsilon(1e-15));
}

TEST_CASE("clip: a norm that is not finite") {
  const Tensor nan = with_grad({1, std::nan("")}), inf = with_grad({1, kInf});
  CHECK(std::isnan(grad_norm({nan}, kInf)));
  CHECK_THROWS_WITH_AS(clip_grad_norm_({nan}, 1, 2, true),
                       "The total norm of order 2.0 for gradients from `parameters` is "
                       "non-finite, so it cannot be clipped. To disable this error and scale the "
                       "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`",
                       Error);
  CHECK(std::isnan(clip_grad_norm_({nan}, 1)));
  CHECK(std::isnan(nan.grad().to_vector<double>()[0]));
  CHECK(clip_grad_norm_({inf}, 1) == kInf);
  CHECK(inf.grad().to_vector<double>()[0] == 0);
  CHECK(std::isnan(inf.grad().to_vector<double>()[1]));
}

TEST_CASE("clip: by value") {
  const Tensor a = with_grad({-3, 0.25, 4});
  clip_grad_value_({a}, 0.5);
  CHECK(a.grad().to_vector<double>() == std::vector<double>{-0.5, 0.25, 0.5});
}

TEST_SUITE_END();
