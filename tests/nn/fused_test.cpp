// Layers done in one pass at inference: the same numbers up to rounding, and nothing hidden from
// anybody who looks.
#include "nnm/nn/layers/fused.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "lang/model_support.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/norm.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;

namespace {

// "" where torch.testing.assert_close would be content.
std::string far_from(const Tensor& x, const Tensor& y) {
  const std::vector<double> a = x.to_vector<double>(), b = y.to_vector<double>();
  if (x.shape() != y.shape()) return "shapes " + x.shape().str() + ", " + y.shape().str();
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 1e-5 + 1.3e-6 * std::abs(b[i])))
      return fmt::format("element {}: {}, expected {}", i, a[i], b[i]);
  return {};
}

// Numbers that trained nets have: a norm that changes something.
void settle(Module& m) {
  const NoGradGuard no_grad;
  for (Module* each : m.modules()) {
    auto* norm = dynamic_cast<nn::BatchNorm2d*>(each);
    if (!norm) continue;
    uniform_(*norm->running_mean, -0.5, 0.5);
    uniform_(*norm->running_var, 1, 2);
    uniform_(*norm->weight, 0.5, 1);
    uniform_(*norm->bias, -0.5, 0.5);
  }
  m.eval();
}

Tensor in_one_pass(Module& m, const Tensor& x) {
  const NoGradGuard no_grad;
  return m(x);
}

// In grad mode nothing is done in one pass.
Tensor one_by_one(Module& m, const Tensor& x) { return m(x).detach(); }

const char* const kNet = R"(
nnm: 1
define:
  Block:
    args: {cin: int, cout: int, stride: int = 1}
    let: {project: stride != 1 or cin != cout}
    modules:
      conv1: Conv2d(cin, cout, 3, stride=stride, padding=1, bias=false)
      bn1: BatchNorm2d(cout)
      conv2: Conv2d(cout, cout, 3, padding=1)
      bn2: BatchNorm2d(cout)
      if project:
        downsample:
          Sequential:
            - Conv2d(cin, cout, 1, stride=stride, bias=false)
            - BatchNorm2d(cout)
    forward:
      - y = x |> conv1 |> bn1 |> relu |> conv2 |> bn2
      - return relu(y + (downsample(x) if project else x))
  Chain:
    modules:
      conv: Conv2d(32, 32, 3, padding=1)
      act: ReLU()
      conv2: Conv2d(32, 32, 3, padding="same")
      bn2: BatchNorm2d(32)
  Net:
    modules:
      conv: Conv2d(3, 32, 3, padding=1)
      bn: BatchNorm2d(32)
      act: ReLU()
      one: Block(32, 32)
      two: Block(32, 48, 2)
      chain: Chain()
      last: Conv2d(48, 8, 1)
    forward:
      - x = chain(x |> conv |> bn |> act)
      - x = x |> one |> two
      - return relu(last(x))
model: Net()
)";

// The net above with statistics of its own, and images for it.
struct Trial {
  explicit Trial(uint64_t seed) : model((manual_seed(seed), testing::ParsedModel(kNet).build())) {
    settle(m);
  }

  lang::Model model;
  Module& m = *model.module;
  Tensor x = randn({2, 3, 24, 24});
};

}  // namespace

TEST_SUITE_BEGIN("fused");

TEST_CASE("fused: a convolution with its tail is its operations one after another") {
  manual_seed(0);
  struct {
    Shape x, w;
    int64_t stride;
  } cases[] = {{{2, 32, 28, 28}, {32, 32, 3, 3}, 1},  // Winograd's
               {{2, 32, 13, 11}, {40, 32, 3, 3}, 1},  // with tiles cut off
               {{2, 32, 28, 28}, {24, 32, 3, 3}, 2},  // oneDNN's
               {{1, 64, 14, 14}, {96, 64, 1, 1}, 1}};
  const NoGradGuard no_grad;
  for (const auto& c : cases) {
    CAPTURE(c.w.str());
    const int64_t o = c.w[0], padding = c.w[2] / 2;
    const Tensor x = randn(c.x), w = mul(randn(c.w), 0.03), b = randn({o});
    for (int mask = 0; mask < 16; ++mask) {
      CAPTURE(mask);
      const Tensor bias = mask & 1 ? b : Tensor();
      Tensor expected = conv2d(x, w, bias, c.stride, padding);
      ConvTail tail;
      if (mask & 2) {
        tail.mean = randn({o}), tail.var = add(rand({o}), 0.5), tail.eps = 1e-5;
        if (mask & 1) tail.weight = add(rand({o}), 0.5), tail.bias = randn({o});
        expected =
            batch_norm(expected, tail.mean, tail.var, tail.weight, tail.bias, false, 0, 1e-5);
      }
      if (mask & 4) tail.addend = randn(expected.shape()), expected = expected + tail.addend;
      if (mask & 8) tail.relu = true, expected = relu(expected);
      for (int round = 0; round < 2; ++round) {
        const Tensor y = conv2d_with_tail(x, w, bias, c.stride, padding, 1, 1, tail);
        if (!y.defined()) continue;  // without oneDNN
        CHECK(far_from(y, expected) == "");
      }
    }
  }
}

