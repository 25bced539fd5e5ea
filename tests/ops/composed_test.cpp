// Products, searches and places through the function table, against PyTorch.
#include "ops/torch_row.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::torch_row;

TEST_SUITE_BEGIN("ops");

namespace {

Tensor floats(const std::vector<double>& v, const Shape& shape) {
  return tensor_of<double>(v, shape, {DType::f32, {}});
}

const Tensor kBatch = ramp({2, 3, 4}, 5, 7, 3, 4);
const Tensor kOther = ramp({2, 4, 3}, 5, 7, 3, 4);
const Tensor kSorted = floats({-1, -0.25, 0.5, 1}, {4});
const Tensor kTwo = integers({2, 0}, {2});
const Tensor kImage = ramp({1, 4, 1, 2}, 7919, 23, 11, 8);
const Tensor kThree = floats({0.5, 1.5, 2}, {3});

// Function, arguments, keywords; grad_fn; type, shape and values of every output in PyTorch.
const Row kComposedRows[] = {
    {"cumprod",
     {M, 1},
     {},
     "?",
     {{"f32",
       {3, 4},
       {-1.375, 0.6875, 0.2578125, 0.32226562, -0.75, -0.09375, -0.09375, 0.09375, -0.125, -0.09375,
        0.1171875, -0.043945312}}}},
    {"cumprod",
     {X, -2},
     {},
     "?",
     {{"f32", {2, 3, 4}, {-1.375, -0.5,    0.375,       1.25,       1.03125,  -0.0625,
                          0.375,  -1.25,   -0.12890625, -0.046875,  -0.46875, 0.46875,
                          0.5,    1.375,   -0.625,      0.25,       0.5625,   -1.203125,
                          0,      0.21875, -0.6328125,  0.30078125, 0,        -0.30078125}}}},
    {"cumprod", {I, 0}, {}, "", {{"i64", {2, 3}, {4, -3, 2, 0, -21, -10}}}},
    {"cumprod", {B, 1}, {}, "", {{"i64", {3, 4}, {1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0}}}},
    {"cumprod",
     {H, 0},
     {},
     "?",
     {{"bf16",
       {3, 4},
       {-1.375, -0.5, 0.375, 1.25, 1.03125, -0.0625, 0.375, -1.25, -0.12890625, -0.046875, -0.46875,
        0.46875}}}},
    {"baddbmm",
     {S, kBatch, kOther},
     {{"beta", 0.5}, {"alpha", 2}},
     "?",
     {{"f32",
       {2, 3, 3},
       {-0.0625, 0.25, -0.3125, -0.625, 1.875, -1.1875, 0, 0, 0.5625, -2.6875, -0.25, 0.4375, 0.875,
        0.25, 0.1875, 0.375, -0.125, 0.8125}}}},
    {"baddbmm",
     {S, kBatch, kOther},
     {{"beta", 0}},
     "?",
     {{"f32",
       {2, 3, 3},
       {0.3125, 0.25, -0.25, -0.625, 1.125, -0.625, -0.25, 0.25, 0.3125, -1, 0, 0.125, 0.125,
        0.3125, 0.0625, -0.0625, 0.1875, 0.4375}}}},
    {"addbmm",
     {S, kBatch, kOther},
     {},
     "?",
     {{"f32", {3, 3}, {-2.0625, -0.25, 0.25, 0.75, 0.6875, -0.4375, 0.6875, -0.5625, 0.625}}}},
    {"addmv", {kThree, M, V}, {}, "?", {{"f32", {3}, {0.8125, 3.75, 3.3125}}}},
    {"inner", {M, V}, {}, "?", {{"f32", {3}, {0.3125, 2.25, 1.3125}}}},
    {"inner",
     {X, M},
     {},
     "?",
     {{"f32",
       {2, 3, 3},
       {3.84375, 0.09375, -1.140625, 0.09375, 2.578125, -0.6875, -1.140625, -0.6875, 2.28125,
        -1.296875, -1.078125, 1.65625, -0.015625, -1.828125, -1.125, 0.1875, 2.8125, -0.3125}}}},
    {"tensordot", {X, M, L({L({1, 2}), L({0, 1})})}, {}, "?", {{"f32", {2}, {8.703125, -3.4375}}}},
    {"kron", {V, M}, {}, "?", {{"f32", {3, 16}, {2.0625, 0.75, -0.5625, -1.875, -1.375, -0.5,
                                                 0.375,  1.25, 0,       0,      0,      0,
                                                 1.375,  0.5,  -0.375,  -1.25,  1.125,  -0.1875,
                                                 -1.5,   1.5,  -0.75,   0.125,  1,      -1,
                                                 0,      0,    0,       0,      0.75,   -0.125,
                                                 -1,     1,    0.1875,  -1.125, 1.875,  0.5625,
                                                 -0.125, 0.75, -1.25,   -0.375, 0,      0,
                                                 0,      0,    0.125,   -0.75,  1.25,   0.375}}}},
    {"kron",
     {S, M},
     {},
     "?",
     {{"f32",
       {9, 12},
       {1.890625,  0.6875,   -0.515625, -1.71875,  0.6875,    0.25,      -0.1875,  -0.625,
        -0.515625, -0.1875,  0.140625,  0.46875,   1.03125,   -0.171875, -1.375,   1.375,
        0.375,     -0.0625,  -0.5,      0.5,       -0.28125,  0.046875,  0.375,    -0.375,
        0.171875,  -1.03125, 1.71875,   0.515625,  0.0625,    -0.375,    0.625,    0.1875,
        -0.046875, 0.28125,  -0.46875,  -0.140625, -1.71875,  -0.625,    0.46875,  1.5625,
        1.03125,   0.375,    -0.28125,  -0.9375,   -0.171875, -0.0625,   0.046875, 0.15625,
        -0.9375,   0.15625,  1.25,      -1.25,     0.5625,    -0.09375,  -0.75,    0.75,
        -0.09375,  0.015625, 0.125,     -0.125,    -0.15625,  0.9375,    -1.5625,  -0.46875,
        0.09375,   -0.5625,  0.9375,    0.28125,   -0.015625, 0.09375,   -0.15625, -0.046875,
        -1.375,    -0.5,     0.375,     1.25,      1.375,     0.5,       -0.375,   -1.25,
        0.171875,  0.0625,   -0.046875, -0.15625,  -0.75,     0.125,     1,        -1,
        0.75,      -0.125,   -1,        1,         0.09375,   -0.015625, -0.125,   0.125,
        -0.125,    0.75,     -1.25,     -0.375,    0.125,     -0.75,     1.25,     0.375,
        0.015625,  -0.09375, 0.15625,   0.046875}}}},
    {"cdist",
     {M, P},
     {},
     "?",
     {{"f32",
       {3, 3},
       {1.8434851, 2.5594494, 2.7257452, 2.5387621, 1.8339251, 2.504683, 2.818743, 2.6257439,
        1.8895271}}}},
    {"cdist",
     {X, P},
     {{"p", 1.0}},
     "?",
     {{"f32",
       {2, 3, 3},
       {3.125, 4.9375, 4.625, 3.625, 3.3125, 4.875, 4.375, 3.6875, 3.5, 4, 2.5625, 1.5, 3.875,
        4.3125, 2.875, 5, 4.8125, 5.625}}}},
    {"cdist",
     {M, P},
     {{"p", kInf}},
     "?",
     {{"f32", {3, 3}, {1.4375, 1.75, 2.0625, 2.375, 1.25, 1.5625, 2.1875, 2.5, 1.375}}}},
    {"dist", {M, P}, {{"p", 3.0}}, "?", {{"f32", {}, {2.281811}}}},
    {"median", {M}, {}, "?", {{"f32", {}, {-0.375}}}},
    {"median",
     {M, 0, true},
     {},
     "?",
     {{"f32", {1, 4}, {-0.75, 0.125, 0.375, -0.375}}, {"i64", {1, 4}, {1, 1, 0, 2}}}},
    {"median",
     {X, 1},
     {},
     "?",
     {{"f32", {2, 4}, {-0.75, 0.125, 0.375, -0.375, 0.5, -0.25, 0, 0.25}},
      {"i64", {2, 4}, {1, 1, 0, 2, 0, 2, 1, 0}}}},
    {"searchsorted", {kSorted, M}, {}, "", {{"i64", {3, 4}, {0, 1, 2, 4, 1, 2, 3, 0, 2, 3, 0, 1}}}},
    {"searchsorted",
     {kSorted, M},
     {{"right", true}},
     "",
     {{"i64", {3, 4}, {0, 1, 2, 4, 1, 2, 4, 1, 2, 3, 0, 1}}}},
    {"searchsorted",
     {kSorted, M},
     {{"side", "right"}},
     "",
     {{"i64", {3, 4}, {0, 1, 2, 4, 1, 2, 4, 1, 2, 3, 0, 1}}}},
    {"searchsorted", {kSorted, 0.5}, {}, "", {{"i64", {}, {2}}}},
    {"bucketize",
     {M, kSorted},
     {{"out_int32", true}},
     "",
     {{"i32", {3, 4}, {0, 1, 2, 4, 1, 2, 3, 0, 2, 3, 0, 1}}}},
    {"bincount", {J}, {{"minlength", 5}}, "", {{"i64", {5}, {1, 1, 1, 0, 0}}}},
    {"bincount", {J, kThree}, {{"minlength", 4}}, "", {{"f32", {4}, {1.5, 2, 0.5, 0}}}},
    {"isin", {I, J}, {}, "", {{"bool", {2, 3}, {0, 0, 1, 1, 0, 0}}}},
    {"isin", {I, J}, {{"invert", true}}, "", {{"bool", {2, 3}, {1, 1, 0, 0, 1, 1}}}},
    {"isin", {I, 7}, {}, "", {{"bool", {2, 3}, {0, 0, 0, 0, 1, 0}}}},
    {"nonzero", {B}, {}, "", {{"i64", {6, 2}, {0, 0, 0, 2, 1, 1, 1, 2, 2, 0, 2, 1}}}},
    {"nonzero",
     {I},
     {{"as_tuple", true}},
     "",
     {{"i64", {5}, {0, 0, 0, 1, 1}}, {"i64", {5}, {0, 1, 2, 1, 2}}}},
    {"diag_embed",
     {M},
     {},
     "?",
     {{"f32", {3, 4, 4}, {-1.375, 0, 0, 0, 0, -0.5,  0, 0, 0, 0, 0.375, 0, 0, 0, 0, 1.25,
                          -0.75,  0, 0, 0, 0, 0.125, 0, 0, 0, 0, 1,     0, 0, 0, 0, -1,
                          -0.125, 0, 0, 0, 0, 0.75,  0, 0, 0, 0, -1.25, 0, 0, 0, 0, -0.375}}}},
    {"diag_embed", {V, -1, 0, 1}, {}, "?", {{"f32", {5, 5}, {0, 0, 0, 0, 0, -1.5, 0, 0, 0,
                                                             0, 0, 1, 0, 0, 0,    0, 0, 0,
                                                             0, 0, 0, 0, 0, -1,   0}}}},
    {"diag_embed",
     {X, 1, 0, 2},
     {},
     "?",
     {{"f32",
       {5, 2, 5, 3},
       {0,      0,      0,      -1.375, -0.75, -0.125, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
        0,      0.5,    1.125,  -1.125, 0,     0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
        0,      0,      -0.5,   0.125,  0.75,  0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
        1.375,  -0.875, -0.25,  0,      0,     0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
        0,      0.375,  1,      -1.25,  0,     0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    -0.625,
        0,      0.625,  0,      0,      0,     0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
        1.25,   -1,     -0.375, 0,      0,     0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0.25, 0.875,
        -1.375, 0,      0,      0,      0,     0,      0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
        0,      0,      0,      0,      0,     0,      0, 0, 0, 0, 0, 0, 0, 0}}}},
    {"index_fill",
     {M, 0, kTwo, 1.5},
     {},
     "?",
     {{"f32", {3, 4}, {1.5, 1.5, 1.5, 1.5, -0.75, 0.125, 1, -1, 1.5, 1.5, 1.5, 1.5}}}},
    {"index_fill", {I, -1, kTwo, 9}, {}, "", {{"i64", {2, 3}, {9, -3, 9, 9, 7, 9}}}},
    {"index_copy",
     {M, 0, J, P},
     {},
     "?",
     {{"f32",
       {3, 4},
       {0.375, 0.8125, 1.25, 0.25, 0.6875, 1.125, 0.125, 0.5625, 0.0625, 0.5, 0.9375, 1.375}}}},
    {"tensor_split",
     {M, 3, 1},
     {},
     "?",
     {{"f32", {3, 2}, {-1.375, -0.5, -0.75, 0.125, -0.125, 0.75}},
      {"f32", {3, 1}, {0.375, 1, -1.25}},
      {"f32", {3, 1}, {1.25, -1, -0.375}}}},
    {"tensor_split",
     {M, L({1, 2}), 1},
     {},
     "?",
     {{"f32", {3, 1}, {-1.375, -0.75, -0.125}},
      {"f32", {3, 1}, {-0.5, 0.125, 0.75}},
      {"f32", {3, 2}, {0.375, 1.25, 1, -1, -1.25, -0.375}}}},
    {"tensor_split",
     {V, L({1, 5, -1})},
     {},
     "?",
     {{"f32", {1}, {-1.5}}, {"f32", {3}, {1, 0, -1}}, {"f32", {0}, {}}, {"f32", {1}, {-1}}}},
    {"broadcast_tensors",
     {V, M},
     {},
     "?",
     {{"f32", {3, 4}, {-1.5, 1, 0, -1, -1.5, 1, 0, -1, -1.5, 1, 0, -1}},
      {"f32",
       {3, 4},
       {-1.375, -0.5, 0.375, 1.25, -0.75, 0.125, 1, -1, -0.125, 0.75, -1.25, -0.375}}}},
    {"column_stack",
     {L({S, M})},
     {},
     "?",
     {{"f32", {3, 7}, {-1.375, -0.5, 0.375, -1.375, -0.5, 0.375,  1.25,   1.25, -0.75, 0.125, -0.75,
                       0.125,  1,    -1,    1,      -1,   -0.125, -0.125, 0.75, -1.25, -0.375}}}},
    {"tril_indices",
     {3, 4, 1},
     {},
     "",
     {{"i64", {2, 9}, {0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 1, 2, 0, 1, 2, 3}}}},
    {"triu_indices", {3, 3, 1}, {}, "", {{"i64", {2, 3}, {0, 0, 1, 1, 2, 2}}}},
    {"channel_shuffle",
     {kImage, 2},
     {},
     "?",
     {{"f32", {1, 4, 1, 2}, {-1.375, -0.5, -0.75, 0.125, 0.375, 1.25, 1, -1}}}},
    {"logspace", {-2.0, 1.0, 4}, {}, "", {{"f32", {4}, {0.0099999998, 0.1, 1, 10}}}},
    {"logspace", {0.0, 3.0, 4}, {{"base", 2.0}}, "", {{"f32", {4}, {1, 2, 4, 8}}}},
    {"new_empty", {I, 0}, {}, "", {{"i64", {0}, {}}}},
    {"new_tensor", {M, L({1, 2})}, {}, "", {{"f32", {2}, {1, 2}}}},
};

bool known_on_meta(const Row& r) { return r.function != "nonzero" && r.function != "median"; }

}  // namespace

