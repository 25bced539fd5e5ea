// Edges of functions where PyTorch has an opinion: nothing at all, ties, other types, a tensor in
// place of a number.
#include "nnm/base/error.h"
#include "nnm/ops/functional.h"
#include "ops/torch_row.h"
#include "support/checks.h"

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
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Tensor heads = zeros({2, 5, 0}, {type}).requires_grad_();
    const Tensor seen = one("scaled_dot_product_attention", {heads, heads, heads});
    CHECK(seen.shape() == Shape{2, 5, 0});
    sum(seen).backward();
    CHECK(heads.grad().shape() == Shape{2, 5, 0});
  }
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

TEST_CASE("no gradient passes a step, not even what is no number") {
  const Tensor x = reals({1.5, -kInf}, {2}, DType::f64);
  for (const std::string step : {"floor", "ceil", "round", "trunc", "sign"}) {
    CAPTURE(step);
    CHECK(slope(x, [&](const Tensor& v) { return mul(one(step, {v}), Scalar(kNaN)); }) ==
          Numbers{0, 0});
  }
}

TEST_CASE("hardswish multiplies what it takes to zero") {
  for (const DType type : {DType::f32, DType::f64}) {
    const Numbers v = values(one("hardswish", {reals({-kInf, -4, -3, 3, kInf}, {5}, type)}));
    CHECK(std::isnan(v[0]));
    CHECK((std::signbit(v[1]) && std::signbit(v[2])));
    CHECK(v[3] == 3);
    CHECK(v[4] == kInf);
  }
}

TEST_CASE("tensors without dimensions go where those of one element go") {
  const Tensor x = full({}, Scalar(1.5)).requires_grad_();
  const Tensor first = integers({0}, {1}), here = integers({0}, {});
  CHECK(values(one("index_fill", {x, 0, first, 3})) == Numbers{3});
  CHECK(one("index_fill", {x, -1, here, 3}).dim() == 0);
  CHECK(values(one("index_copy", {x, 0, first, full({1}, Scalar(2.0))})) == Numbers{2});
  CHECK(values(one("index_add", {x, 0, here, full({}, Scalar(2.0))})) == Numbers{3.5});
  CHECK(one("Tensor.unfold", {x, 0, 1, 1}).shape() == Shape{1});
  CHECK(one("Tensor.unfold", {x, 0, 0, 1}).shape() == Shape{0});
  CHECK(one("adjoint", {x}).dim() == 0);
  const Tensor place = one("where", {gt(x, Scalar(0))});
  CHECK(place.shape() == Shape{1});
  CHECK(values(place) == Numbers{0});
  CHECK(run("nonzero", {lt(x, Scalar(0))}, {{"as_tuple", true}}).at(0).shape() == Shape{0});
}

TEST_CASE("a tensor without dimensions does not widen what it meets") {
  const Tensor half = ones({2}, {DType::f16}), wide = full({}, Scalar(2.0), {DType::f64});
  CHECK(one("xlogy", {half, wide}).dtype() == DType::f16);
  CHECK(one("xlogy", {integers({1, 3}, {2}), half}).dtype() == DType::f16);
  CHECK(one("block_diag", {half, wide}).dtype() == DType::f16);
  CHECK(one("block_diag", {wide, half}).dtype() == DType::f16);
  CHECK(one("block_diag", {wide, integers({1, 3}, {2})}).dtype() == DType::f64);
  // 2^16 is no f16, 2^-2 of it is.
  const Tensor quarter = full({2}, Scalar(0.25), {DType::f16});
  const Tensor scaled = one("ldexp", {quarter, integers({16, 1}, {2})});
  CHECK(scaled.dtype() == DType::f16);
  CHECK(values(scaled) == Numbers{16384, 0.5});
}

