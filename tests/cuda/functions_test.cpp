// Functions that are made of others: the same numbers and gradients on a GPU as on the CPU.
#include <doctest/doctest.h>

#include <functional>

#include "nnm/ops/autocast.h"
#include "nnm/ops/functional.h"
#include "nnm/ops/margin_loss.h"
#include "ops/wave.h"
#include "support/gpu.h"

using namespace nnm;

namespace {

struct DeviceCase {
  const char* name;
  Shape x;
  std::function<Tensor(const Tensor& x)> f;
};

// `v` on the device of x.
Tensor beside(const Tensor& x, const std::vector<int64_t>& v, const Shape& shape) {
  return to(labels(v, shape), {DType::i64, x.device()});
}
Tensor weights(const Tensor& x, const Shape& shape) {
  return to(wave(shape, 1), {x.dtype(), x.device()});
}

const DeviceCase kCases[] = {
    {"conv3d",
     {2, 4, 4, 3, 5},
     [](const Tensor& x) {
       return conv3d(x, weights(x, {6, 2, 2, 3, 2}), weights(x, {6}), {2, 1, 1}, 1, {2, 1, 1}, 2);
     }},
    {"conv3d slice by slice",
     {1, 2, 3, 4, 5},
     [](const Tensor& x) {
       return conv3d(x, weights(x, {3, 2, 1, 3, 3}));
     }},
    {"conv_transpose3d",
     {1, 4, 3, 3, 2},
     [](const Tensor& x) {
       return conv_transpose3d(x, weights(x, {4, 2, 2, 2, 3}), weights(x, {4}), 2, 1, 1, 2);
     }},
    {"max_pool3d",
     {2, 3, 4, 5, 4},
     [](const Tensor& x) {
       return max_pool3d(x, {2, 3, 2}, 2, {1, 1, 0}, 1, true);
     }},
    {"avg_pool3d",
     {2, 3, 4, 5, 4},
     [](const Tensor& x) {
       return avg_pool3d(x, {2, 3, 2}, 2, {1, 1, 0}, true, false);
     }},
    {"adaptive_avg_pool3d",
     {2, 3, 4, 5, 4},
     [](const Tensor& x) {
       return adaptive_avg_pool3d(x, {3, 2, 4});
     }},
    {"lp_pool2d", {2, 3, 4, 5}, [](const Tensor& x) { return lp_pool2d(x * x, 3, 2); }},
    {"local_response_norm",
     {2, 5, 3, 4},
     [](const Tensor& x) { return local_response_norm(x, 3, 0.5); }},
    {"instance_norm", {2, 3, 4, 5}, [](const Tensor& x) { return instance_norm(x); }},
    {"unfold",
     {2, 3, 5, 6},
     [](const Tensor& x) {
       return unfold(x, {3, 2}, 1, 1, {2, 1});
     }},
    {"fold",
     {2, 12, 12},
     [](const Tensor& x) {
       return fold(x, {4, 5}, 2);
     }},
    {"max_unpool2d",
     {1, 2, 2, 2},
     [](const Tensor& x) {
       return max_unpool2d(x, beside(x, {0, 3, 9, 15, 2, 5, 8, 14}, {1, 2, 2, 2}), 2);
     }},
    {"fractional_max_pool2d",
     {2, 3, 6, 7},
     [](const Tensor& x) {
       const Tensor at = abs(weights(x, {2, 3, 2})) * Scalar(0.9);
       return fractional_max_pool2d_with_indices(x, 2, {3, 4}, at).first;
     }},
    {"embedding_bag",
     {6, 3},
     [](const Tensor& w) {
       return embedding_bag(beside(w, {1, 4, 4, 0, 2}, {5}), w,
                            {.offsets = beside(w, {0, 2, 2}, {3}), .mode = "mean"});
     }},
    {"embedding_bag's maxima",
     {6, 3},
     [](const Tensor& w) {
       return embedding_bag(beside(w, {1, 4, 4, 0, 2}, {5}), w,
                            {.offsets = beside(w, {0, 2, 2}, {3}), .mode = "max"});
     }},
    {"ctc_loss",
     {6, 2, 4},
     [](const Tensor& x) {
       return ctc_loss(log_softmax(x, 2), beside(x, {1, 2, 2, 3, 1, 1}, {2, 3}),
                       labels({6, 5}, {2}), labels({3, 2}, {2}), 0, "none");
     }},
    {"multilabel_margin_loss",
     {2, 4},
     [](const Tensor& x) {
       return multilabel_margin_loss(x, beside(x, {0, 2, -1, 1, 3, 1, 2, -1}, {2, 4}), "none");
     }},
};

}  // namespace

TEST_CASE("functions made of others are the same on a GPU") {
  const Device gpu = testing::emulated_gpu();
  for (const DeviceCase& c : kCases) {
    CAPTURE(c.name);
    Tensor results[2], gradients[2];
    for (const int on_gpu : {0, 1}) {
      const Tensor x =
          to(wave(c.x), {DType::f32, on_gpu ? gpu : Device{}}).detach().requires_grad_();
      const Tensor y = c.f(x);
      sum(y * weights(y, y.shape())).backward();
      results[on_gpu] = to(y.detach(), {DType::f64, {}});
      gradients[on_gpu] = to(x.grad(), {DType::f64, {}});
    }
    CHECK(differs(results[1], results[0], 2e-5) == "");
    CHECK(differs(gradients[1], gradients[0], 2e-5) == "");
  }
}

TEST_CASE("mixed precision: the loss of classes is computed in f32 of halves on a GPU") {
  const Device gpu = testing::emulated_gpu();
  const AutocastGuard autocast(DType::bf16);
  for (const char* reduction : {"none", "sum", "mean"}) {
    CAPTURE(reduction);
    Tensor losses[2], gradients[2];
    for (const int on_gpu : {0, 1}) {
      const Device device = on_gpu ? gpu : Device{};
      const Tensor x = to(wave({3, 41}), {DType::bf16, device}).detach().requires_grad_();
      const Tensor y =
          cross_entropy(x, beside(x, {40, 0, 7}, {3}), to(abs(wave({41}, 1)), {DType::f32, device}),
                        0, reduction, 0.1);
      CHECK(y.dtype() == DType::f32);
      sum(y * to(wave(y.shape(), 2), {DType::f32, device})).backward();
      CHECK(x.grad().dtype() == DType::bf16);
      losses[on_gpu] = to(y.detach(), {DType::f64, {}});
      gradients[on_gpu] = to(x.grad(), {DType::f64, {}});
    }
    CHECK(differs(losses[1], losses[0], 1e-6) == "");
    CHECK(differs(gradients[1], gradients[0], 4e-3) == "");
  }
}

TEST_CASE("a large gradient of logits in halves has rows that a GPU multiplies fast") {
  const Device gpu = testing::emulated_gpu();
  Tensor gradients[2];
  for (const int on_gpu : {0, 1}) {
    const Device device = on_gpu ? gpu : Device{};
    const Tensor x = to(wave({2, 131075}), {DType::bf16, device}).detach().requires_grad_();
    const Tensor y = view(x, {1, 2, 131075});
    y.register_hook([&](const Tensor& g) {
      CHECK(g.strides()[1] == (on_gpu ? 131080 : 131075));
      CHECK(g.strides()[2] == 1);
    });
    cross_entropy(flatten(y, 0, 1), beside(x, {5, 131074}, {2})).backward();
    gradients[on_gpu] = to(x.grad(), {DType::f64, {}});
  }
  CHECK(differs(gradients[1], gradients[0], 4e-3) == "");
}
