// What PyTorch's test/nn/test_module_hooks.py asserts of hooks on one module: TestModuleHooks and
// TestModuleHookNN. conformance.tsv maps its tests to these.
#include "nn/modules.h"
#include "nnm/nn/layers/norm.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

struct FailsInForward : Lin {
  using Lin::forward;
  Tensor forward(const Tensor& x) override {
    const Tensor y = Lin::forward(x);
    if (fail) nnm::fail(ErrorKind::runtime, "failing in forward");
    return y;
  }
  bool fail = true;
};

void step(Module& m, bool input_requires_grad = true) {
  Tensor x = tensor({1, 2, 3});
  x.requires_grad_(input_requires_grad);
  sum(m(x)).backward();
}

}  // namespace

TEST_CASE("five forward hooks on a nested module, some prepended, fire in order and only forward") {
  Net net;
  Module& inner = net.get_submodule("b.lin");
  Order fired;
  for (const int i : {0, 1, 2, 3, 4}) {
    inner.register_forward_hook(
        [&fired, &inner, i](Module& m, const Values& args, const Value& out) {
          CHECK(&m == &inner);
          CHECK(args.size() == 1);
          CHECK(out.holds<Tensor>());
          fired.push_back(i);
        },
        {.prepend = i == 1 || i == 4});
  }
  const Order expected{4, 1, 0, 2, 3};
  const Tensor y = net(needing({1, 2, 3}));
  CHECK(fired == expected);
  sum(y).backward();
  CHECK(fired == expected);
  fired.clear();
  net(tensor({1, 2, 3}));
  CHECK(fired == expected);
}

TEST_CASE("five forward pre-hooks, the first and the last prepended, fire in order") {
  Net net;
  Module& inner = net.get_submodule("b.lin");
  Order fired;
  for (const int i : {0, 1, 2, 3, 4}) {
    inner.register_forward_pre_hook(
        [&fired, &inner, i](Module& m, const Values& args) {
          CHECK(&m == &inner);
          CHECK(args.size() == 1);
          fired.push_back(i);
        },
        {.prepend = i == 0 || i == 4});
  }
  const Tensor y = net(needing({1, 2, 3}));
  CHECK(fired == Order{4, 0, 1, 2, 3});
  sum(y).backward();
  CHECK(fired.size() == 5);
}

TEST_CASE("full backward hooks fire in order in each backward, with any kind of input") {
  const Warnings warnings;
  for (const bool requires_grad : {true, false}) {
    Net net;
    Module& inner = net.get_submodule("a.lin");
    Order fired;
    for (const int i : {0, 1, 2, 3, 4}) {
      inner.register_full_backward_hook(
          [&fired, &inner, i](Module& m, const Tensors& grad_input, const Tensors& grad_output) {
            CHECK(&m == &inner);
            CHECK(grad_input.size() == 1);
            CHECK(grad_output.size() == 1);
            fired.push_back(i);
          },
          {.prepend = i == 3 || i == 4});
    }
    net(tensor({1, 2, 3}));
    CHECK(fired.empty());
    step(net, requires_grad);
    CHECK(fired == Order{4, 3, 0, 1, 2});
    fired.clear();
    step(net, requires_grad);
    CHECK(fired == Order{4, 3, 0, 1, 2});
  }
}

TEST_CASE("full backward pre-hooks fire in order and may replace grad_output") {
  Net net;
  Module& inner = net.get_submodule("b.lin");
  Order fired;
  for (const int i : {0, 1, 2, 3, 4}) {
    inner.register_full_backward_pre_hook(
        [&fired, &inner, i](Module& m, const Tensors& grad_output) {
          CHECK(&m == &inner);
          CHECK(grad_output.size() == 1);
          fired.push_back(i);
        },
        {.prepend = i == 0 || i == 1});
  }
  step(net);
  CHECK(fired == Order{1, 0, 2, 3, 4});
  const ScopedHandle zero(net.register_full_backward_pre_hook(
      [](Module&, const Tensors& g) { return std::optional(Tensors{g[0] * 0}); }));
  const Tensor x = needing({1, 2, 3});
  sum(net(x)).backward();
  CHECK(floats(x.grad()) == Floats{0, 0, 0});
}

