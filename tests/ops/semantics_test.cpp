// What holds across functions: promotion, formats, aliasing, in-place writes, empty tensors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nnm/autograd/record.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::message_of;
using nnm::testing::values;

namespace {

Tensor numbers(const Shape& shape, DType type = DType::f32) {
  return reshape(arange(0, shape.numel(), 1, type), shape);
}

/// A tensor laid out N, H, W, C.
Tensor nhwc() { return channels_last(numbers({2, 3, 2, 2})); }

}  // namespace

TEST_SUITE_BEGIN("ops");

TEST_CASE("types promote as torch.result_type says") {
  // Rows and columns in the order of DType; 1-d with 1-d, 0-d with 1-d, 1-d with 0-d, 0-d with 0-d.
  const char* const kTables[4] = {
      "0100000000 1111111111 0120222222 0103333333 0123444444 "
      "0123455555 0123456666 0123456767 0123456688 0123456789",
      "0123000000 0123111111 0123222222 0123333333 0123456784 "
      "0123456785 0123456786 0123456787 0123456788 0123456789",
      "0000000000 1111111111 2222222222 3333333333 0123444444 "
      "0123555555 0123666666 0123777777 0123888888 0123456789",
      "0100000000 1111111111 0120222222 0103333333 0123444444 "
      "0123455555 0123456666 0123456767 0123456688 0123456789"};
  const auto of = [](int type, int dims) {
    return ones(Shape::filled(dims, 1), {static_cast<DType>(type), {}});
  };
  for (int table = 0; table < 4; ++table) {
    const int left = table == 0 || table == 2, right = table < 2;
    for (int a = 0; a < kDTypes; ++a) {
      for (int b = 0; b < kDTypes; ++b) {
        CAPTURE(table);
        CAPTURE(a);
        CAPTURE(b);
        const int expected = kTables[table][a * 11 + b] - '0';
        CHECK(static_cast<int>(mul(of(a, left), of(b, right)).dtype()) == expected);
      }
    }
  }
  // With a bool, an int and a float.
  const char* const kScalars = "000 111 222 333 440 550 660 770 880 940";
  for (int a = 0; a < kDTypes; ++a) {
    for (int dims = 0; dims < 2; ++dims) {
      CHECK(static_cast<int>(mul(of(a, dims), Scalar(true)).dtype()) == kScalars[a * 4] - '0');
      CHECK(static_cast<int>(mul(of(a, dims), Scalar(1)).dtype()) == kScalars[a * 4 + 1] - '0');
      CHECK(static_cast<int>(mul(of(a, dims), Scalar(1.0)).dtype()) == kScalars[a * 4 + 2] - '0');
    }
  }
}

TEST_CASE("narrow integers convert, wrap and sum as PyTorch's do") {
  const Tensor x =
      to(tensor_of<float>(std::vector<float>{300, -200.5f, 128}, {3}, {DType::f32}), DType::i8);
  CHECK(x.to_vector<int64_t>() == std::vector<int64_t>{44, 56, -128});
  CHECK(mul(x, Scalar(3)).to_vector<int64_t>() == std::vector<int64_t>{-124, -88, -128});
  CHECK(sum(x).dtype() == DType::i64);
  CHECK(sum(x).item().i == -28);
  CHECK(add(x, to(x, DType::u8)).dtype() == DType::i16);
  CHECK(add(x, to(x, DType::u8)).to_vector<int64_t>() == std::vector<int64_t>{88, 112, 0});
  CHECK(to(x, DType::f32).to_vector<double>() == std::vector<double>{44, 56, -128});
  CHECK(select(x, 0, 2).item().i == -128);
}

TEST_CASE("a comparison sees a number in the tensor's type") {
  CHECK(eq(full({}, 0.1, {DType::bf16, {}}), Scalar(0.1)).item().i == 1);
  CHECK(eq(full({}, 0.1, {DType::f16, {}}), Scalar(0.1)).item().i == 1);
  CHECK(eq(full({}, 1, {DType::i64, {}}), Scalar(1.5)).item().i == 0);
}