TEST_CASE("truth values and integers meet floats in any function of two") {
  const Tensor flags = integers({1, 0}, {2}, DType::b8);
  const Tensor x = reals({0.75, -2}, {2}, DType::f64);
  CHECK(values(one("fmod", {flags, x})) == Numbers{0.25, 0});
  CHECK(values(one("logaddexp2", {flags, flags})) == Numbers{2, 1});
  CHECK(values(one("logaddexp", {x, flags}))[1] == doctest::Approx(std::log1p(std::exp(-2.0))));
  CHECK(values(one("copysign", {integers({1, 2}, {2}, DType::u8), -3})) == Numbers{-1, -2});
  CHECK(one("copysign", {integers({1, 2}, {2}, DType::u8), -3}).dtype() == DType::f32);
  CHECK(values(one("ldexp", {integers({8, 2}, {2}, DType::u8), -1})) == Numbers{4, 1});
  CHECK(values(one("float_power", {integers({2, 4}, {2}, DType::u8), -1})) == Numbers{0.5, 0.25});
  CHECK(std::isnan(values(one("xlogy", {integers({3}, {1}, DType::u8), -2}))[0]));
  CHECK(values(one("logit", {flags})) == Numbers{kInf, -kInf});
  const Tensor table = one("einsum", {"i,j->ij", flags, integers({5, 7}, {2})});
  CHECK(table.dtype() == DType::i64);
  CHECK(values(table) == Numbers{5, 7, 0, 0});
  CHECK(one("einsum", {"i,j->ij", flags, flags}).dtype() == DType::b8);
  CHECK(values(one("pad", {flags, L({0, 1})}, {{"value", 0.5}})) == Numbers{1, 0, 1});
  const Tensor i = integers({1, 2, -1, 9}, {4}, DType::i16);
  CHECK(values(one("hardtanh", {i, -1.7, 2.9})) == Numbers{1, 2, -1, 2});
  CHECK(values(one("threshold", {i, 1.5, -2.7})) == Numbers{-2, 2, -2, 9});
}

TEST_CASE("std and var take whether they are unbiased in place of dimensions") {
  const Tensor x = reals({1, 2, 4, 9}, {4}, DType::f64);
  CHECK(values(one("var", {x, false})) == values(one("var", {x}, {{"unbiased", false}})));
  CHECK(values(one("std", {x, true})) == values(one("std", {x})));
  CHECK(run("var_mean", {x, false}, {}).at(1).item().d == 4);
  CHECK_THROWS_WITH_AS(run("std", {x, "0"}, {}), "expected int, got str", Error);
}

TEST_CASE("what is not a number stays none in softshrink") {
  for (const int64_t n : {1, 5, 40}) {
    const Numbers v = values(one("softshrink", {full({n}, Scalar(kNaN))}));
    CHECK(std::all_of(v.begin(), v.end(), [](double e) { return std::isnan(e); }));
  }
  CHECK(values(one("softshrink", {reals({-2, 0.25, 2}, {3}, DType::f32)})) ==
        Numbers{-1.5, 0, 1.5});
}

TEST_CASE("what is not a number stands behind all boundaries") {
  const Tensor x = reals({1, kNaN, 3}, {3}, DType::f32);
  CHECK(values(one("bucketize", {x, reals({2}, {1}, DType::f32)})) == Numbers{0, 1, 1});
  CHECK(values(one("searchsorted", {integers({1, 3}, {2}), x}, {{"right", true}})) ==
        Numbers{1, 2, 2});
  CHECK(values(one("i0", {reals({kInf, kNaN, 9000}, {3}, DType::f64)}))[0] == kInf);
  const Tensor t = reals({-1}, {1}, DType::f32);
  CHECK(std::isnan(one("kl_div", {t, t}, {{"reduction", "sum"}}).item().d));
}

TEST_CASE("bounds of clamp that are tensors get what lies beyond them, and nothing at ties") {
  const Tensor x = reals({1, 2, 3, 4}, {4}, DType::f64);
  const Tensor low = reals({2, 2, 2, 5}, {4}, DType::f64).requires_grad_();
  const Tensor high = reals({3, 3, 3, 3}, {4}, DType::f64).requires_grad_();
  CHECK(slope(x, [&](const Tensor& v) {
          return one("clamp", {v, low, high});
        }) == Numbers{0, 1, 1, 0});
  CHECK(values(low.grad()) == Numbers{1, 0, 0, 0});
  CHECK(values(high.grad()) == Numbers{0, 0, 0, 1});
  CHECK(slope(x, [&](const Tensor& v) {
          return one("clamp", {v, v, 2.5});
        }) == Numbers{1, 1, 0, 0});
  CHECK(slope(x, [&](const Tensor& v) {
          return one("clamp", {v}, {{"max", v}});
        }) == Numbers{1, 1, 1, 1});
  // The bound is as large as all, x one row of it.
  const Tensor wide = expand(unsqueeze(low.detach(), 0), {2, 4});
  CHECK(slope(x, [&](const Tensor& v) { return one("clamp", {v, wide}); }) == Numbers{0, 2, 2, 0});
}

TEST_CASE("what repeats nothing is a copy all the same") {
  for (const Tensor& x : {ones({3}), ones({1})}) {
    const Tensor y = one("repeat_interleave", {x, x.numel() == 1 ? 2 : 1});
    one("mul_", {y, 5});
    CHECK(values(x)[0] == 1);
    CHECK(values(y) == Numbers(static_cast<size_t>(y.numel()), 5));
  }
}

