// Edges of functions where PyTorch has an opinion: nothing at all, ties, other types, a tensor in
// place of a number.
#include "nnm/base/error.h"
#include "nnm/ops/functional.h"
#include "ops/torch_row.h"

using namespace nnm;
using namespace nnm::torch_row;

TEST_SUITE_BEGIN("ops");

namespace {

Tensor one(const std::string& function, const Values& pos, const Items& kw = {}) {
  return run(function, pos, kw).at(0);
}

std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }
using Numbers = std::vector<double>;

Tensor reals(const Numbers& v, const Shape& shape, DType type) {
  return tensor_of<double>(v, shape, {type, {}});
}

/// The gradient of sum(f(x)) at x.
template <class F>
Numbers slope(const Tensor& x, const F& f) {
  const Tensor leaf = clone(x).requires_grad_();
  sum(f(leaf)).backward();
  return values(leaf.grad());
}

}  // namespace

TEST_CASE("tensors without elements keep their shape in any order of dimensions") {
  const Tensor x = zeros({3, 4, 0});
  CHECK(contiguous(permute(x, {2, 1, 0})).shape() == Shape{0, 4, 3});
  CHECK(one("abs", {permute(x, {2, 1, 0})}).shape() == Shape{0, 4, 3});
  const Tensor sums = one("logsumexp", {permute(zeros({3, 4, 1, 0}), {3, 2, 1, 0}), -3});
  CHECK(sums.shape() == Shape{0, 4, 3});
  CHECK(one("trapezoid", {zeros({2, 1, 1})}, {{"dim", 2}}).shape() == Shape{2, 1});
  CHECK(one("remainder", {permute(x, {2, 1, 0}), 3}).numel() == 0);
  const Tensor places = one("nonzero", {zeros({3, 0, 2, 1})});
  CHECK(places.shape() == Shape{0, 4});
  CHECK(places.dtype() == DType::i64);
  CHECK(std::isnan(one("median", {zeros({0})}).item().d));
  CHECK(std::isnan(one("nanmedian", {zeros({2, 0})}).item().d));
}

TEST_CASE("what is written in place takes the type of where it is written") {
  const Tensor x = reals({2, 0, -1.5}, {3}, DType::f32);
  CHECK(values(one("logical_not_", {clone(x)})) == Numbers{0, 1, 0});
  const Tensor y = reals({3, 1, 0}, {3}, DType::f64);
  const Tensor product = one("multiply_", {clone(x), y});
  CHECK(product.dtype() == DType::f32);
  CHECK(values(product) == Numbers{6, 0, 0});
  CHECK(values(one("logical_and_", {integers({4, 0, 2}, {3}), integers({1, 1, 0}, {3})})) ==
        Numbers{1, 0, 0});
  const Tensor bytes =
      one("bitwise_left_shift_", {integers({1, 2}, {2}, DType::u8), integers({1, 3}, {2})});
  CHECK(bytes.dtype() == DType::u8);
  CHECK(values(bytes) == Numbers{2, 16});
  CHECK_THROWS_WITH_AS(run("multiply_", {integers({1}, {1}), ones({1})}, {}),
                       "result type Float can't be cast to the desired output type Long", Error);
  CHECK(slope(x, [&](const Tensor& v) {
          return one("multiply_", {clone(v), y});
        }) == Numbers{3, 1, 0});
}

TEST_CASE("integers are clamped by relu6, divided by fmod, and lend copysign their size") {
  CHECK(values(one("relu6", {integers({-4, 2, 9}, {3}, DType::i32)})) == Numbers{0, 2, 6});
  const Tensor rest = one("fmod", {integers({1, 0}, {2}, DType::b8), integers({-2, 3}, {2})});
  CHECK(rest.dtype() == DType::i64);
  CHECK(values(rest) == Numbers{1, 0});
  CHECK(one("copysign", {ones({2}), full({2}, Scalar(-1.0), {DType::f64})}).dtype() == DType::f64);
}

