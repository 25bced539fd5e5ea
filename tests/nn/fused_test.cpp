// Layers done in one pass at inference: the same numbers up to rounding, and nothing hidden from
// anybody who looks.
#include "nnm/nn/layers/fused.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "lang/model_support.h"
#include "nnm/autograd/saved_hooks.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/layers/pool.h"
#include "ops/wave.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::same_bits;
using nnm::testing::Threads;

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

Tensor one_by_one(Module& m, const Tensor& x) {
  const nn::OneByOneGuard guard;
  return m(x).detach();
}

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

namespace {

// What a training step leaves: the result and the gradients of the input and all parameters.
struct Trained {
  Tensors all;
  size_t nodes = 0;  ///< between the result and the leaves

  Trained(Module& m, const Tensor& images, bool input_gradient) {
    for (const Tensor& p : m.parameters()) Tensor(p).set_grad({});
    const Tensor x = images.detach();
    if (input_gradient) x.requires_grad_();
    const Tensor y = m(x);
    std::set<const Node*> seen;
    count(y.grad_fn().get(), seen);
    nodes = seen.size();
    sum(mul(y, y)).backward();
    all = {y, x.grad()};
    for (const Tensor& p : m.parameters()) all.push_back(p.grad());
  }

  static void count(const Node* n, std::set<const Node*>& seen) {
    if (!n || dynamic_cast<const AccumulateGrad*>(n) || !seen.insert(n).second) return;
    for (const Edge& e : n->next) count(e.node.get(), seen);
  }

  bool same(const Trained& other) const {
    return std::equal(all.begin(), all.end(), other.all.begin(), other.all.end(), same_bits);
  }
};

Trained trained_one_by_one(Module& m, const Tensor& x, bool input_gradient) {
  const nn::OneByOneGuard guard;
  return {m, x, input_gradient};
}

}  // namespace

TEST_CASE("fused: a training step has the bits of calls one after another") {
  using nn::Conv2d;
  using nn::MaxPool2d;
  manual_seed(8);
  struct {
    Shape x;
    Conv2d::Options conv;
    MaxPool2d::Options pool;
    size_t nodes;                                            // of three calls
  } cases[] = {{{16, 1, 28, 28}, {1, 32, 3, 1, 1}, {2}, 1},  // narrow
               {{5, 3, 13, 11}, {3, 48, {4, 3}, 2, 1}, {3, Size2(2), 1}, 1},
               {{17, 32, 14, 14}, {32, 64, 3, 1, 1}, {2}, 1},  // Winograd's
               {{1, 64, 27, 30}, {64, 32, 3, 1, 1}, {3, Size2(3), 0, 1, false, true}, 1},
               {{4, 16, 12, 12}, {16, 24, 5, 2}, {2}, 2}};  // oneDNN's
  for (auto& c : cases) {
    CAPTURE(c.x.str());
    for (const bool bias : {true, false}) {
      c.conv.bias = bias;
      nn::Sequential s(Conv2d(c.conv), nn::ReLU(), MaxPool2d(c.pool));
      const Tensor x = randn(c.x);
      for (const bool input_gradient : {false, true}) {
        const Trained expected = trained_one_by_one(s, x, input_gradient);
        CHECK(expected.nodes == 3);
        for (const int threads : {1, 2, 3}) {
          const Threads scope(threads);
          const Trained got(s, x, input_gradient);
          CHECK(got.nodes == c.nodes);
          CHECK(got.same(expected));
        }
      }
    }
  }
}

