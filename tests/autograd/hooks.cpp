// Hooks of tensors and nodes, as PyTorch's test_autograd.py pins them; numbers are PyTorch 2.13's.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "nnm/autograd/record.h"
#include "nnm/autograd/saved_hooks.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::error_of;
using nnm::testing::leaf;
using nnm::testing::values;

namespace {

using Log = std::vector<std::string>;

std::string shown(const Tensor& g) { return g.defined() ? python_float(g.item().d) : "None"; }

auto noting(Log& log, const std::string& what) {
  return [&log, what](const auto& grads) {
    if constexpr (std::is_same_v<std::decay_t<decltype(grads)>, Tensor>) {
      log.push_back(what + " " + shown(grads));
    } else {
      log.push_back(what + " " + shown(grads.at(0)));
      return std::optional<Tensors>();
    }
  };
}

// A function of two outputs whose backward has no gradient to give.
std::pair<Tensor, Tensor> without_gradient(const Tensor& x) {
  const Tensor out[] = {x.detach(), mul(x.detach(), 2.0)};
  const Tensor in[] = {x};
  record("NoneBackward", out, in, [](Backward&) {});
  return {out[0], out[1]};
}

}  // namespace

TEST_CASE("tensor hooks run before node pre-hooks, each kind in order of registration") {
  Log log;
  const Tensor t = clone(leaf({1}));
  t.register_hook(noting(log, "tensor 1"));
  t.grad_fn()->register_prehook(noting(log, "pre 1"));
  t.register_hook(noting(log, "tensor 2"));
  t.grad_fn()->register_prehook(noting(log, "pre 2"));
  t.backward();
  CHECK(log == Log{"tensor 1 1.0", "tensor 2 1.0", "pre 1 1.0", "pre 2 1.0"});
}

TEST_CASE("retain_grad sees tensor hooks whenever registered, not node pre-hooks") {
  auto doubled = [](const Tensor& g) { return mul(g, 2.0); };
  const Tensor t = clone(leaf({1}));
  t.register_hook(doubled);
  CHECK_FALSE(t.retains_grad());
  t.retain_grad();
  CHECK(t.retains_grad());
  t.register_hook(doubled);
  t.backward();
  CHECK(t.grad().item().d == 4);
  const Tensor u = clone(leaf({1}));
  u.register_hook(doubled);
  u.grad_fn()->register_prehook([](const Tensors& g) { return Tensors{mul(g[0], 2.0)}; });
  u.retain_grad();
  u.backward();
  CHECK(u.grad().item().d == 2);
}

TEST_CASE("at a leaf: tensor hook, pre-hook, accumulation, post-accumulate hook, post-hook") {
  Log log;
  const Tensor a = leaf({1});
  const Ref<Node> sink = gradient_edge(a).node;
  sink->register_hook([&](const Tensors& in, const Tensors& out) -> std::optional<Tensors> {
    CHECK(in.empty());
    log.push_back("post " + shown(out.at(0)) + " " + shown(a.grad()));
    return std::nullopt;
  });
  sink->register_prehook(noting(log, "pre"));
  a.register_hook([&](const Tensor& g) {
    log.push_back("tensor");
    return mul(g, 2.0);
  });
  a.register_post_accumulate_grad_hook(
      [&](const Tensor& t) { log.push_back("accumulated " + shown(t.grad())); });
  clone(a).backward();
  CHECK(log == Log{"tensor", "pre 2.0", "accumulated 2.0", "post 2.0 2.0"});
  // grad() captures and does not accumulate.
  log.clear();
  a.set_grad({});
  grad({clone(a)}, {a});
  CHECK(log == Log{"tensor"});
  CHECK_FALSE(a.grad().defined());
}