TEST_CASE("composed functions: values, shapes and types are PyTorch's") {
  for (const Row& r : kComposedRows) {
    CAPTURE(r.function);
    check_outputs(r, run(r.function, r.pos, r.kw));
    check_outputs(r, run(r.function, mapped(r.pos, scattered), r.kw));
    if (known_on_meta(r)) check_meta(r);
  }
}

TEST_CASE("composed functions: gradients agree with differences") {
  for (const Row& r : kComposedRows) {
    CAPTURE(r.function);
    if (r.function == "new_tensor") continue;
    check_gradients(r, false);
    check_gradients(r, true);
  }
}

TEST_CASE("composed functions: what is not a number has its place") {
  const Tensor x = floats({3, kNaN, 1, 2, 5, 4}, {2, 3});
  const Tensors of = run("median", {x, 1}, {});
  CHECK(std::isnan(of[0].to_vector<double>()[0]));
  CHECK(of[0].to_vector<double>()[1] == 4);
  CHECK(of[1].to_vector<double>()[0] == 1);
  const Tensor unread = full({3, 3}, kNaN);
  CHECK(all(isfinite(run("baddbmm", {unread, kBatch, kOther}, {{"beta", 0}})[0])).item().i == 1);
}

TEST_CASE("composed functions: draws are by weights") {
  manual_seed(3);
  const Tensor weights = floats({1, 0, 3}, {3});
  const std::vector<double> drawn =
      run("multinomial", {weights, 4000}, {{"replacement", true}})[0].to_vector<double>();
  double last = 0;
  for (double place : drawn) {
    CHECK(place != 1);
    last += place == 2;
  }
  CHECK(last / 4000 == doctest::Approx(0.75).epsilon(0.05));
  std::vector<double> both = run("multinomial", {weights, 2}, {})[0].to_vector<double>();
  std::sort(both.begin(), both.end());
  CHECK(both == std::vector<double>{0, 2});
  const Tensor rows = ones({5, 4});
  CHECK(run("multinomial", {rows, 3}, {})[0].shape() == Shape{5, 3});
  CHECK(run("multinomial", {rows, 7, true}, {})[0].shape() == Shape{5, 7});
  const Tensor logits = log(floats({0.2, 0.8}, {1, 2}));
  const Tensor many = expand(logits, {4000, 2});
  const Tensor hard = run("gumbel_softmax", {many}, {{"hard", true}})[0];
  CHECK(mean(hard, {0}).to_vector<double>()[1] == doctest::Approx(0.8).epsilon(0.05));
  CHECK(min(sum(hard, {1})).item().d == doctest::Approx(1));
  const Tensor leaf = clone(many).requires_grad_();
  sum(run("gumbel_softmax", {leaf}, {{"hard", true}, {"tau", 0.5}})[0] * many).backward();
  CHECK(max(abs(leaf.grad())).item().d > 0);
  const Tensor around = run("normal", {full({5000}, 2.0), 0.5}, {})[0];
  CHECK(mean(around).item().d == doctest::Approx(2).epsilon(0.02));
  CHECK(run("std", {around}, {})[0].item().d == doctest::Approx(0.5).epsilon(0.05));
  CHECK(run("normal", {0, 1, L({2, 3})}, {})[0].shape() == Shape{2, 3});
  const Tensor whole = run("randint_like", {zeros({100}), 2, 4}, {})[0];
  CHECK(whole.dtype() == DType::f32);
  CHECK(min(whole).item().d == 2);
  CHECK(max(whole).item().d == 3);
}

