// Hooks of modules: order, replacement, errors and handles, as PyTorch has them.
#include <unordered_map>

#include "nn/modules.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

// Every hook kind on every module of a net of two levels, global and own; the log of one step.
std::string log_of_step(bool input_requires_grad) {
  std::string log;
  auto note = [&log](const std::string& event) { log += event + "; "; };
  Net net;
  std::unordered_map<const Module*, std::string> name;
  for (const auto& [path, m] : net.named_modules()) name[m] = path.empty() ? "net" : path;
  const ScopedHandle global[] = {
      ScopedHandle(register_module_forward_pre_hook(
          [&](Module& m, const Values&) { note("G.pre " + name[&m]); })),
      ScopedHandle(register_module_forward_hook(
          [&](Module& m, const Values&, const Value&) { note("G.fwd " + name[&m]); })),
      ScopedHandle(register_module_full_backward_pre_hook(
          [&](Module& m, const Tensors&) { note("G.bwdpre " + name[&m]); })),
      ScopedHandle(register_module_full_backward_hook(
          [&](Module& m, const Tensors&, const Tensors&) { note("G.bwd " + name[&m]); }))};
  for (Module* m : net.modules()) {
    m->register_forward_pre_hook([&](Module& m, const Values&) {
      note("L.pre " + name[&m]);
      if (&m == &net) note("body net");
    });
    m->register_forward_hook(
        [&](Module& m, const Values&, const Value&) { note("L.fwd " + name[&m]); });
    m->register_full_backward_pre_hook(
        [&](Module& m, const Tensors&) { note("L.bwdpre " + name[&m]); });
    m->register_full_backward_hook(
        [&](Module& m, const Tensors&, const Tensors&) { note("L.bwd " + name[&m]); });
  }
  for (Wrap* w : {net.a.get(), net.b.get()}) {
    w->before = [&](Wrap& m) { note("body " + name[&m]); };
  }
  for (const auto& [path, p] : net.named_parameters()) {
    p.register_hook([&, path = path](const Tensor&) -> std::optional<Tensor> {
      note("grad " + path);
      return std::nullopt;
    });
    p.register_post_accumulate_grad_hook([&, path = path](const Tensor&) { note("acc " + path); });
  }
  const Tensor x = tensor({1, 1, 1});
  if (input_requires_grad) {
    x.requires_grad_();
    x.register_hook([&](const Tensor&) -> std::optional<Tensor> {
      note("grad x");
      return std::nullopt;
    });
  }
  const Tensor y = net(x);
  y.register_hook([&](const Tensor&) -> std::optional<Tensor> {
    note("grad y");
    return std::nullopt;
  });
  note("--");
  sum(y).backward();
  return log;
}

}  // namespace

TEST_CASE("events of a step come in PyTorch's order") {
  CHECK(log_of_step(true) ==
        "G.pre net; L.pre net; body net; G.pre a; L.pre a; body a; G.pre a.lin; L.pre a.lin; "
        "G.fwd a.lin; L.fwd a.lin; G.fwd a; L.fwd a; G.pre b; L.pre b; body b; G.pre b.lin; "
        "L.pre b.lin; G.fwd b.lin; L.fwd b.lin; G.fwd b; L.fwd b; G.fwd net; L.fwd net; --; "
        "grad y; G.bwdpre net; L.bwdpre net; G.bwdpre b; L.bwdpre b; G.bwdpre b.lin; "
        "L.bwdpre b.lin; grad b.lin.bias; acc b.lin.bias; grad b.lin.weight; acc b.lin.weight; "
        "G.bwd b.lin; L.bwd b.lin; G.bwd b; L.bwd b; G.bwdpre a; L.bwdpre a; G.bwdpre a.lin; "
        "L.bwdpre a.lin; grad a.lin.bias; acc a.lin.bias; grad a.lin.weight; acc a.lin.weight; "
        "G.bwd a.lin; L.bwd a.lin; G.bwd a; L.bwd a; G.bwd net; L.bwd net; grad x; ");
  const Warnings warnings;
  CHECK(log_of_step(false) ==
        "G.pre net; L.pre net; body net; G.pre a; L.pre a; body a; G.pre a.lin; L.pre a.lin; "
        "G.fwd a.lin; L.fwd a.lin; G.fwd a; L.fwd a; G.pre b; L.pre b; body b; G.pre b.lin; "
        "L.pre b.lin; G.fwd b.lin; L.fwd b.lin; G.fwd b; L.fwd b; G.fwd net; L.fwd net; --; "
        "grad y; G.bwdpre net; L.bwdpre net; G.bwd net; L.bwd net; G.bwdpre b; L.bwdpre b; "
        "G.bwdpre b.lin; L.bwdpre b.lin; grad b.lin.bias; acc b.lin.bias; grad b.lin.weight; "
        "acc b.lin.weight; G.bwd b.lin; L.bwd b.lin; G.bwd b; L.bwd b; G.bwdpre a; L.bwdpre a; "
        "G.bwd a; L.bwd a; G.bwdpre a.lin; L.bwdpre a.lin; G.bwd a.lin; L.bwd a.lin; "
        "grad a.lin.bias; acc a.lin.bias; grad a.lin.weight; acc a.lin.weight; ");
}