TEST_CASE("pointwise functions keep the memory format") {
  const Tensor x = nhwc(), row = numbers({2, 3, 2, 2});
  const Tensor results[] = {relu(x),
                            add(x, Scalar(1)),
                            add(x, ones({3, 1, 1})),
                            add(ones({1, 3, 1, 1}), x),
                            mul(x, row),
                            clone(x),
                            to(x, DType::f64),
                            clamp(x, Scalar(0), Scalar(1)),
                            gelu(x),
                            where(gt(x, Scalar(0)), x, zeros({})),
                            zeros_like(x),
                            maximum(x, row),
                            flip(x, {0}),
                            lerp(x, x, 0.3)};
  for (const Tensor& y : results) CHECK(y.is_channels_last());
  CHECK(mul(row, x).is_contiguous());
  CHECK(cat({x, x}, 1).strides() == Shape{24, 1, 12, 6});
  CHECK(relu(narrow(x, 2, 0, 1)).strides() == Shape{6, 1, 6, 3});
  CHECK(relu(transpose(x, 0, 1)).strides() == Shape{1, 12, 6, 3});
  CHECK(pad(x, {1, 1}).strides() == Shape{24, 1, 12, 3});
  CHECK(sum(x, {1}, true).strides() == Shape{4, 4, 2, 1});
}

TEST_CASE("gradients of broadcast operands are summed to their shapes") {
  const auto f = [](const Tensors& x) { return div(mul(x[0], x[1]), x[2]); };
  CHECK(gradcheck(f, {random_leaf({2, 3, 4}), random_leaf({3, 1}), random_leaf({}, 1, 2)}) == "");
  CHECK(gradcheck(f, {random_leaf({1, 4}), random_transposed_leaf({2, 3, 4}),
                      random_leaf({4}, 1, 2)}) == "");
  const auto g = [](const Tensors& x) {
    return where(gt(x[0], Scalar(0)), atan2(x[0], x[1]), maximum(x[0], x[1]));
  };
  CHECK(gradcheck(g, {random_leaf({3, 1}), random_leaf({1, 4}, 1, 2, 2)}) == "");
  const auto h = [](const Tensors& x) { return pow(add(x[0], x[1], 2), x[1]); };
  CHECK(gradcheck(h, {random_leaf({2, 1}, 1, 2), random_leaf({3}, 1, 2, 2)}) == "");
  const auto m = [](const Tensors& x) { return masked_fill(x[0], gt(x[0], Scalar(0)), 3.0); };
  CHECK(gradcheck(m, {random_leaf({3, 4})}) == "");
}

TEST_CASE("gradients of mixed types come in each operand's own") {
  const Tensor a = ones({2}).requires_grad_(), b = full({2}, 3, {DType::f64, {}}).requires_grad_();
  sum(mul(a, b)).backward();
  CHECK(a.grad().dtype() == DType::f32);
  CHECK(b.grad().dtype() == DType::f64);
  CHECK(values(a.grad()) == std::vector<double>{3, 3});
}

TEST_CASE("gradients pass a NaN as PyTorch's do") {
  using Numbers = std::vector<double>;
  const double nan = std::nan("");
  const auto gradient = [](const Numbers& at, const auto& f) {
    const Tensor x = tensor_of<double>(at, {3}, {DType::f64, {}}).requires_grad_();
    sum(f(x)).backward();
    return values(x.grad());
  };
  const Numbers one = {nan, 1, -1}, two = {nan, 1, nan};
  CHECK(gradient(one, [](const Tensor& x) { return relu(x); }) == Numbers{1, 1, 0});
  CHECK(gradient(one, [](const Tensor& x) { return relu6(x); }) == Numbers{1, 1, 0});
  CHECK(gradient(one, [](const Tensor& x) { return max(x); }) == Numbers{1, 0, 0});
  CHECK(gradient(one, [](const Tensor& x) { return min(x); }) == Numbers{1, 0, 0});
  CHECK(gradient(two, [](const Tensor& x) { return max(x); }) == Numbers{0.5, 0, 0.5});
  CHECK(std::isnan(gradient(one, [](const Tensor& x) { return amax(x); })[1]));
}