TEST_CASE("elements take the type that is asked for before they are added or multiplied") {
  const Tensor x = reals({1.1, 1.3, 1.7}, {3}, DType::f32);
  const Numbers v = values(x);
  const Items wide = {{"dtype", DType::f64}};
  CHECK(values(one("prod", {x}, wide)) == Numbers{v[0] * v[1] * v[2]});
  CHECK(values(one("mean", {x}, wide)) == Numbers{(v[0] + v[1] + v[2]) / 3});
  CHECK(values(one("sum", {x}, {{"dtype", DType::i64}})) == Numbers{3});
  const Tensor large = integers({int64_t{1} << 62, int64_t{1} << 62}, {2});
  CHECK(values(one("sum", {large}, wide)) == Numbers{std::ldexp(1.0, 63)});
}

TEST_CASE("gradients at ties and outside of a domain are PyTorch's") {
  const Tensor ties = reals({1, 2, 2, 3, 3}, {5}, DType::f64);
  const Tensor even = reals({1, 2, 2, 2, 3}, {5}, DType::f64);
  const auto middle = [](const Tensor& v) { return one("median", {v}); };
  CHECK(slope(ties, middle) == Numbers{0, 0.5, 0.5, 0, 0});
  const Numbers third = slope(even, [](const Tensor& v) { return one("nanmedian", {v}); });
  CHECK(third[1] == doctest::Approx(1.0 / 3));
  CHECK(third[0] == 0);
  const Tensor odds = reals({-0.5, 0.5, 1, 1.5}, {4}, DType::f64);
  const Numbers open = slope(odds, [](const Tensor& v) { return one("logit", {v}); });
  CHECK(std::isnan(open[0]));
  CHECK(open[1] == 4);
  CHECK(open[2] == kInf);
  CHECK(std::isnan(open[3]));
  const Numbers closed = slope(odds, [](const Tensor& v) { return one("logit", {v, 0.25}); });
  CHECK(closed == Numbers{0, 4, 0, 0});
}

TEST_CASE("cov and corrcoef of one row are single numbers") {
  const Tensor row = reals({1, 2, 4}, {1, 3}, DType::f64);
  CHECK(one("cov", {row}).dim() == 0);
  CHECK(values(one("corrcoef", {row})) == Numbers{1});
  CHECK(one("corrcoef", {row}).dim() == 0);
}