TEST_CASE("a pre-hook replaces arguments, a forward hook the output") {
  Lin lin;
  const Tensor x = tensor({1, 2, 3});
  CHECK(floats(lin(x)) == Floats{3, 5, 7});
  {
    const ScopedHandle h(lin.register_forward_pre_hook(
        [](Module&, const Values& a) { return a[0].as<Tensor>() * 10; }));
    CHECK(floats(lin(x)) == Floats{21, 41, 61});
    const ScopedHandle g(lin.register_forward_hook([](Module&, const Values& a, const Value& y) {
      CHECK(floats(a[0].as<Tensor>()) == Floats{10, 20, 30});
      return y.as<Tensor>() + 1;
    }));
    CHECK(floats(lin(x)) == Floats{22, 42, 62});
  }
  CHECK(floats(lin(x)) == Floats{3, 5, 7});
  // A tuple is the arguments, an empty one too; anything else is the only argument.
  const ScopedHandle h(
      lin.register_forward_pre_hook([](Module&, const Values&) { return Value::tuple({}); }));
  CHECK(error_of([&] { lin(x); }) ==
        "TypeError: Lin.forward() missing 1 required positional argument: 'input'");
}

TEST_CASE("hooks with keyword arguments see and edit them") {
  struct Scaled : Module {
    Value forward(const Args& args) override {
      CHECK(args.kw.size() == 1);
      return args.pos[0].as<Tensor>() * args.kw[0].second.scalar();
    }
  } m;
  const Tensor x = tensor({1, 2});
  const ScopedHandle a(m.register_forward_pre_hook(
      [](Module&, const Values&, Items& kw) { kw[0].second = 2 * kw[0].second.integer(); }));
  const ScopedHandle b(
      m.register_forward_hook([](Module&, const Values&, const Items& kw, const Value& y) {
        return y.as<Tensor>() + kw[0].second.scalar();
      }));
  CHECK(floats(m(Args{{x}, {{"k", 3}}}).as<Tensor>()) == Floats{12, 18});
}

TEST_CASE("a forward hook may take and return a tensor, or an optional one") {
  Lin lin;
  const Tensor x = tensor({1, 2, 3});
  bool replaces = false;
  const ScopedHandle a(lin.register_forward_hook(
      [](Module&, const Values& args, const Tensor& y) { return y + args[0].as<Tensor>(); }));
  const ScopedHandle b(lin.register_forward_hook(
      [&](Module&, const Tensor&, const Tensor& y) -> std::optional<Tensor> {
        return replaces ? std::optional(y * 10) : std::nullopt;
      }));
  CHECK(floats(lin(x)) == Floats{4, 7, 10});
  replaces = true;
  CHECK(floats(lin(x)) == Floats{40, 70, 100});
}

TEST_CASE("a module that a hook deeper down replaces lives until its call is over") {
  struct Inner : Module {
    Child<> first = register_module("first", Lin());
    Child<> second = register_module("second", Lin());
    using Module::forward;
    Tensor forward(const Tensor& x) override {
      const Tensor y = first(x);
      return second(y);
    }
  };
  Wrap root(make_ref<Inner>());
  root.get_submodule("lin.first").register_forward_hook([&](Module&, const Values&, const Value&) {
    root.set_submodule("lin", make_ref<Lin>());
  });
  CHECK(floats(root(tensor({1, 1, 1}))) == Floats{7, 7, 7});
  CHECK(floats(root(tensor({1, 1, 1}))) == Floats{3, 3, 3});
}