TEST_CASE("fused: what a tail is not for is left alone") {
  const NoGradGuard no_grad;
  const Tensor x = randn({2, 32, 28, 28}), w = randn({32, 32, 3, 3});
  ConvTail tail;
  tail.relu = true;
  const auto run = [&](const Tensor& in, const Tensor& weight, const ConvTail& t) {
    return conv2d_with_tail(in, weight, {}, 1, 1, 1, 1, t).defined();
  };
  CHECK(run(x, w, tail));
  CHECK(!run(to(x, DType::f64), to(w, DType::f64), tail));
  CHECK(!run(randn({32, 28, 28}), w, tail));     // no batch
  CHECK(!run(randn({2, 16, 28, 28}), w, tail));  // other channels
  CHECK(!run(randn({1, 32, 2, 2}), w, tail));    // small
  CHECK(!run(randn({0, 32, 28, 28}), w, tail));
  ConvTail other = tail;
  other.addend = randn({2, 32, 28, 1});
  CHECK(!run(x, w, other));
  other.addend = {}, other.mean = randn({31}), other.var = rand({31});
  CHECK(!run(x, w, other));
  const GradModeGuard grad(true);
  CHECK(!run(x, w, tail));
}

TEST_CASE("fused: NaN and infinity come through") {
  const NoGradGuard no_grad;
  for (const int64_t stride : {1, 2}) {
    const Tensor x = ones({1, 32, 28, 28}), w = ones({32, 32, 3, 3}), b = zeros({32});
    copy_(slice(b, 0, 0, 1), full({1}, std::nan("")));
    copy_(slice(b, 0, 1, 2), full({1}, std::numeric_limits<double>::infinity()));
    copy_(slice(b, 0, 2, 3), full({1}, -1e9));
    ConvTail tail;
    tail.relu = true;
    const Tensor y = conv2d_with_tail(x, w, b, stride, 1, 1, 1, tail);
    if (!y.defined()) continue;
    CHECK(std::isnan(select(select(select(y, 3, 2), 2, 2), 1, 0).item().d));
    CHECK(std::isinf(select(select(select(y, 3, 2), 2, 2), 1, 1).item().d));
    CHECK(select(select(select(y, 3, 2), 2, 2), 1, 2).item().d == 0);
    CHECK(select(select(select(y, 3, 2), 2, 2), 1, 3).item().d == doctest::Approx(288));
  }
}

TEST_CASE("fused: a net from a config") {
  Trial trial(3);
  Module& m = trial.m;
  const Tensor& x = trial.x;
  const Tensor expected = one_by_one(m, x), first = in_one_pass(m, x);
  CHECK(far_from(first, expected) == "");
  CHECK(!same_bits(first, expected));  // it was one pass
  for (int i = 0; i < 3; ++i) CHECK(same_bits(in_one_pass(m, x), first));
  CHECK(same_bits(one_by_one(m, x), expected));
  {
    const nn::OneByOneGuard guard;
    CHECK(same_bits(in_one_pass(m, x), expected));
  }
  CHECK(same_bits(in_one_pass(m, x), first));
  // Images that no tail fits: the calls as they are written.
  const Tensor small = randn({1, 3, 2, 2});
  CHECK(far_from(in_one_pass(m, small), one_by_one(m, small)) == "");
  // Training mode normalises by the batch, with and without gradients.
  m.train();
  const Tensor before = clone(m.get_buffer("bn.running_mean"));
  in_one_pass(m, x);
  CHECK(!same_bits(m.get_buffer("bn.running_mean"), before));
}

TEST_CASE("fused: sums in whatever way they are written") {
  const char* const text = R"(
nnm: 1
define:
  Net:
    modules:
      conv: Conv2d(32, 32, 3, padding=1)
      bn: BatchNorm2d(32)
      other: Conv2d(32, 32, 1)
    forward:
      - y = x |> conv |> bn
      - return RETURN
model: Net()
)";
  manual_seed(7);
  const Tensor x = randn({2, 32, 24, 24});
  for (const char* sum :
       {"relu(y + x)", "relu(x + y)", "relu(other(x) + y)", "relu(y + y)", "relu(y + other(y))",
        "relu(other(y) + y)", "relu(y + 1)", "relu(y - x)", "y + x", "relu(y)", "(relu(y + x), y)",
        "relu(y + x[0])", "relu(relu(y + x) + y)"}) {
    CAPTURE(sum);
    std::string config = text;
    config.replace(config.find("RETURN"), 6, sum);
    const lang::Model model = testing::ParsedModel(config).build();
    Module& m = *model.module;
    settle(m);
    const auto first = [&] {
      const Value v = m(Value(x));
      return (v.holds<Tensor>() ? v : v.items()[0]).as<Tensor>().detach();
    };
    const Tensor expected = first();
    const NoGradGuard no_grad;
    CHECK(far_from(first(), expected) == "");
  }
}