TEST_CASE("what has no value is refused, or has no gradient, as in PyTorch") {
  const Tensor i = numbers({2}, DType::i64), two = add(i, Scalar(1));
  CHECK(message_of([&] { remainder(two, i); }) == "ZeroDivisionError");
  CHECK(message_of([&] { floor_divide(two, i); }) == "ZeroDivisionError");
  CHECK(message_of([&] { remainder(two, Scalar(0)); }) == "ZeroDivisionError");
  CHECK(values(remainder(i, two)) == std::vector<double>{0, 1});
  CHECK(std::isnan(values(remainder(two, numbers({2})))[0]));
  CHECK(message_of([&] { abs(eq(i, i)); }) == "\"abs_cpu\" not implemented for 'Bool'");
  const Tensor y = zeros({1}).requires_grad_(), x = zeros({1}).requires_grad_();
  sum(atan2(y, x)).backward();
  CHECK(values(y.grad()) == std::vector<double>{0});
  CHECK(values(x.grad()) == std::vector<double>{0});
}

TEST_CASE("empty tensors go through everything") {
  const Tensor x = zeros({0, 3}).requires_grad_();
  sum(mul(relu(add(x, ones({3}))), Scalar(2))).backward();
  CHECK(x.grad().shape() == Shape{0, 3});
  CHECK(sum(x).item().d == 0);
  CHECK(std::isnan(mean(x).item().d));
  CHECK(values(sum(x, {0})) == std::vector<double>{0, 0, 0});
  CHECK(prod(zeros({0})).item().d == 1);
  CHECK(all(zeros({0})).item().i == 1);
  CHECK(any(zeros({0})).item().i == 0);
  CHECK(cat({zeros({0}), ones({2, 2})}).shape() == Shape{2, 2});
  CHECK(reshape(x, {0, 6}).shape() == Shape{0, 6});
  CHECK(index_select(ones({2, 3}), 0, zeros({0}, {DType::i64, {}})).shape() == Shape{0, 3});
  CHECK(masked_select(ones({2}), zeros({2}, {DType::b8, {}})).shape() == Shape{0});
  CHECK(message_of([] { max(zeros({0})); }) ==
        "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
        "reduction dim with the 'dim' argument.");
  CHECK(sort(zeros({0, 2}), 0).first.shape() == Shape{0, 2});
  CHECK(roll(zeros({0}), {1}, {0}).shape() == Shape{0});
  CHECK(repeat(ones({2}), {0}).shape() == Shape{0});
}

TEST_CASE("views share memory, and copies do not") {
  const Tensor x = numbers({2, 3, 4});
  const auto shares = [&](const Tensor& y) {
    return y.ref()->storage.get() == x.ref()->storage.get();
  };
  CHECK(shares(reshape(x, {6, 4})));
  CHECK(shares(permute(x, {2, 0, 1})));
  CHECK(shares(flatten(x, 0, 1)));
  CHECK(shares(index(x, Value::slice(0, 1, nullptr))));
  CHECK(shares(contiguous(x)));
  CHECK(shares(to(x, DType::f32)));
  CHECK_FALSE(shares(reshape(transpose(x, 0, 1), {-1})));
  CHECK_FALSE(shares(index(x, Value(arange(0, 1)))));
  // A permuted tensor still splits and joins dimensions that lie together.
  const Tensor p = permute(x, {2, 0, 1});
  CHECK(view(p, {4, 6}).strides() == Shape{1, 4});
  CHECK(view(p, {2, 2, 2, 3}).strides() == Shape{2, 1, 12, 4});
  CHECK(message_of([&] { view(p, {24}); }).find("view size is not compatible") == 0);
}

TEST_CASE("a function in place is seen through whatever shares the memory") {
  const Tensor x = random_leaf({2, 3}, 1, 2);
  const Tensor alone = mul(x, 2.0);
  const void* const memory = alone.impl()->data;
  const Tensor expected = silu(mul(x, 2.0));
  apply_(alone, silu);
  CHECK(alone.impl()->data != memory);  // what silu saves keeps it
  CHECK(equal(alone, expected));
  const Tensor shared = mul(x, 2.0), seen = shared.detach();
  apply_(shared, silu);
  CHECK(shared.impl()->data == seen.impl()->data);
  CHECK(equal(seen, expected));
  // tanh saves its result, which may not be written.
  const Tensor y = nnm::tanh(x);
  apply_(y, silu);
  CHECK(message_of([&] { sum(y).backward(); }).find("modified by an inplace operation") !=
        std::string::npos);
  const auto chain = [](const Tensors& in) {
    const Tensor t = mul(in[0], 2.0);
    for (Tensor (*f)(const Tensor&) : {nnm::sigmoid, nnm::silu, nnm::tanh}) apply_(t, f);
    return t;
  };
  CHECK(gradcheck(chain, {x}) == "");
}