TEST_CASE("prepend moves a hook to the front") {
  Lin lin;
  std::string order;
  for (int i = 0; i < 4; ++i) {
    lin.register_forward_hook(
        [&order, i](Module&, const Values&, const Value&) { order += std::to_string(i); },
        {.prepend = i % 2 == 1});
  }
  lin(tensor({1, 1, 1}));
  CHECK(order == "3102");
}

TEST_CASE("hooks that remove or add hooks do not change the running call") {
  Lin lin;
  std::string log;
  RemovableHandle first, second;
  first = lin.register_forward_pre_hook([&](Module& m, const Values&) {
    log += "1";
    first.remove();
    second.remove();
    m.register_forward_pre_hook([&](Module&, const Values&) { log += "3"; });
  });
  second = lin.register_forward_pre_hook([&](Module&, const Values&) { log += "2"; });
  lin(tensor({1, 1, 1}));
  CHECK(log == "12");
  lin(tensor({1, 1, 1}));
  CHECK(log == "123");
}

TEST_CASE("handles are harmless after their module and twice") {
  RemovableHandle h;
  {
    Lin lin;
    h = lin.register_forward_hook([](Module&, const Values&, const Value&) {});
  }
  h.remove();
  h.remove();
  RemovableHandle a, b;
  Lin lin;
  a = lin.register_forward_hook([](Module&, const Values&, const Value&) {});
  b = lin.register_state_dict_pre_hook([](Module&, const std::string&, bool) {});
  CHECK(b.id() == a.id() + 1);
}

TEST_CASE("always_call hooks run late after an error, once, and cannot hide it") {
  Lin lin;
  std::string log;
  Warnings warnings;
  const ScopedHandle a(lin.register_forward_hook(
      [&](Module&, const Values&, const Value& out) { log += out.is_none() ? "none " : "value "; },
      {.always_call = true}));
  const ScopedHandle b(lin.register_forward_hook(
      [](Module&, const Values&, const Value&) { fail(ErrorKind::value, "second"); },
      {.always_call = true}));
  CHECK(error_of([&] {
          lin(tensor({1, 2}));
        }) ==
        "RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at "
        "non-singleton dimension 0");
  CHECK(log == "none ");
  CHECK(warnings.texts ==
        Names{"module forward hook with ``always_call=True`` raised an exception that was silenced "
              "as another error was raised in forward: second"});
  log.clear();
  CHECK(error_of([&] { lin(tensor({1, 2, 3})); }) == "ValueError: second");
  CHECK(log == "value ");
}

TEST_CASE("a module is usable after a hook threw") {
  Lin lin;
  {
    const ScopedHandle h(lin.register_forward_pre_hook(
        [](Module&, const Values&) { fail(ErrorKind::value, "no"); }));
    CHECK(error_of([&] { lin(tensor({1, 1, 1})); }) == "ValueError: no");
  }
  CHECK(floats(lin(tensor({1, 1, 1}))) == Floats{3, 3, 3});
  const Tensor x = tensor({1, 1, 1}).requires_grad_();
  {
    const ScopedHandle h(lin.register_full_backward_hook(
        [](Module&, const Tensors&, const Tensors&) { fail(ErrorKind::value, "no"); }));
    const Tensor y = sum(lin(x));
    CHECK(error_of([&] { y.backward(); }) == "ValueError: no");
  }
  sum(lin(x)).backward();
  CHECK(floats(x.grad()) == Floats{2, 2, 2});
}

TEST_CASE("backward hooks see and replace gradients") {
  Lin lin;
  const Tensor x = tensor({1, 2, 3}).requires_grad_();
  const ScopedHandle pre(lin.register_full_backward_pre_hook(
      [](Module&, const Tensors& out) -> std::optional<Tensors> { return Tensors{out[0] * 3}; }));
  const ScopedHandle post(lin.register_full_backward_hook(
      [](Module&, const Tensors& in, const Tensors& out) -> std::optional<Tensors> {
        CHECK(floats(out[0]) == Floats{3, 3, 3});
        CHECK(floats(in[0]) == Floats{6, 6, 6});
        return Tensors{in[0] * 10};
      }));
  sum(lin(x)).backward();
  CHECK(floats(x.grad()) == Floats{60, 60, 60});
  CHECK(floats(lin.weight->grad()) == Floats{3, 6, 9});
}

