// Copies of weights in a kernel's order: they change nothing, and are never stale.
#include "nnm/ops/kept.h"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>

#include "kernels/parallel.h"
#include "nnm/base/registry.h"
#include "nnm/nn/module.h"
#include "nnm/optim/optimizer.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;

namespace {

// One for Winograd's kernel, one for oneDNN where it is there, one too small for both.
struct KeptCase {
  Shape x, w;
  int64_t stride;
  Tensor run(const Tensor& input, const Tensor& weight) const {
    const NoGradGuard no_grad;
    return conv2d(input, weight, {}, stride, 1);
  }
};
const KeptCase kCases[] = {{{2, 32, 28, 28}, {32, 32, 3, 3}, 1},
                           {{2, 32, 28, 28}, {24, 32, 3, 3}, 2},
                           {{1, 2, 4, 4}, {3, 2, 3, 3}, 1}};

Tensor numbers(const Shape& shape, double seed) { return to(wave(shape, seed), DType::f32); }

// What a process that has seen nothing else of these weights would give.
Tensor fresh(const KeptCase& c, const Tensor& x, const Tensor& w) {
  return c.run(x, clone(w.detach()));
}

bool keeps(const Tensor& w) { return w.impl()->storage->kept != nullptr; }

}  // namespace

TEST_SUITE_BEGIN("kept");

TEST_CASE("kept: results are the same bits with weights kept, met first, and in grad mode") {
  for (const KeptCase& c : kCases) {
    CAPTURE(c.w.str());
    const Tensor x = numbers(c.x, 0), w = numbers(c.w, 1);
    const Tensor recorded = conv2d(x, w, {}, c.stride, 1);
    CHECK(!keeps(w));
    const Tensor first = c.run(x, w);
    CHECK(same_bits(c.run(x, w), first));
    CHECK(differs(first, recorded, 1e-5) == "");
    CHECK(same_bits(c.run(numbers(c.x, 3), w), fresh(c, numbers(c.x, 3), w)));
  }
}

TEST_CASE("kept: every way to write to weights is seen") {
  const auto writes = [](const Tensor& w) {
    const NoGradGuard no_grad;
    return std::vector<std::function<void()>>{
        [=] { mul_(w, 2.0); },
        [=] { copy_(w, mul(w, -0.5)); },
        [=] { fill_(select(w, 0, 1), 0.25); },
        [=] { copy_(slice(w, 1, 0, 1), slice(w, 1, 1, 2)); },
        [=] { uniform_(select(w, 0, 2), -1, 1); },
        [=] { w.data<float>()[5] = 7, w.bump_version(); },
    };
  };
  for (const KeptCase& c : kCases) {
    CAPTURE(c.w.str());
    const Tensor x = numbers(c.x, 0), w = numbers(c.w, 1);
    Tensor before = c.run(x, w);
    for (const auto& write : writes(w)) {
      {
        const NoGradGuard no_grad;
        write();
      }
      const Tensor after = c.run(x, w);
      CHECK(!same_bits(after, before));
      CHECK(same_bits(after, fresh(c, x, w)));
      before = after;
    }
  }
}

TEST_CASE("kept: training and evaluation in turns, with every optimizer") {
  for (const std::string& name : Registry<optim::Optimizer>::names()) {
    CAPTURE(name);
    if (name == "Muon") continue;  // takes matrices alone
    for (const KeptCase& c : kCases) {
      const Tensor x = numbers(c.x, 0), w = numbers(c.w, 1).requires_grad_();
      const Ref<optim::Optimizer> optimizer =
          Registry<optim::Optimizer>::make(name, {{}, {{"lr", 0.125}}});
      optimizer->add_param_group({{"w", w}});
      for (int epoch = 0; epoch < 3; ++epoch) {
        for (int step = 0; step < 2; ++step) {
          optimizer->zero_grad();
          mean(square(conv2d(x, w, {}, c.stride, 1))).backward();
          CHECK(!keeps(w));  // nothing is kept in training
          optimizer->step();
        }
        for (int pass = 0; pass < 2; ++pass) CHECK(same_bits(c.run(x, w), fresh(c, x, w)));
      }
    }
  }
}

