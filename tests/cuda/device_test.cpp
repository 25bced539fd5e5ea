// Tensors, modules and optimizers on a GPU, which here is the emulated one.
#include <doctest/doctest.h>

#include <limits>

#include "kernels/cuda.h"
#include "nnm/nnm.h"
#include "nnm/tensor/allocator.h"
#include "support/gpu.h"

namespace nnm {
namespace {

using testing::emulated_gpu;

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

TEST_CASE("tensors go to a GPU and come back as they were") {
  const Device gpu = emulated_gpu();
  const Tensor x = randn({3, 4, 5});
  for (const Tensor& t : {x, transpose(x, 0, 2), narrow(x, 1, 1, 2), select(x, 2, 3), empty({0, 3}),
                          scalar_tensor(2.5)}) {
    const Tensor there = to(t, {t.dtype(), gpu});
    CHECK(there.device() == gpu);
    CHECK(there.shape() == t.shape());
    CHECK(floats(there) == floats(t));
    const Tensor back = to(there, {t.dtype(), Device{}});
    CHECK(back.device() == Device{});
    CHECK(floats(back) == floats(t));
  }
  // Views of what lies there.
  const Tensor there = to(x, {x.dtype(), gpu});
  CHECK(floats(transpose(there, 0, 1)) == floats(transpose(x, 0, 1)));
  CHECK(select(select(select(there, 0, 2), 0, 1), 0, 4).item().d ==
        select(select(select(x, 0, 2), 0, 1), 0, 4).item().d);
}

TEST_CASE("a tensor on a GPU prints with its device") {
  CHECK(tensor({1, 2}, {}, emulated_gpu()).repr() == "tensor([1, 2], device='cuda:0')");
}

TEST_CASE("types change on the way to a GPU and back") {
  const Device gpu = emulated_gpu();
  const Tensor x = tensor({1.5, -2.25, 300.0});
  CHECK(floats(to(to(x, {DType::f64, gpu}), {DType::bf16, Device{}})) ==
        std::vector<float>{1.5f, -2.25f, 300});
  CHECK(to(to(x, {DType::i32, gpu}), {DType::i64, Device{}}).to_vector<int64_t>() ==
        std::vector<int64_t>{1, -2, 300});
}

TEST_CASE("copy_ crosses between devices, and broadcasts") {
  const Device gpu = emulated_gpu();
  const Tensor there = zeros({2, 3}, {DType::f32, gpu}), here = zeros({2, 3});
  copy_(there, tensor({1.0, 2.0, 3.0}));
  CHECK(floats(there) == std::vector<float>{1, 2, 3, 1, 2, 3});
  copy_(here, there);
  CHECK(floats(here) == floats(there));
}

TEST_CASE("gradients flow between devices") {
  const Device gpu = emulated_gpu();
  const Tensor x = tensor({1.0, 2.0, 3.0});
  x.requires_grad_();
  sum(mul(to(x, {DType::f32, gpu}), tensor({2.0, 3.0, 4.0}, {}, gpu))).backward();
  REQUIRE(x.grad().defined());
  CHECK(x.grad().device() == Device{});
  CHECK(floats(x.grad()) == std::vector<float>{2, 3, 4});
}

TEST_CASE("a number on the CPU goes along, other tensors do not") {
  const Device gpu = emulated_gpu();
  const Tensor x = tensor({1.0, 2.0}, {}, gpu), two = scalar_tensor(2.0);
  CHECK(floats(mul(x, two)) == std::vector<float>{2, 4});
  CHECK(floats(sub(two, x)) == std::vector<float>{1, 0});
  CHECK_THROWS_WITH_AS(add(x, tensor({1.0, 2.0})),
                       "Expected all tensors to be on the same device, but found at least two "
                       "devices, cuda:0 and cpu!",
                       Error);
}

TEST_CASE("memory of a GPU is counted, reused, and runs out with a reason") {
  const Device gpu = emulated_gpu();
  const size_t before = memory_stats(gpu).allocated;
  reset_peak_memory(gpu);
  {
    const Tensor x = empty({1 << 20}, {DType::f32, gpu});
    CHECK(memory_stats(gpu).allocated == before + (size_t{4} << 20));
    const void* at = x.data();
    const size_t reserved = memory_stats(gpu).reserved;
    CHECK(reserved >= memory_stats(gpu).allocated);
    { const Tensor y = empty({1 << 20}, {DType::f32, gpu}); }
    const Tensor z = empty({1 << 20}, {DType::f32, gpu});
    CHECK(z.data() != at);
    CHECK(memory_stats(gpu).reserved <= reserved + (size_t{20} << 20));
  }
  CHECK(memory_stats(gpu).allocated == before);
  CHECK(memory_stats(gpu).peak == before + (size_t{8} << 20));
  try {
    empty({int64_t{256} << 20}, {DType::f32, gpu});
    FAIL("1 GiB of a half");
  } catch (const Error& e) {
    CHECK(exit_code(e.kind()) == 6);
    const std::string text = e.what();
    CHECK(text.find("out of memory on cuda:0: tried to allocate 1.00 GiB; of 512.0 MiB, ") == 0);
  }
  // What is only kept for reuse makes room.
  { const Tensor x = empty({int64_t{75} << 20}, {DType::f32, gpu}); }
  const Tensor y = empty({int64_t{100} << 20}, {DType::f32, gpu});
  CHECK(y.defined());
}

TEST_CASE("a device that is not there is an error that says so") {
  emulated_gpu();
  CHECK_THROWS_WITH_AS(empty({2}, {DType::f32, {DeviceType::cuda, 3}}),
                       "there is no device cuda:3: the only one is cuda:0", Error);
}

TEST_CASE("a step of an optimizer is the same on a GPU, and its state goes there") {
  const Device gpu = emulated_gpu();
  const Tensor here = tensor({1.0, -2.0, 3.0}), g = tensor({0.5, 0.25, -1.0});
  const Tensor there = to(here, {DType::f32, gpu});
  const auto step = [](const Tensor& p, const Tensor& grad, const optim::OptimizerState* state) {
    p.requires_grad_();
    p.set_grad(grad);
    optim::Adam adam(Tensors{p}, {.lr = 0.1});
    if (state) adam.load_state_dict(*state);
    adam.step();
    return adam.state_dict();
  };
  const optim::OptimizerState first = step(here, g, nullptr);
  step(there, to(g, {DType::f32, gpu}), nullptr);
  CHECK(allclose(to(there.detach(), {DType::f32, Device{}}), here.detach(), 1e-6));
  // Loaded from the CPU.
  step(there, to(g, {DType::f32, gpu}), &first);
  step(here, g, &first);
  CHECK(allclose(to(there.detach(), {DType::f32, Device{}}), here.detach(), 1e-6));
}

/// Parameters of sizes 1 to `count` and of both types in turn, with gradients.
Tensors with_gradients(int64_t count, Device device) {
  manual_seed(7);
  Tensors all;
  for (int64_t i = 0; i < count; ++i) {
    const TensorOptions options{i % 5 == 4 ? DType::f64 : DType::f32, device};
    const Tensor p = to(randn({i + 1}), options);
    p.requires_grad_();
    p.set_grad(to(randn({i + 1}), options));
    all.push_back(p);
  }
  return all;
}

void check_same(const Tensors& there, const Tensors& here, bool gradients) {
  for (size_t i = 0; i < here.size(); ++i) {
    const Tensor a = gradients ? there[i].grad() : there[i].detach();
    const Tensor b = gradients ? here[i].grad() : here[i].detach();
    // What torch.testing.assert_close allows in f32.
    CHECK(allclose(to(a, {b.dtype(), Device{}}), b, 1.3e-6, 1e-5));
  }
}

TEST_CASE("optimizers update many parameters of several types together") {
  const Device gpu = emulated_gpu();
  const auto steps = [](auto optimizer) {
    for (int i = 0; i < 3; ++i) optimizer.step();
  };
  const auto both = [&](const auto& train) {
    const Tensors there = with_gradients(70, gpu), here = with_gradients(70, Device{});
    train(there);
    train(here);
    check_same(there, here, false);
  };
  both([&](const Tensors& all) { steps(optim::SGD(all, {.lr = 0.1, .weight_decay = 0.01})); });
  both([&](const Tensors& all) {
    steps(optim::SGD(all, {.lr = 0.1, .momentum = 0.9, .nesterov = true}));
  });
  both([&](const Tensors& all) { steps(optim::RMSprop(all, {.momentum = 0.9})); });
  both([&](const Tensors& all) { steps(optim::Adagrad(all)); });
  both([&](const Tensors& all) { steps(optim::AdamW(all)); });
}

TEST_CASE("gradients are clipped on a GPU as on the CPU") {
  const Device gpu = emulated_gpu();
  const Tensors there = with_gradients(200, gpu), here = with_gradients(200, Device{});
  const Tensor gaps = there[3].grad().as_strided({2}, {2}, 0);
  there[1].set_grad(gaps);
  here[1].set_grad(here[3].grad().as_strided({2}, {2}, 0));
  const double norm = optim::clip_grad_norm_(here, 2);
  CHECK(optim::clip_grad_norm_(there, 2) == doctest::Approx(norm).epsilon(1e-12));
  CHECK(optim::grad_norm(there) < norm / 2);
  check_same(there, here, true);
  optim::clip_grad_value_(there, 0.01);
  optim::clip_grad_value_(here, 0.01);
  CHECK(optim::grad_norm(there, std::numeric_limits<double>::infinity()) == doctest::Approx(0.01));
  check_same(there, here, true);
}

}  // namespace
}  // namespace nnm