TEST_CASE("any of bytes is 1 or 0, and hypot of bytes does not wrap") {
  const Tensor bytes = integers({200, 0, 4, 0}, {2, 2}, DType::u8);
  CHECK(values(one("any", {bytes, 0})) == Numbers{1, 0});
  CHECK(one("any", {bytes, 0}).dtype() == DType::u8);
  CHECK(values(one("any", {bytes})) == Numbers{1});
  CHECK(values(one("hypot", {bytes, 0.0})) == Numbers{200, 0, 4, 0});
}

TEST_CASE("a 0-d tensor is compared as the type of what it is beside has it") {
  const Tensor half = full({2}, Scalar(0.1), {DType::f16}), tenth = full({}, Scalar(0.1));
  CHECK(values(one("eq", {half, tenth})) == Numbers{1, 1});
  CHECK(values(one("lt", {tenth, half})) == Numbers{0, 0});
  CHECK(values(one("ge", {half, tenth})) == Numbers{1, 1});
  CHECK(values(one("eq", {half, full({1}, Scalar(0.1))})) == Numbers{0, 0});
}

TEST_CASE("integers divided towards zero keep their type and all of their digits") {
  const Items toward_zero = {{"rounding_mode", "trunc"}};
  const Tensor x = integers({16777217, -7, 7}, {3}), y = integers({1, 2, -2}, {3});
  CHECK(values(one("div", {x, y}, toward_zero)) == Numbers{16777217, -3, -3});
  CHECK(values(one("div", {x, 2}, toward_zero)) == Numbers{8388608, -3, 3});
  CHECK(values(one("div", {7, y}, toward_zero)) == Numbers{7, 3, -3});
  CHECK(values(one("div", {gt(x, Scalar(0)), -2}, toward_zero)) == Numbers{0, 0, 0});
  CHECK(one("div", {to(x, DType::i16), 2}, toward_zero).dtype() == DType::i16);
  CHECK(one("div", {to(x, DType::u8), to(x, DType::u8)}, toward_zero).dtype() == DType::u8);
  CHECK_THROWS_WITH_AS(run("div", {x, 0}, toward_zero), "ZeroDivisionError", Error);
}

TEST_CASE("memory that elements share is not written in place") {
  const Tensor row = ramp({1, 3}, 1, 7, 0, 1), square = ramp({3, 3}, 1, 17, 0, 1);
  const char* const several = "unsupported operation: more than one element of the written-to";
  for (const auto& [f, rest] : std::vector<std::pair<const char*, Values>>{
           {"add_", {1}}, {"mul_", {row}}, {"clamp_", {0}}, {"exp_", {}}}) {
    Values arguments = {expand(row, {2, 3})};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    const std::string said = nnm::testing::message_of([&] { run(f, arguments, {}); });
    CHECK_MESSAGE(said.find(several) == 0, f << ": " << said);
  }
  const char* const some = "unsupported operation: some elements of the input tensor and the";
  const Tensor turned = transpose(square, 0, 1), part = narrow(square, 0, 0, 1);
  for (const Tensor& other : {turned, part}) {
    const std::string said = nnm::testing::message_of([&] { run("sub_", {square, other}, {}); });
    CHECK_MESSAGE(said.find(some) == 0, said);
  }
  CHECK(values(one("sub_", {clone(square), square}))[5] == 0);
  CHECK(values(one("sub_", {square, square}))[5] == 0);
  CHECK(one("add_", {expand(zeros({1, 0}), {2, 0}), 1}).numel() == 0);
  CHECK(values(one("add_", {expand(row, {1, 3}), 1})) == Numbers{1, 2, 3});
}

TEST_CASE("hsplit, vsplit and dsplit give equal parts") {
  const Tensor x = ramp({2, 3}, 1, 7, 0, 1);
  CHECK(run("hsplit", {x, 3}, {}).at(2).shape() == Shape{2, 1});
  CHECK(run("vsplit", {x, L({1})}, {}).at(1).shape() == Shape{1, 3});
  CHECK(run("hsplit", {reshape(x, {6}), 2}, {}).at(1).shape() == Shape{3});
  CHECK_THROWS_WITH_AS(run("hsplit", {x, 2}, {}),
                       "torch.hsplit attempted to split along dimension 1, but the size of the "
                       "dimension 3 is not divisible by the split_size 2!",
                       Error);
  CHECK_THROWS_WITH_AS(run("dsplit", {x, 1}, {}),
                       "torch.dsplit requires a tensor with at least 3 dimension, but got a tensor "
                       "with 2 dimensions!",
                       Error);
  CHECK_THROWS_WITH_AS(run("histc", {reals({1, kInf}, {2}, DType::f32)}, {}),
                       "torch.histc: range of [1, inf] is not finite", Error);
}

