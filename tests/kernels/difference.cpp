// Differences against sums written plainly, for every dtype, and where bits and values disagree.
#include "kernels/difference.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/half.h"
#include "kernels/parallel.h"

using namespace nnm;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

template <class T>
View view_of(const std::vector<T>& x, DType dtype) {
  View v;
  v.data = const_cast<T*>(x.data());
  v.dtype = dtype;
  v.ndim = 1;
  v.size[0] = static_cast<int64_t>(x.size());
  v.stride[0] = 1;
  return v;
}

TensorDifference of(const View& a, const View& b, const Tolerance& t = {}) {
  TensorDifference d;
  kernels::difference(a, b, t, &d);
  return d;
}

TensorDifference floats(const std::vector<float>& a, const std::vector<float>& b,
                        const Tolerance& t = {}) {
  return of(view_of(a, DType::f32), view_of(b, DType::f32), t);
}

float with_bits(uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace

TEST_CASE("difference: sums, the largest distance and its place") {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  std::vector<float> a(100'003), b;
  for (float& v : a) v = normal(rng);
  b = a;
  for (size_t i = 40'000; i < 90'000; i += 3) b[i] += normal(rng) / 64;
  b[77'776] = a[77'776] + 5.0f;
  double squares_a = 0, squares_b = 0, dot = 0, squares = 0, most = 0;
  int64_t changed = 0, worst = -1;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    squares_a += x * x;
    squares_b += y * y;
    dot += x * y;
    squares += (x - y) * (x - y);
    changed += a[i] != b[i];
    if (std::abs(x - y) <= most) continue;
    most = std::abs(x - y);
    worst = static_cast<int64_t>(i);
  }
  const TensorDifference d = floats(a, b);
  CHECK(d.numel == 100'003);
  CHECK(d.changed == changed);
  CHECK(d.beyond == changed);
  CHECK(d.nan == 0);
  CHECK(d.max_abs == most);
  CHECK(d.worst == worst);
  CHECK(worst == 77'776);
  CHECK(d.squares_a == doctest::Approx(squares_a).epsilon(1e-13));
  CHECK(d.squares_b == doctest::Approx(squares_b).epsilon(1e-13));
  CHECK(d.dot == doctest::Approx(dot).epsilon(1e-13));
  CHECK(d.squares == doctest::Approx(squares).epsilon(1e-13));
  const int threads = num_threads();
  set_num_threads(threads == 1 ? 2 : 1);
  CHECK(floats(a, b).squares == d.squares);
  set_num_threads(threads);
}

TEST_CASE("difference: equal bits are no difference, whatever they mean") {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  std::vector<float> a{1, nan, inf, -inf, 0, -0.0f, 2};
  const TensorDifference same = floats(a, a);
  CHECK(same.changed == 0);
  CHECK(same.worst == -1);
  CHECK(same.max_abs == 0);
  CHECK(same.squares_a == 5);
  std::vector<float> b = a;
  b[6] = 4;
  const TensorDifference d = floats(a, b);
  CHECK(d.changed == 1);
  CHECK(d.nan == 0);
  CHECK(d.max_abs == 2);
  CHECK(d.worst == 6);
  CHECK(d.squares_a == 5);
  CHECK(d.squares_b == 17);
  CHECK(d.max_ulp == 1u << 23);
}

TEST_CASE("difference: other bits are one, even of the same value") {
  const TensorDifference zeros = floats({1, 0, 0}, {1, 0, -0.0f});
  CHECK(zeros.changed == 1);
  CHECK(zeros.max_abs == 0);
  CHECK(zeros.max_ulp == 0);
  CHECK(zeros.worst == 2);
  const TensorDifference nans = floats({with_bits(0x7fc00000)}, {with_bits(0x7fc00001)});
  CHECK(nans.changed == 1);
  CHECK(nans.nan == 1);
  CHECK(std::isnan(nans.max_abs));
  CHECK(nans.max_ulp == 0);
  const Tolerance wide{.rtol = 1, .atol = 100, .ulp = 5, .exact = false};
  CHECK(floats({1, 0}, {1, -0.0f}, wide).beyond == 0);
  CHECK(floats({std::nanf("")}, {1}, wide).beyond == 1);
  CHECK(floats({std::numeric_limits<float>::infinity()}, {1}, wide).beyond == 1);
}

TEST_CASE("difference: a NaN is worse than any number, an infinity than any finite one") {
  std::vector<float> a(3000, 1), b(3000, 1);
  b[5] = 1e30f;
  CHECK(floats(a, b).worst == 5);
  b[1500] = std::numeric_limits<float>::infinity();
  CHECK(floats(a, b).worst == 1500);
  CHECK(floats(a, b).max_abs == kInf);
  b[2999] = std::nanf("");
  CHECK(floats(a, b).worst == 2999);
  CHECK(std::isnan(floats(a, b).max_abs));
  CHECK(floats(b, a).worst == 2999);
}

TEST_CASE("difference: tolerances treat both sides alike") {
  const auto beyond = [](float x, float y, const Tolerance& t) {
    CHECK(floats({x}, {y}, t).beyond == floats({y}, {x}, t).beyond);
    return floats({x}, {y}, t).beyond != 0;
  };
  const Tolerance relative{.rtol = 0.1, .exact = false}, absolute{.atol = 0.5, .exact = false};
  CHECK_FALSE(beyond(1.0f, 1.11f, relative));  // 0.11 <= 0.1 * 1.11
  CHECK(beyond(1.0f, 1.12f, relative));
  CHECK_FALSE(beyond(100, 100.5f, absolute));
  CHECK(beyond(100, 100.625f, absolute));
  CHECK_FALSE(beyond(-1e-30f, 1e-30f, absolute));
  const Tolerance units{.ulp = 2, .exact = false};
  CHECK_FALSE(beyond(1, with_bits(0x3f800002), units));
  CHECK(beyond(1, with_bits(0x3f800003), units));
  CHECK_FALSE(beyond(with_bits(1), with_bits(0x80000001), units));  // across zero
  CHECK(floats({with_bits(0x80000001)}, {with_bits(3)}).max_ulp == 4);
}

TEST_CASE("difference: every dtype, and two of them") {
  const std::vector<double> x{1, -2, 3};
  std::vector<double> y = x;
  y[1] = std::nextafter(-2, -3);
  CHECK(of(view_of(x, DType::f64), view_of(y, DType::f64)).max_ulp == 1);
  const std::vector<BFloat16> p{BFloat16(1.0f), BFloat16(-2.0f)}, q{BFloat16(1.0078125f), p[1]};
  const TensorDifference bf = of(view_of(p, DType::bf16), view_of(q, DType::bf16));
  CHECK(bf.max_ulp == 1);
  CHECK(bf.max_abs == 0.0078125);
  const std::vector<Half> h{Half(1.0f)}, k{Half(-1.0f)};
  CHECK(of(view_of(h, DType::f16), view_of(k, DType::f16)).max_ulp == 2 * 0x3c00);
  const int64_t big = int64_t{1} << 60;
  const std::vector<int64_t> i{big, 5}, j{big + 1, 5};
  const TensorDifference whole = of(view_of(i, DType::i64), view_of(j, DType::i64));
  CHECK(whole.changed == 1);
  CHECK(whole.max_abs == 1);
  CHECK(whole.max_ulp == 1);
  const std::vector<int64_t> low{INT64_MIN}, high{INT64_MAX};
  CHECK(of(view_of(low, DType::i64), view_of(high, DType::i64)).max_ulp == UINT64_MAX);
  const std::vector<int32_t> s{-7}, t{8};
  CHECK(of(view_of(s, DType::i32), view_of(t, DType::i32)).max_abs == 15);
  const std::vector<int16_t> short_low{-32768}, short_high{32767};
  CHECK(of(view_of(short_low, DType::i16), view_of(short_high, DType::i16)).max_abs == 65535);
  const std::vector<int8_t> char_low{-128, 1}, char_high{127, 1};
  CHECK(of(view_of(char_low, DType::i8), view_of(char_high, DType::i8)).max_ulp == 255);
  const std::vector<uint8_t> yes{1, 0, 1}, no{1, 1, 1};
  CHECK(of(view_of(yes, DType::b8), view_of(no, DType::b8)).changed == 1);
  CHECK(of(view_of(yes, DType::u8), view_of(no, DType::u8)).worst == 1);
  // The same values in two types are equal; others count in steps of the coarser one.
  const std::vector<float> f{1.0f, -2.0f}, g{1.0039f, -2.0f};
  CHECK(of(view_of(f, DType::f32), view_of(p, DType::bf16)).changed == 0);
  const TensorDifference mixed = of(view_of(g, DType::f32), view_of(p, DType::bf16));
  CHECK(mixed.changed == 1);
  CHECK(mixed.max_ulp == 0);
  CHECK(
      of(view_of(p, DType::bf16), view_of(g, DType::f32), {.rtol = 1e-3, .exact = false}).beyond ==
      1);
  CHECK(of(view_of(q, DType::bf16), view_of(f, DType::f32)).max_ulp == 1);
  const std::vector<int32_t> n{1, 4};
  CHECK(of(view_of(f, DType::f32), view_of(n, DType::i32)).max_ulp == TensorDifference::kNoUlp);
  CHECK(of(view_of(f, DType::f32), view_of(n, DType::i32)).max_abs == 6);
}

TEST_CASE("difference: nothing against nothing") {
  const std::vector<float> none;
  const TensorDifference d = floats(none, none);
  CHECK(d.numel == 0);
  CHECK(d.changed == 0);
  CHECK(d.worst == -1);
}