TEST_CASE("composed functions: those with `_` write into their argument") {
  for (const std::string_view name : function_names()) {
    if (!name.ends_with('_') || !find_function(name.substr(0, name.size() - 1))) continue;
    CAPTURE(std::string(name));
    const Function* f = find_function(name);
    // Their arguments are those of the function that they write the value of.
    const auto& own = f->signature().params();
    const auto& whole = find_function(name.substr(0, name.size() - 1))->signature().params();
    if (name == "normal_" || name == "uniform_") continue;
    for (size_t i = 0; i < own.size(); ++i) CHECK(own[i].name == whole[i].name);
  }
  const Tensor x = clone(M);
  const Tensor y = run("masked_fill_", {x, B, -9}, {})[0];
  CHECK(y.impl() == x.impl());
  CHECK(x.to_vector<double>() == masked_fill(M, B, Scalar(-9)).to_vector<double>());
  run("clamp_", {x, 0}, {{"max", 0.5}});
  CHECK(min(x).item().d == 0);
  CHECK(max(x).item().d == 0.5);
  const Tensor leaf = clone(M).requires_grad_();
  const Tensor z = leaf * Scalar(2.0);
  run("exp_", {z}, {});
  run("masked_fill_", {z, B, 0}, {});
  sum(z).backward();
  const Tensor wanted = masked_fill(exp(M * Scalar(2.0)) * Scalar(2.0), B, Scalar(0));
  CHECK(allclose(leaf.grad(), wanted, 1e-6));
  CHECK_THROWS_AS(run("exp_", {leaf}, {}), Error);
}

TEST_CASE("composed functions: sizes that a config can ask for are checked before work") {
  const auto triangle = [](int64_t row, int64_t col, int64_t offset) {
    return run("tril_indices", {row, col, offset}, {})[0].shape();
  };
  CHECK(triangle(3, 4, std::numeric_limits<int64_t>::max()) == Shape{2, 12});
  CHECK(triangle(3, 4, std::numeric_limits<int64_t>::min()) == Shape{2, 0});
  CHECK_THROWS_AS(triangle(1'000'001, 1, 0), Error);
  DefaultDeviceGuard on_meta({DeviceType::meta, 0});
  CHECK(triangle(300'000, 300'000, 0)[1] == 45'000'150'000);
  const Tensor long_one = empty({50'000'000}, {DType::f32, {DeviceType::meta, 0}});
  CHECK(run("cumprod", {long_one, 0}, {})[0].shape() == long_one.shape());
}

TEST_SUITE_END();
