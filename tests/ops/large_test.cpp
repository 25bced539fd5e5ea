// Sizes beyond one block of the kernels, against plain loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "nnm/ops/ops.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::values;

namespace {

Tensor random_tensor(const Shape& shape, DType type = DType::f32, uint64_t seed = 3) {
  Generator g(seed);
  return to(randn(shape, {DType::f32, {}}, &g), type);
}

}  // namespace

TEST_SUITE_BEGIN("ops");

TEST_CASE("copies into another order of memory") {
  for (DType type : {DType::f32, DType::f64, DType::bf16, DType::u8, DType::b8}) {
    const Tensor x = to(mul(random_tensor({37, 5, 70}), Scalar(50)), type);
    for (const Dims& order : {Dims{2, 1, 0}, Dims{0, 2, 1}, Dims{1, 0, 2}, Dims{2, 0, 1}}) {
      const Tensor turned = permute(x, order);
      const Tensor y = contiguous(turned);
      CHECK(y.is_contiguous());
      // to_vector walks by strides, element by element.
      CHECK(values(y) == values(turned));
    }
  }
  const Tensor image = random_tensor({2, 19, 33, 17});
  CHECK(values(channels_last(image)) == values(image));
  CHECK(values(contiguous(channels_last(image))) == values(image));
  CHECK(values(contiguous(narrow(transpose(image, 1, 3), 1, 3, 11))) ==
        values(narrow(transpose(image, 1, 3), 1, 3, 11)));
}

TEST_CASE("selection with repeated operands") {
  const Tensor a = random_tensor({3, 1100}), row = random_tensor({1100}, DType::f32, 4);
  const std::vector<double> v = values(a), r = values(row);
  const std::vector<double> filled = values(masked_fill(a, gt(a, Scalar(0)), -2.0));
  const std::vector<double> chosen = values(where(gt(row, Scalar(0)), a, scalar_tensor(9.0)));
  for (size_t i = 0; i < v.size(); ++i) {
    CHECK(filled[i] == (v[i] > 0 ? -2 : v[i]));
    CHECK(chosen[i] == (r[i % 1100] > 0 ? v[i] : 9));
  }
}

TEST_CASE("a spread gradient goes through long runs") {
  const Tensor x = random_tensor({5000}, DType::f64).requires_grad_();
  sum(relu(x)).backward();
  const std::vector<double> v = values(x), g = values(x.grad());
  for (size_t i = 0; i < v.size(); ++i) CHECK(g[i] == (v[i] > 0 ? 1 : 0));
}

TEST_CASE("extrema of long runs: ties, NaN, both ends") {
  for (DType type : {DType::f32, DType::f64}) {
    const Tensor x = random_tensor({7, 133}, type);
    fill_(select(select(x, 0, 1), 0, 40), 9.0);
    fill_(select(select(x, 0, 1), 0, 90), 9.0);
    fill_(select(select(x, 0, 2), 0, 132), 9.0);
    fill_(select(select(x, 0, 3), 0, 50), std::numeric_limits<double>::quiet_NaN());
    fill_(select(select(x, 0, 3), 0, 10), 9.0);
    const auto [most, where_most] = max(x, 1);
    const auto [least, where_least] = min(x, 1);
    const std::vector<double> v = values(x), i = values(where_most), k = values(where_least);
    CHECK(i[1] == 40);
    CHECK(i[2] == 132);
    CHECK(i[3] == 50);
    CHECK(k[3] == 50);
    CHECK(std::isnan(values(most)[3]));
    for (size_t row = 0; row < 7; ++row) {
      if (row == 3) continue;
      const auto begin = v.begin() + static_cast<long>(row) * 133;
      CHECK(i[row] == std::max_element(begin, begin + 133) - begin);
      CHECK(k[row] == std::min_element(begin, begin + 133) - begin);
    }
    // The same along a dimension that is not dense.
    CHECK(values(max(contiguous(transpose(x, 0, 1)), 0).second) == i);
    CHECK(equal(nan_to_num(least), nan_to_num(amin(x, {1}))));
  }
}

TEST_CASE("floats and halves are sorted as doubles are, special numbers too") {
  std::vector<double> numbers;
  for (int i = 0; i < 200; ++i) numbers.push_back(std::floor(40 * std::sin(1.7 * i)) / 8);
  for (const double special :
       std::initializer_list<double>{INFINITY, -INFINITY, NAN, 0.0, -0.0, 1e-45, -1e-45, 65504.0})
    numbers.insert(numbers.begin() + static_cast<int64_t>(numbers.size()) / 3, 2, special);
  const auto n = static_cast<int64_t>(numbers.size());
  const Tensor all = tensor_of<double>(numbers, {n}, {DType::f64, {}});
  for (const DType t : {DType::f32, DType::bf16, DType::f16}) {
    const Tensor x = to(all, t), wide = to(x, DType::f64);
    for (const bool descending : {false, true}) {
      CAPTURE(info(t).name);
      CAPTURE(descending);
      const auto got = sort(x, 0, descending), expected = sort(wide, 0, descending);
      CHECK(equal(got.second, expected.second));
      for (const int64_t k : {int64_t{3}, n / 2, n}) {
        const auto top = topk(x, k, 0, descending), head = topk(wide, k, 0, descending);
        CHECK(equal(top.second, head.second));
      }
    }
  }
}