TEST_CASE("kept: weights of one storage do not mix") {
  for (const KeptCase& c : kCases) {
    const int64_t n = c.w.numel();
    const Tensor all = numbers({2 * n}, 1), x = numbers(c.x, 0);
    const Tensor a = view(slice(all, 0, 0, n), c.w), b = view(slice(all, 0, n, 2 * n), c.w);
    for (int round = 0; round < 2; ++round) {
      CHECK(same_bits(c.run(x, a), fresh(c, x, a)));
      CHECK(same_bits(c.run(x, b), fresh(c, x, b)));
      const NoGradGuard no_grad;
      mul_(b, 3.0);
    }
    c.run(x, a);
    // The same memory, seen in another shape.
    const Shape &in = c.x, &k = c.w;
    const KeptCase narrow{{in[0], in[1] / 2, in[2], in[3]}, {2 * k[0], k[1] / 2, 3, 3}, c.stride};
    const Tensor half = numbers(narrow.x, 0), turned = view(a, narrow.w);
    CHECK(same_bits(narrow.run(half, turned), fresh(narrow, half, turned)));
    CHECK(same_bits(c.run(x, transpose(a, 2, 3)), fresh(c, x, contiguous(transpose(a, 2, 3)))));
  }
}

TEST_CASE("kept: images of several sizes, the last batch of a pass among them") {
  const Tensor w = numbers({32, 32, 3, 3}, 1);
  for (int round = 0; round < 2; ++round) {
    for (const int64_t n : {16, 3, 1, 7}) {
      for (const int64_t size : {4, 7, 28}) {
        const KeptCase c{{n, 32, size, size}, w.shape(), 1};
        const Tensor x = numbers(c.x, 0);
        CHECK(same_bits(c.run(x, w), fresh(c, x, w)));
      }
    }
  }
}

TEST_CASE("kept: a load goes into the weights that are there") {
  const Ref<Module> m = Registry<Module>::make("Conv2d", {{32, 32, 3}, {{"padding", 1}}});
  m->eval();
  const NoGradGuard no_grad;
  const Tensor x = numbers({2, 32, 28, 28}, 0);
  const Tensor before = (*m)(x);
  StateDict other;
  for (const auto& [name, t] : m->named_parameters()) other.set(name, mul(t, 2.0));
  m->load_state_dict(other);
  CHECK(differs((*m)(x), mul(before, 2.0), 1e-5) == "");
  m->share_memory();
  CHECK(differs((*m)(x), mul(before, 2.0), 1e-5) == "");
  // Another process may write to shared memory: nothing tells this one.
  float* p = m->get_parameter("weight").data<float>();
  for (int64_t i = 0; i < 32 * 32 * 9; ++i) p[i] *= 0.5f;
  p = m->get_parameter("bias").data<float>();
  for (int64_t i = 0; i < 32; ++i) p[i] *= 0.5f;
  CHECK(differs((*m)(x), before, 1e-5) == "");
}

TEST_CASE("kept: copies go with the oldest first, and with their storage") {
  Tensor w = numbers({4, 4}, 1);
  int made = 0;
  const auto kept = [&](int64_t format) {
    return detail::kept_weights(w, {}, {detail::KeptOrder::Kernel::onednn, format}, 64,
                                [&](const View&, const Tensor&) { ++made; });
  };
  const Tensor first = kept(1);
  CHECK(kept(1).is_same(first));
  kept(2), kept(3);
  CHECK(made == 3);
  CHECK(kept(1).is_same(first));
  kept(4);  // the fourth: 1 goes
  CHECK(!kept(1).is_same(first));
  CHECK(made == 5);
  CHECK(first.ref()->use_count() == 1);
  const Tensor last = kept(1);
  CHECK(last.ref()->use_count() == 2);
  w = {};
  CHECK(last.ref()->use_count() == 1);
}

TEST_CASE("kept: several threads share weights") {
  const KeptCase& c = kCases[0];
  const Tensor x = numbers(c.x, 0), w = numbers(c.w, 1), expected = fresh(c, x, w);
  std::vector<std::thread> threads;
  std::vector<int> good(4);
  for (int& g : good)
    threads.emplace_back([&] {
      const SerialGuard serial;
      for (int i = 0; i < 5; ++i) g += same_bits(c.run(x, w), expected);
    });
  for (std::thread& t : threads) t.join();
  CHECK(good == std::vector<int>(4, 5));
}

TEST_SUITE_END();