TEST_CASE("fused: a training step where somebody looks on") {
  manual_seed(9);
  nn::Sequential s(nn::Conv2d(1, 32, 3), nn::ReLU(), nn::MaxPool2d(2));
  const Tensor x = randn({3, 1, 12, 12});
  const Trained expected = trained_one_by_one(s, x, false);
  CHECK(Trained(s, x, false).nodes == 1);
  const size_t nodes[] = {2, 3,
                          3};  // relu and pooling need not see that the convolution is watched
  for (int64_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    Tensor out, grad;
    const RemovableHandle forward = s[i].register_forward_hook(
        [&](Module&, const Tensor&, const Tensor& o) { out = o.detach(); });
    const Trained got(s, x, false);
    CHECK(got.nodes == nodes[i]);
    CHECK(got.same(expected));
    CHECK(out.defined());
    RemovableHandle(forward).remove();
    const RemovableHandle backward = s[i].register_full_backward_hook(
        [&](Module&, const Tensors&, const Tensors& g) -> std::optional<Tensors> {
          grad = g[0];
          return {};
        });
    CHECK(Trained(s, x, false).same(expected));
    CHECK(grad.defined());
    RemovableHandle(backward).remove();
    CHECK(Trained(s, x, false).nodes == 1);
  }
  set_detect_anomaly(true);
  CHECK(Trained(s, x, false).nodes == 3);
  set_detect_anomaly(false);
  {
    const SavedTensorsHooks hooks([](const Tensor& t) { return Value(t); },
                                  [](const Value& v) { return v.as<Tensor>(); });
    CHECK(Trained(s, x, false).nodes == 3);
  }
  // Of frozen weights only the bias' gradient is asked for.
  s[0].get_parameter("weight").requires_grad_(false);
  CHECK(Trained(s, x, false).same(trained_one_by_one(s, x, false)));
  // A relu in place shows in what it overwrites.
  nn::Sequential in_place(nn::ReLU({.inplace = true}), nn::MaxPool2d(2));
  const Tensor leaf = randn({1, 3, 4, 4}).requires_grad_(), given = mul(leaf, 1);
  in_place(given);
  CHECK(same_bits(given, relu(leaf)));
}

TEST_CASE("fused: poolings of configs, in training") {
  const char* const text = R"(
nnm: 1
define:
  Net:
    modules:
      conv: Conv2d(1, 16, 3, padding=1)
      bn: BatchNorm2d(16)
      act: ReLU()
      down: MaxPool2d(2)
    forward:
      - return RETURN
model: Net()
)";
  const struct {
    const char* chain;
    size_t nodes, apart;
  } cases[] = {{"x |> conv |> relu |> max_pool2d(2)", 1, 3},
               {"down(act(conv(x)))", 1, 3},
               {"x |> conv |> act |> max_pool2d(3, stride=2, padding=1)", 1, 3},
               {"x |> conv |> relu |> down", 1, 3},
               {"x |> conv |> bn |> relu |> down", 3, 4},
               {"(x |> conv) * 2 |> relu |> max_pool2d(2)", 3, 4},
               {"x |> conv |> relu(inplace=true) |> max_pool2d(2)", 5, 5},
               {"(x |> conv |> relu |> max_pool2d(2, return_indices=true))[0]", 3, 3},
               {"x |> conv |> relu |> max_pool2d(int(x.shape[0]))", 3, 3},
               {"x |> conv |> relu |> down |> relu |> down", 2, 5}};
  manual_seed(10);
  const Tensor x = randn({2, 1, 12, 12});
  for (const auto& c : cases) {
    CAPTURE(c.chain);
    std::string config = text;
    config.replace(config.find("RETURN"), 6, c.chain);
    const lang::Model model = testing::ParsedModel(config).build();
    Module& m = *model.module;
    const Trained expected = trained_one_by_one(m, x, false), got(m, x, false);
    CHECK(expected.nodes == c.apart);
    CHECK(got.nodes == c.nodes);
    CHECK(got.same(expected));
    for (const auto& [name, part] : m.named_children()) {
      int calls = 0;
      const RemovableHandle hook =
          part->register_forward_hook([&](Module&, const Tensor&, const Tensor&) { ++calls; });
      CHECK(Trained(m, x, false).same(expected));
      CHECK((calls > 0) == testing::contains(c.chain, name));
      RemovableHandle(hook).remove();
    }
    m.eval();
    const NoGradGuard no_grad;
    CHECK(far_from(m(x), one_by_one(m, x)) == "");
  }
}

TEST_SUITE_END();