TEST_CASE("which hooks run when gradients of some tensors alone are asked for") {
  using Counts = std::array<int, 3>;  // tensor, pre, post
  auto count = [](const auto& run) {
    const Tensor a = leaf({1}), b = clone(a);
    Counts c{};
    for (const Tensor& t : {a, b}) {
      t.register_hook([&c](const Tensor&) { ++c[0]; });
      const Ref<Node> node = gradient_edge(t).node;
      node->register_prehook([&c](const Tensors&) {
        ++c[1];
        return std::optional<Tensors>();
      });
      node->register_hook([&c](const Tensors&, const Tensors&) {
        ++c[2];
        return std::optional<Tensors>();
      });
    }
    run(a, b);
    return c;
  };
  CHECK(count([](auto&, auto& b) { grad({b}, {b}); }) == Counts{1, 0, 0});
  CHECK(count([](auto& a, auto& b) { grad({b}, {a}); }) == Counts{2, 1, 1});
  CHECK(count([](auto& a, auto& b) { grad({b}, {a, b}); }) == Counts{2, 1, 1});
  CHECK(count([](auto&, auto& b) { backward({b}, {}, false, false, {b}); }) == Counts{1, 1, 1});
  CHECK(count([](auto& a, auto& b) { backward({b}, {}, false, false, {a}); }) == Counts{2, 2, 2});
  CHECK(count([](auto& a, auto& b) {
          backward({b}, {}, false, false, {a, b});
        }) == Counts{2, 2, 2});
  CHECK(count([](auto&, auto& b) { b.backward(); }) == Counts{2, 2, 2});
}

TEST_CASE("hooks beside the way to what is asked for do not run") {
  const Tensor x = leaf({1}), w = leaf({1});
  int fired = 0;
  x.register_hook([&](const Tensor&) { ++fired; });
  const Tensor y = mul(x, 1.0);
  y.register_hook([&](const Tensor&) { ++fired; });
  grad({mul(y, w)}, {w});
  CHECK(fired == 0);
}