TEST_CASE("the four kinds of a module fire as pre, forward, backward pre, backward") {
  Lin lin;
  Order fired;
  lin.register_forward_pre_hook([&](Module&, const Values&) { fired.push_back(0); });
  lin.register_forward_hook([&](Module&, const Values&, const Value&) { fired.push_back(1); });
  lin.register_full_backward_pre_hook([&](Module&, const Tensors&) { fired.push_back(2); });
  lin.register_full_backward_hook(
      [&](Module&, const Tensors&, const Tensors&) { fired.push_back(3); });
  step(lin);
  CHECK(fired == Order{0, 1, 2, 3});
}

TEST_CASE("keyword hooks edit keywords for forward and for later hooks") {
  struct KwargModel : Module {
    Value forward(const Args& a) override { return arg(a) + a.kw.at(0).second.as<Tensor>(); }
    std::optional<Args> doubled(const Values& args, const Items& kw) {
      ++calls;
      return Args{args, {{kw[0].first, kw[0].second.as<Tensor>() * 2}}};
    }
    int calls = 0;
  } m;
  const Tensor x = tensor({1, 2}), bias = tensor({10, 10});
  const Args call{{x}, {{"bias", bias}}};
  // A method as a hook.
  m.register_forward_pre_hook(
      [&m](Module&, const Values& a, Items& kw) { return m.doubled(a, kw); });
  CHECK(floats(m(call).as<Tensor>()) == Floats{21, 22});
  CHECK(m.calls == 1);
  m.register_forward_hook([](Module&, const Values&, const Items& kw, const Value& out) {
    return out.as<Tensor>() + kw[0].second.as<Tensor>();
  });
  CHECK(floats(m(call).as<Tensor>()) == Floats{41, 42});  // x + 4 bias
}

TEST_CASE("a keyword pre-hook returns nothing or a tuple of arguments and keywords") {
  Fn m([](const Args& a) { return arg(a) * a.kw.at(0).second.integer(); });
  const Args call{{tensor({1})}, {{"k", 1}}};
  auto result = [&](const Value& v) {
    const ScopedHandle h(
        m.register_forward_pre_hook([&](Module&, const Values&, Items&) { return v; }));
    return error_of([&] { m(call); });
  };
  CHECK(result(5) ==
        "RuntimeError: forward pre-hook must return None or a tuple of (new_args, new_kwargs), but "
        "got 5.");
  CHECK(result(Value::tuple({1})) ==
        "RuntimeError: forward pre-hook must return None or a tuple of (new_args, new_kwargs), but "
        "got (1,).");
  CHECK(result(Value()) == "");
  const ScopedHandle h(m.register_forward_pre_hook([](Module&, const Values& a, Items&) {
    return Value::tuple({Value::tuple({a[0].as<Tensor>() * 2}), Value::dict({{"k", 10}})});
  }));
  CHECK(floats(m(call).as<Tensor>()) == Floats{20});
}

TEST_CASE("removing keyword hooks restores the result") {
  Fn m([](const Args& a) { return arg(a) + a.kw.at(0).second.as<Tensor>(); });
  const Args call{{tensor({1, 2})}, {{"bias", tensor({10, 10})}}};
  auto pre = m.register_forward_pre_hook(
      [](Module&, const Values&, Items& kw) { kw[0].second = kw[0].second.as<Tensor>() * 2; });
  auto post = m.register_forward_hook([](Module&, const Values&, const Items& kw, const Value& y) {
    return y.as<Tensor>() + kw[0].second.as<Tensor>();
  });
  CHECK(floats(m(call).as<Tensor>()) == Floats{41, 42});
  post.remove();
  CHECK(floats(m(call).as<Tensor>()) == Floats{21, 22});
  pre.remove();
  CHECK(floats(m(call).as<Tensor>()) == Floats{11, 12});
}