TEST_CASE("fused: changes of any tensor are seen") {
  Trial trial(4);
  Module& m = trial.m;
  const Tensor& x = trial.x;
  const Tensor before = in_one_pass(m, x);
  NamedTensors all = m.named_parameters();
  for (const auto& b : m.named_buffers())
    if (b.second.dtype() == DType::f32) all.push_back(b);
  for (const auto& [name, t] : all) {
    CAPTURE(name);
    const Tensor old = clone(t.detach());
    const auto set = [&t = t](const Tensor& value) {
      const NoGradGuard no_grad;
      copy_(t, value);
    };
    set(old.detach() * 1.25 + 0.01);
    const Tensor after = in_one_pass(m, x);
    CHECK(!same_bits(after, before));
    CHECK(far_from(after, one_by_one(m, x)) == "");
    set(old);
    CHECK(same_bits(in_one_pass(m, x), before));
  }
}

TEST_CASE("fused: hooks see every value, and what they change counts") {
  Trial trial(5);
  Module& m = trial.m;
  const Tensor& x = trial.x;
  const Tensor expected = in_one_pass(m, x);
  NamedModules modules = m.named_modules();
  for (const auto& [path, module] : modules) {
    CAPTURE(path);
    Tensor in, out, wanted_in, wanted_out;
    const auto look = [](Tensor& in, Tensor& out) {
      return [&](Module&, const Tensor& i, const Tensor& o) { in = i.detach(), out = o.detach(); };
    };
    {
      const RemovableHandle hook = module->register_forward_hook(look(wanted_in, wanted_out));
      one_by_one(m, x);
      RemovableHandle(hook).remove();
    }
    RemovableHandle hook = module->register_forward_hook(look(in, out));
    const Tensor y = in_one_pass(m, x);
    hook.remove();
    CHECK(far_from(in, wanted_in) == "");
    CHECK(far_from(out, wanted_out) == "");
    CHECK(far_from(y, expected) == "");
    // What a hook returns takes the result's place.
    hook = module->register_forward_hook(
        [](Module&, const Tensor&, const Tensor& o) { return o * 0.5; });
    const Tensor changed = in_one_pass(m, x), wanted = one_by_one(m, x);
    hook.remove();
    CHECK(far_from(changed, wanted) == "");
    CHECK(!same_bits(changed, expected));
    CHECK(same_bits(in_one_pass(m, x), expected));
  }
  int calls = 0;
  RemovableHandle global =
      register_module_forward_hook([&](Module&, const Tensor&, const Tensor&) { ++calls; });
  in_one_pass(m, x);
  global.remove();
  CHECK(calls == static_cast<int>(modules.size()));
}

TEST_CASE("fused: a layer put in another's place, and a class of one's own") {
  struct Half : nn::Conv2d {
    using nn::Conv2d::Conv2d;
    using nn::Conv2d::forward;
    Tensor forward(const Tensor& x) override { return nn::Conv2d::forward(x) * 0.5; }
  };
  manual_seed(6);
  nn::Sequential s(nn::Conv2d(32, 32, 3), nn::BatchNorm2d(32), nn::ReLU());
  settle(s);
  const Tensor x = randn({2, 32, 28, 28});
  CHECK(far_from(in_one_pass(s, x), one_by_one(s, x)) == "");
  CHECK(!same_bits(in_one_pass(s, x), one_by_one(s, x)));
  s.set(0, make_ref<Half>(nn::Conv2d::Options{32, 32, 3}));
  CHECK(same_bits(in_one_pass(s, x), one_by_one(s, x)));
  s.set(0, make_ref<nn::Conv2d>(nn::Conv2d::Options{32, 32, 3}));
  s.set(1, make_ref<nn::Conv2d>(nn::Conv2d::Options{32, 32, 3}));
  CHECK(far_from(in_one_pass(s, x), one_by_one(s, x)) == "");
  const lang::Model model = testing::ParsedModel(kNet).build();
  settle(*model.module);
  const Tensor image = randn({2, 3, 24, 24});
  model.module->set_submodule("one.bn2", make_ref<nn::ReLU>());
  CHECK(far_from(in_one_pass(*model.module, image), one_by_one(*model.module, image)) == "");
  model.module->set_submodule("one.conv2", make_ref<Half>(nn::Conv2d::Options{32, 32, 3, 1, 1}));
  CHECK(far_from(in_one_pass(*model.module, image), one_by_one(*model.module, image)) == "");
}

TEST_CASE("fused: errors are those of the calls") {
  const lang::Model model = testing::ParsedModel(kNet).build();
  model.module->eval();
  const auto error = [&](const Tensor& x, bool grad) {
    const GradModeGuard guard(grad);
    return testing::diagnostics_of([&] { (*model.module)(x); });
  };
  for (const Shape& shape : {Shape{2, 4, 24, 24}, Shape{2, 3, 24}, Shape{3}})
    CHECK(error(zeros(shape), false) == error(zeros(shape), true));
  model.module->set_submodule("one.bn2", make_ref<nn::BatchNorm2d>(nn::BatchNorm2d::Options{31}));
  model.module->eval();
  const Tensor x = zeros({2, 3, 24, 24});
  CHECK(error(x, false) == error(x, true));
  CHECK(error(x, false) != "no error");
}

TEST_SUITE_END();