TEST_CASE("retain_grad works under grad, and backward to a non-leaf retains its gradient") {
  const Tensor x = leaf({1}), y = mul(x, 2.0);
  y.retain_grad();
  const Tensor z = mul(y, 3.0);
  CHECK(grad({z}, {x}, {}, true)[0].item().d == 6);
  CHECK(y.grad().item().d == 3);
  const Tensor u = mul(x, 2.0);
  backward({mul(u, 3.0)}, {}, false, false, {u});
  CHECK(u.grad().item().d == 3);
  CHECK(u.retains_grad());
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("where no gradient arrives hooks run with none") {
  Log log;
  const Tensor x = leaf({1}), y = mul(x, 2.0);
  y.register_hook(noting(log, "tensor"));
  y.grad_fn()->register_prehook(noting(log, "pre"));
  y.grad_fn()->register_hook([&](const Tensors& in, const Tensors& out) -> std::optional<Tensors> {
    log.push_back("post " + shown(in.at(0)) + " " + shown(out.at(0)));
    return std::nullopt;
  });
  x.register_hook(noting(log, "leaf"));
  x.register_post_accumulate_grad_hook([&](const Tensor&) { log.push_back("accumulated"); });
  without_gradient(y).first.backward();
  CHECK(log == Log{"tensor None", "pre None", "post None None", "leaf None", "accumulated"});
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("a hook on an unused output of a node of several is called with none") {
  Log log;
  const Tensors parts = split(leaf({1, 1}), 1);
  parts[0].register_hook(noting(log, "used"));
  parts[1].register_hook(noting(log, "unused"));
  sum(parts[0]).backward();
  CHECK(log == Log{"used 1.0", "unused None"});
}

TEST_CASE("errors of tensor hooks are PyTorch's") {
  auto with = [](const Tensor& result, const std::string& name = "<unknown>") {
    const Tensor y = mul(leaf({1, 1}), 1.0);
    y.register_hook([&](const Tensor&) { return result; }, name);
    return error_of([&] { sum(y).backward(); });
  };
  CHECK(with(ones({3}, {DType::f64})) ==
        "RuntimeError: hook '<unknown>' has changed the size of value");
  CHECK(with(ones({2}), "named") ==
        "RuntimeError: hook 'named' has changed the type of value (was torch.DoubleTensor got "
        "torch.FloatTensor)");
  const Tensors parts = split(leaf({1, 1}), 1);
  parts[1].register_hook([](const Tensor&) { return ones({1}, {DType::f64}); });
  CHECK(error_of([&] { parts[0].backward(); }) ==
        "RuntimeError: can't replace a None gradient with a non-None value");
  const Tensor plain = ones({1});
  const char* const no_grad =
      "RuntimeError: cannot register a hook on a tensor that doesn't require gradient";
  CHECK(error_of([&] { plain.register_hook([](const Tensor&) {}); }) == no_grad);
  CHECK(error_of([&] { plain.register_post_accumulate_grad_hook([](const Tensor&) {}); }) ==
        no_grad);
  CHECK(error_of([] {
          mul(leaf({1}), 2.0).register_post_accumulate_grad_hook([](const Tensor&) {});
        }) == "RuntimeError: post accumulate grad hooks cannot be registered on non-leaf tensors");
  CHECK(error_of([&] { plain.retain_grad(); }) ==
        "RuntimeError: can't retain_grad on Tensor that has requires_grad=False");
}

TEST_CASE("results of node hooks are checked by number, size and type") {
  auto pre = [](Tensors r) {
    const Tensor y = mul(leaf({1, 1}), 2.0);
    y.grad_fn()->register_prehook([r](const Tensors&) { return std::optional(r); }, "hook");
    return error_of([&] { sum(y).backward(); });
  };
  auto post = [](Tensors r) {
    const Tensor y = exp(leaf({1, 1}));
    y.grad_fn()->register_hook([r](const Tensors&, const Tensors&) { return std::optional(r); });
    return error_of([&] { sum(y).backward(); });
  };
  const Tensor good = ones({2}, {DType::f64});
  CHECK(pre({}) ==
        "RuntimeError: hook 'hook' has returned an incorrect number of values (got 0, but expected "
        "1)");
  CHECK(pre({good, good}) ==
        "RuntimeError: hook 'hook' has returned an incorrect number of values (got 2, but expected "
        "1)");
  CHECK(pre({ones({3}, {DType::f64})}) ==
        "RuntimeError: hook 'hook' has changed the size of value");
  CHECK(pre({good}) == "");
  CHECK(post({}) ==
        "RuntimeError: hook '<unknown>' has returned an incorrect number of values (got 0, but "
        "expected 1)");
  CHECK(post({ones({2})}) ==
        "RuntimeError: hook '<unknown>' has changed the type of value (was torch.DoubleTensor got "
        "torch.FloatTensor)");
  CHECK(post({good}) == "");
}

TEST_CASE("node pre-hooks of several outputs, and their removal") {
  const Tensor x = leaf({1, 1});
  const Tensors parts = split(x, 1);
  const Ref<Node> node = parts[0].grad_fn();
  auto h = node->register_prehook([](const Tensors& g) {
    CHECK(g.size() == 2);
    return std::optional(Tensors{mul(g[0], 2.0), mul(g[1], 3.0)});
  });
  const Tensor y = add(parts[0], parts[1]);
  y.backward({}, true);
  CHECK(values(x.grad()) == std::vector<double>{2, 3});
  h.remove();
  x.set_grad({});
  y.backward();
  CHECK(values(x.grad()) == std::vector<double>{1, 1});
}

TEST_CASE("tensor hooks and retain_grad around writes in place") {
  std::vector<double> seen;
  auto doubling = [&](const Tensor& g) {
    seen.push_back(g.item().d);
    return mul(g, 2.0);
  };
  const Tensor a = leaf({1});
  const Tensor t = clone(a);
  t.register_hook(doubling);
  t.retain_grad();
  mul_(t, 2.0);
  t.register_hook(doubling);
  t.backward();
  CHECK(seen == std::vector<double>{1, 4});
  CHECK(a.grad().item().d == 8);
  CHECK(t.grad().item().d == 2);
}

TEST_CASE("writes in place into one of several outputs move its hooks' node alone") {
  Log log;
  const Tensor x = leaf({1});
  const Tensor a = mul(x.detach(), 2.0), b = mul(x.detach(), 3.0);
  const Tensor out[] = {a, b}, in[] = {x};
  record("TwoBackward", out, in,
         [](Backward& n) { n.set(0, add(mul(n.grad(0), 2.0), mul(n.grad(1), 3.0))); });
  auto doubling = [&](const char* what) {
    return [&log, what](const Tensor& g) {
      log.push_back(what + (" " + shown(g)));
      return mul(g, 2.0);
    };
  };
  a.register_hook(doubling("a"));
  b.register_hook(doubling("b"));
  b.retain_grad();
  mul_(b, 2.0);
  b.register_hook(doubling("b2"));
  add(a, b).backward();
  CHECK(log == Log{"b2 1.0", "a 1.0", "b 4.0"});
  CHECK(x.grad().item().d == 28);
  CHECK(b.grad().item().d == 2);
}

TEST_CASE("hooks removed while hooks of the tensor run still run, hooks removed before do not") {
  Log log;
  const Tensor x = leaf({1});
  RemovableHandle second;
  x.register_hook([&](const Tensor&) {
    log.push_back("1");
    second.remove();
  });
  second = x.register_hook([&](const Tensor&) { log.push_back("2"); });
  mul(x, 1.0).backward();
  CHECK(log == Log{"1", "2"});
  mul(x, 1.0).backward();
  CHECK(log == Log{"1", "2", "1"});
  const Tensor y = mul(x, 1.0);
  auto removed = y.register_hook([&](const Tensor&) { log.push_back("removed"); });
  removed.remove();
  y.register_hook([&](const Tensor&) { log.push_back("kept"); });
  y.backward();
  CHECK(log == Log{"1", "2", "1", "kept", "1"});
}

TEST_CASE("a tensor used many times has its hook called once, with the sum") {
  Log log;
  const Tensor x = leaf({2});
  x.register_hook(noting(log, "x"));
  add(add(mul(x, x), x), x).backward();
  CHECK(log == Log{"x 6.0"});
}

TEST_CASE("retain_grad accumulates over backwards, and asking twice is asking once") {
  const Tensor x = leaf({1}), h = mul(x, 3.0);
  h.retain_grad();
  h.retain_grad();
  for (const double expected : {6.0, 12.0}) {
    mul(h, h).backward({}, true);
    CHECK(h.grad().item().d == expected);
  }
  x.retain_grad();  // a leaf has its gradient anyway
  CHECK_FALSE(x.retains_grad());
}

TEST_CASE("a backward inside a hook of a leaf or of a result leaves the outer one intact") {
  for (const bool of_leaf : {true, false}) {
    const Tensor x = leaf({1, 1}), p = leaf({1, 1});
    const Tensor y = mul(x, 3.0);
    (of_leaf ? x : y).register_hook([&](const Tensor& g) {
      const EnableGradGuard on;
      sum(mul(p, 0.5)).backward();
      return mul(g, 5.0);
    });
    sum(y).backward();
    CHECK(values(x.grad()) == std::vector<double>{15, 15});
    CHECK(values(p.grad()) == std::vector<double>{0.5, 0.5});
  }
}

TEST_CASE("post-accumulate hooks: several, on several leaves, and as an optimizer") {
  const Tensor a = leaf({1}), b = leaf({2});
  Log log;
  a.register_post_accumulate_grad_hook([&](const Tensor& t) {
    CHECK(t.is_same(a));
    log.push_back("a1");
  });
  auto second = a.register_post_accumulate_grad_hook([&](const Tensor&) { log.push_back("a2"); });
  b.register_post_accumulate_grad_hook([&](const Tensor& t) {
    CHECK_FALSE(grad_enabled());
    const NoGradGuard no_grad;
    add_(t, t.grad(), -0.5);
    t.set_grad({});
    log.push_back("b");
  });
  mul(a, b).backward();
  CHECK(log.size() == 3);
  CHECK(b.item().d == 1.5);
  CHECK_FALSE(b.grad().defined());
  second.remove();
  log.clear();
  mul(a, b).backward();
  CHECK(log.size() == 2);
  // Switched off between forward and backward, a leaf takes no gradient.
  const Tensor y = mul(a, 1.0);
  a.requires_grad_(false);
  a.set_grad({});
  y.backward();
  CHECK_FALSE(a.grad().defined());
}

TEST_CASE("hooks and what they hold die with their tensor or node, whatever handles live") {
  const auto held = std::make_shared<int>(0);
  RemovableHandle h1, h2, h3, h4;
  {
    const Tensor x = leaf({1});
    h1 = x.register_hook([held](const Tensor&) {});
    h2 = x.register_post_accumulate_grad_hook([held](const Tensor&) {});
    const Tensor y = mul(x, 2.0);
    h3 = y.grad_fn()->register_prehook([held](const Tensors&) { return std::optional<Tensors>(); });
    h4 = y.grad_fn()->register_hook(
        [held](const Tensors&, const Tensors&) { return std::optional<Tensors>(); });
    CHECK(held.use_count() == 5);
  }
  CHECK(held.use_count() == 1);
  for (RemovableHandle* h : {&h1, &h2, &h3, &h4}) h->remove();
}

TEST_CASE("a hook over several tensors is called once per backward with what came") {
  const Tensor a = leaf({1, 1}), b = leaf({1, 1}), c = mul(a, b), d = mul(a, b);
  std::vector<std::vector<bool>> calls;
  auto h = register_multi_grad_hook({a, b, c, d}, [&](const Tensors& grads) {
    calls.emplace_back();
    for (const Tensor& g : grads) calls.back().push_back(g.defined());
  });
  sum(c).backward({}, true);
  backward({sum(c)}, {}, true, false, {a});
  sum(add(c, d)).backward({}, true);
  CHECK(calls == std::vector<std::vector<bool>>{{true, true, true, false},
                                                {true, false, true, false},
                                                {true, true, true, true}});
  h.remove();
  sum(c).backward({}, true);
  CHECK(calls.size() == 3);

  int any = 0;
  const auto first = register_multi_grad_hook_any({a, ones({1}), c}, [&](const Tensor& g) {
    ++any;
    CHECK(values(g) == std::vector<double>{2, 2});  // c's, which comes before a's
  });
  sum(mul(c, 2.0)).backward({}, true);
  sum(mul(c, 2.0)).backward({}, true);
  CHECK(any == 2);
}

TEST_CASE("hooks over several tensors are refused in PyTorch's words") {
  const Tensor a = leaf({1}), plain = ones({1});
  int calls = 0;
  auto count = [&](const auto&) { ++calls; };
  CHECK(error_of([&] {
          register_multi_grad_hook({a, plain}, count, "all");
        }) == "AssertionError: Expected gradient function to be set");
  sum(a).backward();
  CHECK(calls == 0);  // nothing stays registered on a
  CHECK(error_of([&] { register_multi_grad_hook({a}, count, "some"); }) ==
        "ValueError: Expects mode to be one of ('all', 'any') but got some");
  CHECK(error_of([&] {
          register_multi_grad_hook(
              {a}, [](const Tensors&) {}, "any");
        }) == "TypeError: a multi-grad hook of mode 'any' takes const Tensor&");
  auto any = register_multi_grad_hook({plain, a}, count, "any");
  auto all = register_multi_grad_hook({a, a}, count, "all");
  sum(a).backward();
  CHECK(calls == 2);
  any.remove();
  all.remove();
  CHECK(error_of([&] { register_multi_grad_hook({}, count, "all"); }) == "");
}

TEST_CASE("a hook over several tensors outlives some of them") {
  const Tensor a = leaf({1});
  int calls = 0;
  RemovableHandle h;
  {
    const Tensor gone = mul(leaf({1}), 2.0);
    h = register_multi_grad_hook({a, gone}, [&](const Tensors& g) {
      ++calls;
      CHECK(g[0].defined());
      CHECK_FALSE(g[1].defined());
    });
  }
  mul(a, 2.0).backward();
  CHECK(calls == 1);
  h.remove();
  mul(a, 2.0).backward();
  CHECK(calls == 1);
}

TEST_CASE("hooks of the outputs of one node run output by output") {
  const Tensor x = leaf({1, 2});
  const Tensors parts = unbind(x * 3);
  Log log;
  parts[0].register_hook(noting(log, "a1"));
  parts[1].register_hook(noting(log, "b"));
  parts[0].register_hook(noting(log, "a2"));
  (parts[0] + parts[1]).backward();
  CHECK(log == Log{"a1 1.0", "a2 1.0", "b 1.0"});
}

TEST_CASE("a tensor on the way to another is given its gradient before its hooks") {
  const Tensor x = leaf({1});
  const Tensor v = x * 1;
  v.register_hook([](const Tensor& g) { return g * 2; });
  const Tensors both = grad({sum(v)}, {x, v}, {}, true);
  CHECK(values(both[0]) == std::vector<double>{2});
  CHECK(values(both[1]) == std::vector<double>{1});
  CHECK(values(grad({sum(v)}, {v})[0]) == std::vector<double>{2});
}

TEST_CASE("a leaf that was frozen since gets no gradient, its post-accumulate hooks run") {
  const Tensor x = leaf({1});
  Log log;
  x.register_post_accumulate_grad_hook([&](const Tensor& t) { log.push_back(shown(t.grad())); });
  const Tensor y = sum(x * 2);
  x.requires_grad_(false);
  y.backward();
  CHECK(log == Log{"None"});
  const Tensor frozen = tensor_of<double>(std::vector<double>{1}, Shape{1}, {DType::f64});
  CHECK(error_of([&] { sum(leaf({1}) * 2).backward({}, false, false, {frozen}); }) ==
        "RuntimeError: can't retain_grad on Tensor that has requires_grad=False");
}