TEST_CASE("always_call hooks run after any failure, the original error wins") {
  const Warnings warnings;
  FailsInForward m;
  std::string log;
  const Tensor x = tensor({1, 2, 3});
  auto run = [&] {
    log.clear();
    return error_of([&] { m(x); });
  };
  const ScopedHandle plain(
      m.register_forward_hook([&](Module&, const Values&, const Value&) { log += "plain "; }));
  auto first = m.register_forward_hook(
      [&](Module&, const Values&, const Value&) { log += "first "; }, {.always_call = true});
  CHECK(run() == "RuntimeError: failing in forward");
  CHECK(log == "first ");
  {
    const ScopedHandle pre(m.register_forward_pre_hook(
        [](Module&, const Values&) { fail(ErrorKind::value, "failing in pre hook"); }));
    CHECK(run() == "ValueError: failing in pre hook");
    CHECK(log == "first ");
  }
  m.fail = false;
  {
    // An always_call hook that fails is not run again; those after it run once, late.
    const ScopedHandle failing(m.register_forward_hook(
        [&](Module&, const Values&, const Value&) {
          log += "failing ";
          fail(ErrorKind::value, "failing in hook");
        },
        {.always_call = true}));
    const ScopedHandle last(m.register_forward_hook(
        [&](Module&, const Values&, const Value&) { log += "last "; }, {.always_call = true}));
    CHECK(run() == "ValueError: failing in hook");
    CHECK(log == "plain first failing last ");
  }
  CHECK(run() == "");
  CHECK(log == "plain first ");
  m.fail = true;
  first.remove();
  CHECK(run() == "RuntimeError: failing in forward");
  CHECK(log == "");
  auto global = register_module_forward_hook(
      [&](Module&, const Values&, const Value&) { log += "global "; }, true);
  CHECK(run() == "RuntimeError: failing in forward");
  CHECK(log == "global ");
  global.remove();
  CHECK(run() == "RuntimeError: failing in forward");
  CHECK(log == "");
  CHECK(warnings.texts.empty());
}

TEST_CASE("a dict as output: two forwards, no backward hook, one warning") {
  Fn m([](const Args& a) { return Value::dict({{"once", arg(a) * 3}, {"twice", arg(a) * 4}}); });
  int forward = 0, backward = 0;
  m.register_forward_hook([&](Module&, const Values&, const Value&) { ++forward; });
  m.register_full_backward_hook([&](Module&, const Tensors&, const Tensors&) { ++backward; });
  const Warnings warnings;
  for (int i = 0; i < 2; ++i) {
    sum(m(Args{{needing({1})}, {}}).find("once")->as<Tensor>()).backward();
  }
  CHECK(forward == 2);
  CHECK(backward == 0);
  CHECK(warnings.texts.size() <= 1);  // none where an earlier test had it
}

TEST_CASE("hooks count forwards and backwards, each by its own increment") {
  Fn m([](const Args& a) { return sigmoid(arg(a)); });
  int forward = 0, backward = 0;
  auto count_forward = [&](int by) {
    return [&forward, by](Module&, const Values&, const Value&) { forward += by; };
  };
  auto count_backward = [&](int by) {
    return [&backward, by](Module&, const Tensors& in, const Tensors& out) {
      backward += by;
      CHECK(in.size() == 1);
      CHECK(out.size() == 1);
      CHECK(floats(out[0]) == Floats{2, 2});
    };
  };
  const Tensor x = needing({1, 2}), two = tensor({2, 2});
  auto f1 = m.register_forward_hook(count_forward(1));
  m(x);
  CHECK(forward == 1);
  auto b1 = m.register_full_backward_hook(count_backward(1));
  const Tensor y = m(x);
  CHECK(forward == 2);
  y.backward(two, true);
  CHECK(backward == 1);
  y.backward(two, true);
  CHECK(backward == 2);
  auto f2 = m.register_forward_hook(count_forward(2));
  auto b2 = m.register_full_backward_hook(count_backward(2));
  m(x).backward(two);
  CHECK(forward == 5);
  CHECK(backward == 5);
  b2.remove();
  m(x).backward(two);
  CHECK(forward == 8);
  CHECK(backward == 6);
  f2.remove();
  m(x).backward(two);
  CHECK(forward == 9);
  CHECK(backward == 7);
  f1.remove();
  b1.remove();
  m(x).backward(two);
  CHECK(forward == 9);
  CHECK(backward == 7);
}