TEST_CASE("tensors stand where numbers do: in fills and repeats") {
  const Tensor x = ramp({2, 3}, 1, 7, 0, 1);
  const Tensor mask = integers({1, 0, 1}, {3}, DType::b8), nine = full({}, Scalar(9.0));
  CHECK(values(one("masked_fill", {x, mask, nine})) == Numbers{9, 1, 9, 9, 4, 9});
  CHECK(slope(nine, [&](const Tensor& v) {
          return one("masked_fill", {x, mask, v});
        }) == Numbers{4});
  CHECK_THROWS_WITH_AS(run("masked_fill", {x, mask, ones({1})}, {}),
                       "masked_fill_ only supports a 0-dimensional value tensor, but got tensor "
                       "with 1 dimension(s).",
                       Error);
  const Tensor whole = integers({5, 6, 7}, {3});
  CHECK(values(one("masked_fill", {whole, mask, -1.5})) == Numbers{-1, 6, -1});
  CHECK_THROWS_WITH_AS(run("masked_fill", {whole, mask, kInf}, {}),
                       "value cannot be converted to type long int without overflow", Error);
  CHECK(values(one("index_fill", {x, 1, integers({-1}, {1}), nine})) == Numbers{0, 1, 9, 3, 4, 9});
  CHECK(slope(nine, [&](const Tensor& v) {
          return one("index_fill", {x, 1, integers({2, -1}, {2}), v});
        }) == Numbers{2});
  CHECK(values(one("repeat_interleave", {x, integers({2, 0, 1}, {3}), 1})) ==
        Numbers{0, 0, 2, 3, 3, 5});
  CHECK(values(one("repeat_interleave", {x, integers({2}, {1})}, {{"dim", 0}})) ==
        Numbers{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
  CHECK_THROWS_AS(run("repeat_interleave", {x, integers({1, -1}, {2}), 0}, {}), Error);
  CHECK_THROWS_AS(run("repeat_interleave", {x, integers({1, 1, 1}, {3}), 0}, {}), Error);
  CHECK(values(one("hstack", {L({Value(nine), Value(ones({2}))})})) == Numbers{9, 1, 1});
}

TEST_CASE("losses by targets that have gradients, and by variances of other shapes") {
  const Tensor p = reals({0, 1, 0.5}, {3}, DType::f64), t = reals({0, 1, 1}, {3}, DType::f64);
  const auto bce = [&](const Tensor& x) {
    return one("binary_cross_entropy", {x, clone(t).requires_grad_()}, {{"reduction", "sum"}});
  };
  CHECK(bce(p).item().d == doctest::Approx(0.69314718));
  CHECK(slope(p, bce) == Numbers{0, 0, -2});
  const Numbers along = slope(t, [&](const Tensor& v) {
    return one("binary_cross_entropy", {reals({0.25, 0.75, 0.5}, {3}, DType::f64), v},
               {{"reduction", "sum"}});
  });
  CHECK(along[0] == doctest::Approx(1.0986123));
  CHECK(along[1] == doctest::Approx(-1.0986123));
  CHECK(along[2] == 0);
  const Tensor chances = reals({0, 0.5, 0.5}, {3}, DType::f64).requires_grad_();
  const Tensor logs = reals({-1, -2, -0.5}, {3}, DType::f64);
  CHECK(one("kl_div", {logs, chances}, {{"reduction", "sum"}}).item().d ==
        doctest::Approx(0.5568528));

  const Tensor x = reals({1, 2, 3, 4}, {2, 2}, DType::f64), y = zeros({2, 2}, {DType::f64, {}});
  const Items whole = {{"reduction", "sum"}};
  const double by_row =
      one("gaussian_nll_loss", {x, y, reals({1, 2}, {2}, DType::f64)}, whole).item().d;
  CHECK(by_row == doctest::Approx(0.5 * (1 + 4 + 4.5 + 8) + std::log(2.0)));
  CHECK(one("gaussian_nll_loss", {x, y, 2.0}, whole).item().d ==
        doctest::Approx(0.25 * 30 + 2 * std::log(2.0)));
  CHECK_THROWS_WITH_AS(run("gaussian_nll_loss", {x, y, reals({1, 2, 3}, {3}, DType::f64)}, {}),
                       "var is of incorrect size", Error);
  CHECK_THROWS_WITH_AS(run("gaussian_nll_loss", {x, y, neg(x)}, {}),
                       "var has negative entry/entries", Error);
}

TEST_CASE("interpolate filters before it shrinks where antialias asks for it") {
  const Tensor x = ramp({1, 1, 4, 5}, 7919, 23, 11, 8, DType::f64);
  const auto shrunk = [](const char* mode) {
    return [mode](const Tensor& t) {
      return one("interpolate", {t},
                 {{"size", L({Value(2), Value(3)})}, {"mode", mode}, {"antialias", true}});
    };
  };
  const auto is = [](const Numbers& got, const Numbers& expected) {
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); ++i)
      CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-6));
  };
  is(values(shrunk("bilinear")(x)),
     {-0.3392857, 0.077381, 0.2397959, -0.0357143, 0.0615079, 0.3673469});
  is(values(shrunk("bicubic")(x)),
     {-0.3855372, 0.1213002, 0.2365385, -0.0317705, 0.0874207, 0.375});
  const Tensor weights = ramp({1, 1, 2, 3}, 1, 7, -1, 1, DType::f64);
  const Numbers g = slope(x, [&](const Tensor& t) { return mul(shrunk("bicubic")(t), weights); });
  is({g[0], g[7], g[19]}, {0.1539674, 0.8817029, 1.4611068});
  CHECK_THROWS_WITH_AS(run("interpolate", {x}, {{"scale_factor", 2}, {"antialias", true}}),
                       "Anti-alias option is restricted to bilinear and bicubic modes and requires "
                       "a 4-D tensor as input",
                       Error);
}

TEST_CASE("accuracy of one class says how to ask for yes and no") {
  const Tensor logits = reals({-1, 2, 3}, {3, 1}, DType::f32);
  const Tensor truth = integers({0, 1, 0}, {3});
  CHECK_THROWS_WITH_AS(run("accuracy", {logits, truth}, {}),
                       "accuracy: input [3, 1] has one class beside target [3], which is always "
                       "the largest",
                       Error);
  CHECK(one("accuracy", {squeeze(logits, 1), truth}).item().d == doctest::Approx(2.0 / 3));
}

TEST_SUITE_END();