TEST_CASE("arguments that PyTorch has beside the usual ones") {
  const Tensor x = reals({0, 0.25, 0.5, 0.75, 1, 1.25}, {2, 3}, DType::f64);
  const Tensor rows = reals({1, 2, 4}, {3}, DType::f64), two = reals({9}, {1}, DType::f64);
  CHECK(values(one("diff", {rows}, {{"prepend", two}, {"append", two}})) == Numbers{-8, 1, 2, 5});
  CHECK(values(one("rsub", {rows, 3}, {{"alpha", 2}})) == Numbers{1, -1, -5});
  CHECK(values(one("div_", {clone(rows), 3}, {{"rounding_mode", "floor"}})) == Numbers{0, 0, 1});
  CHECK(values(one("subtract_", {clone(rows), rows}, {{"alpha", 3}})) == Numbers{-2, -4, -8});
  CHECK(values(one("round_", {mul(rows, Scalar(0.33))}, {{"decimals", 1}}))[2] == 1.3);
  CHECK(values(one("index_add_", {clone(rows), 0, integers({0, 0, 2}, {3}), rows},
                   {{"alpha", 2}})) == Numbers{7, 2, 12});
  for (const char* f : {"nansum", "nanmean", "norm", "vector_norm", "matrix_norm"})
    CHECK(one(f, {to(x, DType::f32)}, {{"dtype", DType::f64}}).dtype() == DType::f64);
  const Tensor at = integers({0, 0, 2}, {3});
  CHECK(values(one("scatter", {rows, 0, at, rows}, {{"reduce", "add"}})) == Numbers{4, 2, 8});
  CHECK(values(one("scatter", {rows, 0, at, 3.0}, {{"reduce", "multiply"}})) == Numbers{9, 2, 12});
  CHECK(values(one("scatter_", {clone(rows), 0, at, rows}, {{"reduce", "multiply"}})) ==
        Numbers{2, 2, 16});
  CHECK(one("repeat_interleave", {x, integers({1, 2}, {2}), 0}, {{"output_size", 3}}).shape() ==
        Shape{3, 3});
  const TensorOptions nowhere{DType::i64, {DeviceType::meta, 0}};
  CHECK(one("repeat_interleave", {empty({2, 3}, nowhere), empty({2}, nowhere), 0},
            {{"output_size", 5}})
            .shape() == Shape{5, 3});
  CHECK_THROWS_WITH_AS(run("repeat_interleave", {x, 2}, {{"output_size", 3}}),
                       "repeat_interleave: Invalid output_size, expected 12 but got 3", Error);
  CHECK(values(one("searchsorted", {neg(rows), reals({-2}, {1}, DType::f64)},
                   {{"sorter", integers({2, 1, 0}, {3})}})) == Numbers{1});
  CHECK(one("tril_indices", {2, 2}, {{"dtype", DType::i32}}).dtype() == DType::i32);
  CHECK(values(one("bernoulli", {rows, 1.0})) == Numbers{1, 1, 1});
  const Tensor power = one("matrix_power", {ones({2, 2}), 1});
  CHECK(values(one("zero_", {power})) == Numbers{0, 0, 0, 0});
}

TEST_CASE("losses of single elements weigh them") {
  const Tensor x = reals({1, 2, 4}, {3}, DType::f64), y = zeros({3}, {DType::f64, {}});
  const Items weight = {{"weight", reals({1, 2, 5}, {3}, DType::f64)}};
  CHECK(values(one("mse_loss", {x, y}, weight)) == Numbers{89.0 / 8});
  CHECK(values(one("l1_loss", {x, y}, weight)) == Numbers{25.0 / 8});
  CHECK(values(one("huber_loss", {x, y}, weight)) == Numbers{(0.5 + 3 + 17.5) / 3});
  CHECK_THROWS_WITH_AS(run("mse_loss", {x, y}, {{"weight", ones({2})}}),
                       "Weights and input must have the same size.", Error);
}

TEST_CASE("embedding shortens rows and shares gradients by frequency") {
  const Tensor table = ones({3, 4}).requires_grad_();
  const Tensor i = integers({0, 2, 2}, {3});
  const Tensor y = one("embedding", {i, table.detach()}, {{"max_norm", 1.0}});
  CHECK(values(y)[0] == doctest::Approx(0.5));
  CHECK(values(select(table.detach(), 0, 1)) == Numbers{1, 1, 1, 1});
  sum(one("embedding", {i, table}, {{"scale_grad_by_freq", true}})).backward();
  CHECK(values(select(table.grad(), 1, 0)) == Numbers{1, 0, 1});
}

TEST_CASE("tensordot takes one number beside many for all of them") {
  const Tensor a = reals({1, 2}, {2, 1}, DType::f64), b = reals({1, 2, 3}, {3, 1}, DType::f64);
  CHECK(values(one("tensordot", {a, b, 1})) == Numbers{6, 12});
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