TEST_CASE("topk is the head of a sort") {
  const Tensor x = to(mul(random_tensor({9, 200}), Scalar(4)), DType::i64);  // many ties
  for (const Tensor& t : {x, random_tensor({9, 200}), random_tensor({200, 9})}) {
    for (int64_t dim : {0, 1}) {
      for (bool largest : {true, false}) {
        const auto [v, i] = topk(t, 6, dim, largest);
        const auto [sv, si] = sort(t, dim, largest);
        CHECK(equal(v, narrow(sv, dim, 0, 6)));
        CHECK(equal(i, narrow(si, dim, 0, 6)));
      }
    }
  }
}

TEST_CASE("gather and scatter_add of many") {
  Generator g(5);
  const Tensor x = random_tensor({40, 30, 20});
  for (int64_t dim : {0, 1, 2}) {
    const Tensor at = randint(0, x.size(dim), {20, 30, 10}, &g);
    const Tensor y = gather(x, dim, at);
    const std::vector<double> v = values(x), got = values(y);
    const std::vector<int64_t> k = at.to_vector<int64_t>();
    Tensor sums = zeros_like(x);
    sums = scatter_add(sums, dim, at, y);
    std::vector<double> expected(v.size());
    for (int64_t i = 0; i < at.numel(); ++i) {
      int64_t c[3] = {i / 300, i / 10 % 30, i % 10};
      c[dim] = k[static_cast<size_t>(i)];
      const auto from = static_cast<size_t>((c[0] * 30 + c[1]) * 20 + c[2]);
      CHECK(got[static_cast<size_t>(i)] == v[from]);
      expected[from] += v[from];
    }
    const std::vector<double> have = values(sums);
    for (size_t i = 0; i < have.size(); ++i) CHECK(std::abs(have[i] - expected[i]) < 1e-5);
  }
}

TEST_CASE("triangles of any memory") {
  const Tensor x = random_tensor({3, 33, 65});
  for (int64_t d : {-40, -3, 0, 2, 70}) {
    const Tensor low = tril(x, d), up = triu(x, d + 1);
    CHECK(equal(add(low, up), x));
    CHECK(equal(tril(transpose(x, 1, 2), d), transpose(triu(x, -d), 1, 2)));
    CHECK(low.to_vector<float>()[65 * 5 + 8] == (3 <= d ? x.to_vector<float>()[65 * 5 + 8] : 0));
  }
}

TEST_CASE("expm1 and log1p keep their last digits near 0") {
  std::vector<float> points;
  for (float e = -30; e < 4; e += 0.01f) {
    points.push_back(std::exp(e));
    points.push_back(-std::exp(e));
  }
  const Tensor x = tensor_of<float>(points, {static_cast<int64_t>(points.size())}, {});
  const std::vector<double> e = values(expm1(x)), l = values(log1p(x));
  for (size_t i = 0; i < points.size(); ++i) {
    const double p = points[i];
    CHECK(std::abs(e[i] - std::expm1(p)) <= 4e-7 * std::abs(std::expm1(p)));
    if (p > -1) CHECK(std::abs(l[i] - std::log1p(p)) <= 4e-7 * std::abs(std::log1p(p)));
    if (p < -1) CHECK(std::isnan(l[i]));
  }
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(log1p(scalar_tensor(inf)).item().d == inf);
  CHECK(log1p(scalar_tensor(-1.0)).item().d == -inf);
  CHECK(expm1(scalar_tensor(-inf)).item().d == -1);
  CHECK(std::isnan(log1p(scalar_tensor(std::nan(""))).item().d));
}

TEST_CASE("running sums both ways") {
  const Tensor x = random_tensor({11, 300}).requires_grad_();
  const Tensor y = cumsum(x, 1);
  const std::vector<double> v = values(x), c = values(y);
  double sum_so_far = 0;
  for (size_t i = 0; i < 300; ++i) CHECK(std::abs(c[i] - (sum_so_far += v[i])) < 1e-4);
  CHECK(values(cumsum(transpose(x, 0, 1), 0)) == values(transpose(y, 0, 1)));
  sum(y).backward();
  CHECK(x.grad().to_vector<double>()[0] == 300);
  CHECK(x.grad().to_vector<double>()[299] == 1);
}

TEST_SUITE_END();
