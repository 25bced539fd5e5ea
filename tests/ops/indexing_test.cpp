// x[...] against PyTorch.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "nnm/ops/ops.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;

namespace {

const Value kNone, kAll = Value::slice(nullptr, nullptr, nullptr), kDots = Value::ellipsis();

Tensor cube() { return reshape(arange(0, 24, 1, DType::f64), {2, 3, 4}); }

Value places(const std::vector<int64_t>& v, const Shape& shape) {
  return tensor_of<int64_t>(v, shape, {DType::i64, {}});
}
Value mask(const std::vector<int64_t>& v) {
  return tensor_of<int64_t>(v, {static_cast<int64_t>(v.size())}, {DType::b8, {}});
}
Value tuple(Values v) { return Value::tuple(std::move(v)); }

struct IndexCase {
  Value index;
  Shape shape;
  std::vector<double> values;
};

const std::vector<IndexCase>& cases() {
  const Value i = places({1, 0}, {2}), column = places({1, 0}, {2, 1});
  static const std::vector<IndexCase> table = {
      {0, {3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
      {tuple({-1, 1}), {4}, {16, 17, 18, 19}},
      {tuple({kDots, 0}), {2, 3}, {0, 4, 8, 12, 16, 20}},
      {tuple({kAll, Value::slice(-2, nullptr, nullptr), -1}), {2, 2}, {7, 11, 19, 23}},
      {tuple({kAll, kAll, Value::slice(nullptr, nullptr, 2)}),
       {2, 3, 2},
       {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}},
      {tuple({0, i}), {2, 4}, {4, 5, 6, 7, 0, 1, 2, 3}},
      {tuple({i, i}), {2, 4}, {16, 17, 18, 19, 0, 1, 2, 3}},
      {tuple({i, kAll, i}), {2, 3}, {13, 17, 21, 0, 4, 8}},
      {tuple({kAll, i, i}), {2, 2}, {5, 0, 17, 12}},
      {tuple({0, kAll, i}), {3, 2}, {1, 0, 5, 4, 9, 8}},
      {tuple({column, i}), {2, 2, 4}, {16, 17, 18, 19, 12, 13, 14, 15, 4, 5, 6, 7, 0, 1, 2, 3}},
      {tuple({kAll, mask({1, 0, 1}), 0}), {2, 2}, {0, 8, 12, 20}},
      {tuple({kAll, Value::list({true, false, true}), Value::list({0, 1})}),
       {2, 2},
       {0, 9, 12, 21}},
      {places({1}, {}), {3, 4}, {12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
      {tuple({Value::list({-1}), 0, 0}), {1}, {12}},
      {Value(gt(cube(), Scalar(20.0))), {3}, {21, 22, 23}},
  };
  return table;
}

}  // namespace

TEST_SUITE_BEGIN("ops");

TEST_CASE("indexing takes what PyTorch takes, of row-major and of scattered memory") {
  const Tensor x = cube(), turned = permute(contiguous(permute(x, {2, 1, 0})), {2, 1, 0});
  for (size_t k = 0; k < cases().size(); ++k) {
    CAPTURE(k);
    const IndexCase& c = cases()[k];
    for (const Tensor& from : {x, turned}) {
      const Tensor y = index(from, c.index);
      CHECK(y.shape() == c.shape);
      CHECK(y.to_vector<double>() == c.values);
    }
  }
  // A 0-d integer is a number: what it picks does not stand apart from its neighbours, and shares
  // x's memory.
  const Value last = places({-1}, {});
  CHECK(index(x, tuple({last, kAll, places({1, 0, 1}, {3})})).shape() == Shape{3, 3});
  CHECK(index(x, tuple({kAll, last, kNone, places({{1}}, {1, 1})})).shape() == Shape{2, 1, 1, 1});
  CHECK(index(x, last).impl()->storage == x.impl()->storage);
  // Truth values make a dimension of one place or of none.
  CHECK(index(x, true).shape() == Shape{1, 2, 3, 4});
  CHECK(index(x, tuple({0, kAll, false})).shape() == Shape{3, 0, 4});
  CHECK(index(x, tuple({kNone, true, 1})).shape() == Shape{1, 1, 3, 4});
  const Value yes = tensor_of<int64_t>(std::vector<int64_t>{1}, {}, {DType::b8, {}});
  CHECK(index(full({}, Scalar(2.0)), yes).to_vector<double>() == std::vector<double>{2});
  CHECK(index(full({}, Scalar(2.0)), false).shape() == Shape{0});
  CHECK(index(x, kNone).shape() == Shape{1, 2, 3, 4});
  CHECK(index(x, tuple({kAll, kNone, kDots})).shape() == Shape{2, 1, 3, 4});
  CHECK(index(x, tuple({kNone, places({1, 0}, {2})})).shape() == Shape{1, 2, 3, 4});
  CHECK(index(x, tuple({places({1, 0}, {2}), kNone})).shape() == Shape{2, 1, 3, 4});
}

TEST_CASE("gradients of indexing") {
  for (size_t k = 0; k < cases().size(); ++k) {
    CAPTURE(k);
    const Value& at = cases()[k].index;
    const auto f = [&](const Tensors& x) { return index(x[0], at); };
    CHECK(gradcheck(f, {random_leaf({2, 3, 4})}) == "");
    CHECK(gradcheck(f, {random_transposed_leaf({2, 3, 4})}) == "");
  }
  // A place taken twice gets both gradients.
  const auto twice = [](const Tensors& x) { return index(x[0], places({1, 1, 0, 1}, {4})); };
  CHECK(gradcheck(twice, {random_leaf({2, 3})}) == "");
}

TEST_CASE("indexing refuses in PyTorch's words") {
  const Tensor x = cube();
  CHECK(message_of([&] { index(x, 3); }) == "index 3 is out of bounds for dimension 0 with size 2");
  CHECK(message_of([&] {
          index(x, tuple({0, 0, 0, 0}));
        }) == "too many indices for tensor of dimension 3");
  CHECK(message_of([&] {
          index(x, places({6, 5}, {2}));
        }) == "index 6 is out of bounds for dimension 0 with size 2");
  CHECK(message_of([&] { index(x, Value(gt(narrow(x, 1, 0, 2), Scalar(0.0)))); }) ==
        "The shape of the mask [2, 2, 4] at index 1 does not match the shape of the indexed tensor "
        "[2, 3, 4] at index 1");
  CHECK(message_of([&] { index(x, Value::slice(nullptr, nullptr, -1)); }) ==
        "step must be greater than zero");
  CHECK(message_of([&] { index(x, "a"); }).find("indices must be integers") == 0);
}

TEST_CASE("indexing on the meta device") {
  const Tensor x = empty({2, 3, 4}, {DType::f32, {DeviceType::meta, 0}});
  CHECK(index(x, tuple({0, Value::slice(1, nullptr, nullptr)})).shape() == Shape{2, 4});
  const Tensor i = empty({5}, {DType::i64, {DeviceType::meta, 0}});
  CHECK(index(x, tuple({kAll, Value(i)})).shape() == Shape{2, 5, 4});
  CHECK(index(x, tuple({kAll, Value::list({0, 2})})).shape() == Shape{2, 2, 4});
  const Tensor one = empty({}, {DType::i64, {DeviceType::meta, 0}});
  CHECK(index(x, tuple({Value(one), kAll, Value(i)})).shape() == Shape{3, 5});
}

TEST_SUITE_END();