TEST_CASE("in-place arithmetic writes, counts and differentiates") {
  const Tensor x = random_leaf({3}, 1, 2), z = random_leaf({1}, 1, 2, 2);
  const auto f = [](const Tensors& in) {
    const Tensor y = mul(in[0], 2.0);
    add_(y, in[1], 3);
    mul_(y, in[1]);
    sub_(y, in[0]);
    div_(y, 2.0);
    apply_(y, [](const Tensor& t) { return silu(t); });
    return relu_(y);
  };
  CHECK(gradcheck(f, {x, z}) == "");
  const Tensor y = mul(x, 1.0);
  const uint32_t before = y.version();
  add_(y, Scalar(1));
  CHECK(y.version() == before + 1);
  CHECK(std::string(add_(y, x).grad_fn()->name) == "AddBackward0");
  CHECK(std::string(apply_(y, silu).grad_fn()->name) == "SiluBackward0");
  CHECK(message_of([] {
          add_(ones({2}), ones({3, 2}));
        }) == "output with shape [2] doesn't match the broadcast shape [3, 2]");
  CHECK(message_of([] { add_(arange(0, 2), Scalar(0.5)); }) ==
        "result type Float can't be cast to the desired output type Long");
  const Tensor base = mul(x, 1.0);
  copy_(base, z);
  base.backward(ones({3}, {DType::f64, {}}));
  CHECK(values(z.grad()) == std::vector<double>{3});
  CHECK(values(x.grad()) == std::vector<double>{0, 0, 0});
}

TEST_CASE("an overlapping copy reads before it writes") {
  const Tensor x = numbers({5});
  copy_(narrow(x, 0, 1, 4), narrow(x, 0, 0, 4));
  CHECK(values(x) == std::vector<double>{0, 0, 1, 2, 3});
}

TEST_CASE("random draws depend on seed and offset alone") {
  Generator a(7), b(7), c(8);
  const Tensor x = randn({1000}, {}, &a);
  CHECK(equal(x, randn({1000}, {}, &b)));
  CHECK_FALSE(equal(x, randn({1000}, {}, &c)));
  CHECK_FALSE(equal(x, randn({1000}, {}, &a)));
  CHECK(std::abs(mean(x).item().d) < 0.15);
  CHECK(std::abs(nnm::std(x).item().d - 1) < 0.1);
  std::vector<double> order = values(randperm(100, &a));
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  CHECK(order == values(arange(0, 100)));
  const Tensor t = empty({2000});
  trunc_normal_(t, 1, 2, 0, 2, &a);
  CHECK(min(t).item().d >= 0);
  CHECK(max(t).item().d <= 2);
  CHECK(std::abs(mean(t).item().d - 1) < 0.05);
  const double share = mean(bernoulli(full({4000}, 0.3), &a)).item().d;
  CHECK(std::abs(share - 0.3) < 0.04);
  // In an order of memory other than row-major, the values are the same.
  const Tensor cl = channels_last(zeros({1, 2, 2, 2})), rm = zeros({1, 2, 2, 2});
  Generator d(1), e(1);
  uniform_(cl, -1, 1, &d);
  uniform_(rm, -1, 1, &e);
  CHECK(equal(cl, rm));
}

TEST_CASE("creation on the default device") {
  CHECK(default_device() == Device{});
  {
    DefaultDeviceGuard guard({DeviceType::meta, 0});
    CHECK(default_device().type == DeviceType::meta);
    CHECK_FALSE(zeros({2}).is_meta());
  }
  CHECK(default_device() == Device{});
}

TEST_SUITE_END();