TEST_CASE("wrong results of backward hooks are PyTorch's errors") {
  Lin lin;
  const Tensor x = tensor({1, 2, 3}).requires_grad_();
  auto run = [&] { return error_of([&] { sum(lin(x)).backward(); }); };
  {
    const ScopedHandle h(lin.register_full_backward_hook(
        [](Module&, const Tensors&, const Tensors&) { return std::optional(Tensors{}); }));
    CHECK(run() ==
          "RuntimeError: Backward hook returned an invalid number of grad_input, got 0, but "
          "expected 1");
  }
  {
    const ScopedHandle h(
        lin.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {
          return std::optional(Tensors{tensor({1})});
        }));
    CHECK(run() == "RuntimeError: hook 'hook' has changed the size of value");
  }
  {
    const ScopedHandle h(
        lin.register_full_backward_hook([](Module&, const Tensors& in, const Tensors&) {
          return std::optional(Tensors{to(in[0], DType::f64)});
        }));
    CHECK(run() ==
          "RuntimeError: hook 'hook' has changed the type of value (was torch.FloatTensor got "
          "torch.DoubleTensor)");
  }
  {
    const ScopedHandle h(lin.register_full_backward_pre_hook(
        [](Module&, const Tensors&) { return std::optional(Tensors(2)); }));
    CHECK(run() ==
          "RuntimeError: Backward pre hook returned an invalid number of grad_output, got 2, but "
          "expected 1");
  }
  // An absent gradient is one.
  x.set_grad({});
  const ScopedHandle h(lin.register_full_backward_hook(
      [](Module&, const Tensors&, const Tensors&) { return std::optional(Tensors(1)); }));
  CHECK(run() == "");
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("without an input that requires grad the hook fires with none") {
  Lin lin;
  const Warnings warnings;
  int calls = 0;
  auto h = lin.register_full_backward_hook([&](Module&, const Tensors& in, const Tensors& out) {
    ++calls;
    CHECK(in.size() == 1);
    CHECK_FALSE(in[0].defined());
    CHECK(floats(out[0]) == Floats{1, 1, 1});
    CHECK_FALSE(lin.weight->grad().defined());
  });
  sum(lin(tensor({1, 2, 3}))).backward();
  CHECK(calls == 1);
  h.remove();
  lin.register_full_backward_hook(
      [](Module&, const Tensors&, const Tensors& out) { return std::optional(out); });
  CHECK(error_of([&] {
          sum(lin(tensor({1, 2, 3}))).backward();
        }) ==
        "RuntimeError: Backward hook for Modules where no input requires gradient should always "
        "return None or None for all gradients.");
}

TEST_CASE("gradients of several inputs and outputs") {
  struct Two : Module {
    Value forward(const Args& a) override {
      const Tensor x = a.pos[0].as<Tensor>(), y = a.pos[1].as<Tensor>();
      return Value::tuple({x * 2, y * 3, 7});
    }
  } m;
  const Tensor x = tensor({1}).requires_grad_(), y = tensor({2}).requires_grad_();
  Tensors in, out;
  m.register_full_backward_hook([&](Module&, const Tensors& gi, const Tensors& go) {
    in = gi;
    out = go;
  });
  const Value r = m(x, y, true);
  CHECK(r.items()[2].integer() == 7);
  sum(r.items()[0].as<Tensor>()).backward();
  REQUIRE(in.size() == 3);
  REQUIRE(out.size() == 3);
  CHECK(floats(in[0]) == Floats{2});
  CHECK(floats(in[1]) == Floats{0});  // fed an unused output: zeros
  CHECK_FALSE(in[2].defined());       // no tensor
  CHECK(floats(out[0]) == Floats{1});
  CHECK_FALSE(out[1].defined());
  CHECK_FALSE(out[2].defined());

  // An input beside it that needs no gradient gets zeros as well.
  sum(m(x, tensor({2, 2}), false).items()[0].as<Tensor>()).backward();
  CHECK(floats(in[1]) == Floats{0, 0});
}