TEST_CASE("a non-full hook on a normalisation sees its node's gradients") {
  nn::BatchNorm1d bn(5);
  const Warnings warnings;
  int calls = 0;
  bn.register_backward_hook([&](Module&, const Tensors& in, const Tensors& out) {
    ++calls;
    CHECK(in.size() >= 1);
    CHECK(in[0].shape() == Shape{5, 5});
    CHECK(out.size() == 1);
    CHECK(floats(out[0]) == Floats(25, 1.0));
  });
  bn(rand({5, 5}).requires_grad_()).backward(ones({5, 5}));
  CHECK(calls == 1);
}

TEST_CASE("a full hook sees the grad_output that a pre-hook made") {
  Lin lin;
  Floats seen;
  lin.register_full_backward_pre_hook(
      [](Module&, const Tensors& g) { return std::optional(Tensors{g[0] * 2}); });
  lin.register_full_backward_hook([&](Module&, const Tensors& in, const Tensors& out) {
    seen = floats(out[0]);
    CHECK(floats(in[0]) == Floats{4, 4, 4});
  });
  step(lin);
  CHECK(seen == Floats{2, 2, 2});
}

TEST_CASE("wrong numbers of gradients from non-full hooks and pre-hooks are refused") {
  Fn m([](const Args& a) { return sigmoid(arg(a)); });
  const Warnings warnings;
  const Tensor x = needing({1, 2});
  for (const size_t n : {0u, 2u}) {
    const std::string got = "got " + std::to_string(n) + ", but expected 1";
    {
      const ScopedHandle h(m.register_backward_hook(
          [n](Module&, const Tensors&, const Tensors&) { return std::optional(Tensors(n)); }));
      CHECK(error_of([&] { sum(m(x)).backward(); }) ==
            "RuntimeError: hook '<unknown>' has returned an incorrect number of values (" + got +
                ")");
    }
    const ScopedHandle h(m.register_full_backward_pre_hook(
        [n](Module&, const Tensors&) { return std::optional(Tensors(n)); }));
    CHECK(error_of([&] { sum(m(x)).backward(); }) ==
          "RuntimeError: Backward pre hook returned an invalid number of grad_output, " + got);
  }
}

TEST_CASE("inside forward each argument keeps its own requires_grad") {
  std::vector<bool> seen;
  Fn m([&](const Args& a) {
    seen.clear();
    for (const Value& v : a.pos) seen.push_back(v.as<Tensor>().requires_grad());
    return arg(a) + arg(a, 1);
  });
  m.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  const Tensor plain = tensor({1}), grad = needing({1});
  m(plain, grad);
  CHECK(seen == std::vector<bool>{false, true});
  m(grad, plain);
  CHECK(seen == std::vector<bool>{true, false});
  m(grad, grad);
  CHECK(seen == std::vector<bool>{true, true});
  m(plain, plain);
  CHECK(seen == std::vector<bool>{false, false});
}

TEST_CASE(
    "without grad inputs only none may be returned, with the last one needing grad anything") {
  Lin lin;
  const Warnings warnings;
  int calls = 0;
  auto with = [&](std::optional<Tensors> result) {
    const ScopedHandle h(
        lin.register_full_backward_hook([&](Module&, const Tensors& in, const Tensors& out) {
          ++calls;
          for (const Tensor& g : in) CHECK_FALSE(g.defined());
          for (const Tensor& g : out) CHECK(g.defined());
          return result;
        }));
    return error_of([&] { step(lin, false); });
  };
  CHECK(with(std::nullopt) == "");
  CHECK(with(Tensors(1)) == "");
  CHECK(with(Tensors{tensor({1, 1, 1})}) ==
        "RuntimeError: Backward hook for Modules where no input requires gradient should always "
        "return None or None for all gradients.");
  CHECK(calls == 3);

  Fn add([](const Args& a) { return arg(a) + arg(a, 1); });
  add.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  CHECK(error_of([&] { sum(add(tensor({1}), needing({1})).as<Tensor>()).backward(); }) == "");
}

TEST_SUITE_END();