TEST_CASE("outputs that hold no tensor at the top never fire, with a warning") {
  struct Dict : Module {
    Value forward(const Args& a) override { return Value::dict({{"y", a.pos[0]}}); }
  } m;
  int calls = 0;
  m.register_full_backward_hook([&](Module&, const Tensors&, const Tensors&) { ++calls; });
  Warnings warnings;
  const Tensor x = tensor({1}).requires_grad_();
  sum(m(Args{{x}, {}}).find("y")->as<Tensor>()).backward();
  CHECK(calls == 0);
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0] ==
        "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
        "but received <class 'dict'>");
}

TEST_CASE("hooks are bound to a call when it begins") {
  Lin lin;
  const Tensor x = tensor({1, 2, 3}).requires_grad_();
  std::string log;
  auto h = lin.register_full_backward_hook(
      [&](Module&, const Tensors&, const Tensors&) { log += "early "; });
  const Tensor y = sum(lin(x));
  h.remove();
  lin.register_full_backward_hook([&](Module&, const Tensors&, const Tensors&) { log += "late "; });
  y.backward();
  CHECK(log == "early ");
}

TEST_CASE("in no_grad mode nothing is wrapped") {
  Lin lin;
  lin.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  const Tensor x = tensor({1, 2, 3}).requires_grad_();
  const NoGradGuard no_grad;
  lin.register_forward_pre_hook(
      [&](Module&, const Values& a) { CHECK(a[0].as<Tensor>().is_same(x)); });
  CHECK_FALSE(lin(x).requires_grad());
}

TEST_CASE("in-place operations on what hooks wrap are refused") {
  Lin lin;
  lin.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  const Tensor y = lin(tensor({1, 2, 3}).requires_grad_());
  CHECK(error_of([&] { add_(y, 1); })
            .starts_with("RuntimeError: Output 0 of BackwardHookFunction is a view and is "
                         "being modified inplace."));
}

TEST_CASE("full and non-full hooks do not mix on one module, even later") {
  Lin lin;
  const std::string text =
      "RuntimeError: Cannot use both regular backward hooks and full backward hooks on a single "
      "Module. Please use only one of them.";
  lin.register_backward_hook([](Module&, const Tensors&, const Tensors&) {}).remove();
  CHECK(error_of([&] {
          lin.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
        }) == text);
}

TEST_CASE("a non-full hook sees the last node of forward") {
  Lin lin;
  Warnings warnings;
  Tensors in;
  lin.register_backward_hook([&](Module&, const Tensors& gi, const Tensors&) { in = gi; });
  sum(lin(tensor({1, 2, 3}))).backward();
  CHECK(in.size() == 2);  // of the addition
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].starts_with(
      "Using a non-full backward hook when the forward contains multiple autograd Nodes"));
}

TEST_CASE("registration hooks see and replace what is registered") {
  struct Empty : Module {};
  std::string log;
  Empty m;
  const ScopedHandle a(register_module_parameter_registration_hook(
      [&](Module&, const std::string& name, const Value&) -> Value {
        log += "parameter " + name + "; ";
        return parameter(tensor({7}));
      }));
  const ScopedHandle b(register_module_buffer_registration_hook(
      [&](Module&, const std::string& name, const Value&) -> Value {
        log += "buffer " + name + "; ";
        return {};
      }));
  const ScopedHandle c(register_module_module_registration_hook(
      [&](Module&, const std::string& name, const Value&) -> Value {
        log += "module " + name + "; ";
        return {};
      }));
  m.register_parameter("p", parameter(tensor({1})));
  m.register_parameter("q", {});
  m.register_buffer("b", tensor({1}));
  m.add_module("m", make_ref<Empty>());
  m.set_attribute("b", tensor({2}));
  m.set_attribute("m", Value());
  CHECK(log == "parameter p; buffer b; module m; buffer b; module m; ");
  CHECK(floats(m.get_parameter("p")) == Floats{7});
}

TEST_CASE("an error carries the path of the innermost module") {
  Net net;
  std::string path;
  auto run = [&](Module& m) {
    try {
      m(tensor({1, 2}));
    } catch (const Error& e) {
      return e.module_path();
    }
    return std::string("none");
  };
  CHECK(run(net) == "a.lin");
  CHECK(run(*net.a) == "lin");
  CHECK(run(*net.child("b")->child("lin")) == "");
  net.register_forward_hook([](Module&, const Values&, const Value&) {});
  CHECK(run(net) == "a.lin");
}

TEST_SUITE_END();
