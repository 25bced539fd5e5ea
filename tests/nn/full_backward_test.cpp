// Full backward hooks in the corners: partial backwards, arguments and outputs of every kind, what
// hooks may return. Each log is PyTorch 2.13's for the same module.
#include "nn/modules.h"
#include "nnm/nn/layers/attention.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

/// A weight of 2 and a forward that is given; notes its backward hooks and its weight's.
struct Noted : Module {
  using Forward = std::function<Value(const Noted&, const Args&)>;
  Forward f;
  Parameter w = register_parameter("w", parameter(tensor({2})));
  std::string log;

  explicit Noted(Forward f) : f(std::move(f)) {
    register_full_backward_pre_hook(
        [this](Module&, const Tensors& out) { log += "pre " + shown(out) + "; "; });
    register_full_backward_hook([this](Module&, const Tensors& in, const Tensors& out) {
      log += "bwd " + shown(in) + " " + shown(out) + "; ";
    });
    w->register_hook([this](const Tensor&) { log += "w; "; });
  }
  Value forward(const Args& a) override { return f(*this, a); }
  static std::string shown(const Tensors& grads) {
    std::string out = "(";
    for (const Tensor& g : grads) {
      if (out.size() > 1) out += ' ';
      if (!g.defined()) out += "None";
      else
        for (const double d : floats(g)) out += fmt::format("{}.", d);
    }
    return out + ")";
  }
  std::string taken() { return std::exchange(log, {}); }
};

Value scaled(const Noted& m, const Args& a) { return arg(a) * *m.w; }

Tensor first_tensor(Value v) {
  while (!v.holds<Tensor>()) v = v.items().at(0);
  return v.as<Tensor>();
}

std::string log_of(const Noted::Forward& f, const Args& args) {
  const Warnings warnings;
  Noted m(f);
  sum(first_tensor(m(args))).backward();
  return m.log;
}

}  // namespace

TEST_CASE(
    "gradients of the output alone fire nothing, of a parameter pre-hooks, of the input both") {
  Noted m(scaled);
  const Tensor x = needing({1, 2}), y = m(x);
  const Tensor s = sum(y);
  grad({s}, {y}, {}, true);
  CHECK(m.taken() == "");
  grad({s}, {*m.w}, {}, true);
  CHECK(m.taken() == "pre (1.1.); w; ");
  grad({s}, {x}, {}, true);
  CHECK(m.taken() == "pre (1.1.); bwd (2.2.) (1.1.); ");
}

TEST_CASE("backward hooks and arguments of every kind") {
  const Tensor x = needing({1});
  CHECK(log_of(scaled, {{x, tensor({3}, DType::i64)}, {}}) == "pre (1.); w; bwd (2. 0.) (1.); ");
  CHECK(log_of([](const Noted& m, const Args& a) { return a.kw[0].second.as<Tensor>() * *m.w; },
               {{}, {{"x", x}}}) == "pre (1.); bwd () (1.); w; ");
  CHECK(log_of([](const Noted& m,
                  const Args& a) { return a.kw[0].second.as<Tensor>() * *m.w + arg(a); },
               {{x}, {{"x", needing({1})}}}) == "pre (1.); w; bwd (1.) (1.); ");
  CHECK(
      log_of([](const Noted& m, const Args& a) { return a.pos[0].find("x")->as<Tensor>() * *m.w; },
             {{Value::dict({{"x", x}})}, {}}) == "pre (1.); bwd (None) (1.); w; ");
  CHECK(log_of([](const Noted& m, const Args&) { return *m.w * 1; }, {}) ==
        "pre (1.); bwd () (1.); w; ");
  CHECK(log_of(scaled, {{x, "text", Value(), true}, {}}) ==
        "pre (1.); w; bwd (2. None None None) (1.); ");
}

TEST_CASE("backward hooks and outputs of every kind") {
  const Tensor x = needing({1});
  CHECK(log_of([](const Noted& m, const Args& a) { return Value::list({scaled(m, a)}); },
               {{x}, {}}) == "w; ");
  CHECK(log_of(
            [](const Noted& m, const Args& a) {
              return Value::tuple({scaled(m, a), 5});
            },
            {{x}, {}}) == "pre (1. None); w; bwd (2.) (1. None); ");
  // A gradient that never reaches the input: the full hook has nothing to see.
  CHECK(log_of([](const Noted& m, const Args&) { return *m.w * 1; }, {{x}, {}}) == "pre (1.); w; ");
  Noted two([](const Noted& m, const Args& a) {
    return Value::tuple({arg(a) * *m.w, arg(a, 1) * *m.w});
  });
  const Tensor p = needing({1}), q = needing({1});
  sum(two(p, q).items()[0].as<Tensor>()).backward();
  CHECK(two.log == "pre (1. None); w; bwd (2. 0.) (1. None); ");
  CHECK(floats(p.grad()) == Floats{2});
  CHECK(floats(q.grad()) == Floats{0});
  CHECK(floats(two.w->grad()) == Floats{1});
}

TEST_CASE("an output without history fires nothing, one that is the input gets the hooks' node") {
  Noted off([](const Noted& m, const Args& a) { return scaled(m, a).as<Tensor>().detach(); });
  CHECK_FALSE(off(needing({1})).requires_grad());
  CHECK(off.log == "");
  Noted same([](const Noted&, const Args& a) { return a.pos[0]; });
  const Tensor x = needing({1}), y = same(x);
  CHECK_FALSE(y.is_same(x));
  CHECK(y.data() == x.data());
  CHECK(std::string(y.grad_fn()->name) == "BackwardHookFunctionBackward");
  y.backward();
  CHECK(same.log == "pre (1.); bwd (1.) (1.); ");
  CHECK(floats(x.grad()) == Floats{1});
}

TEST_CASE("one tensor passed twice, one module called twice, one graph run twice") {
  Noted product([](const Noted& m, const Args& a) { return arg(a) * arg(a, 1) * *m.w; });
  const Tensor x = needing({3});
  sum(product(x, x).as<Tensor>()).backward();
  CHECK(product.log == "pre (1.); w; bwd (6. 6.) (1.); ");
  CHECK(floats(x.grad()) == Floats{12});
  Noted m(scaled);
  sum(m(m(needing({1})) * 10)).backward();
  CHECK(m.taken() == "pre (1.); bwd (2.) (1.); pre (20.); w; bwd (40.) (20.); ");
  const Tensor y = sum(m(needing({1})));
  y.backward({}, true);
  y.backward();
  CHECK(m.taken() == "pre (1.); w; bwd (2.) (1.); pre (1.); w; bwd (2.) (1.); ");
}

TEST_CASE("what a full backward hook may return") {
  auto with = [](const std::function<Tensors(const Tensors&)>& f, const Args& more = {}) {
    Fn m([](const Args& a) {
      return a.pos.size() > 1 ? arg(a) * 2 + arg(a, 1) : Value(arg(a) * 2);
    });
    m.register_full_backward_hook(
        [&](Module&, const Tensors& in, const Tensors&) { return std::optional(f(in)); });
    const Tensor x = needing({1, 1, 1});
    Args args{{x}, {}};
    args.pos.insert(args.pos.end(), more.pos.begin(), more.pos.end());
    const std::string error = error_of([&] { sum(m(args).as<Tensor>()).backward(); });
    return error.empty() ? Noted::shown({x.grad()}) : error;
  };
  CHECK(with([](const Tensors& g) { return Tensors{g[0] * 2}; }) == "(4.4.4.)");
  CHECK(with([](const Tensors&) { return Tensors(1); }) == "(None)");
  // For an input that needs none: ignored.
  CHECK(with(
            [](const Tensors& g) {
              return Tensors{g[0], tensor({7, 7, 7})};
            },
            {{tensor({1, 1, 1})}, {}}) == "(2.2.2.)");
  CHECK(with([](const Tensors&) { return Tensors(3); }) ==
        "RuntimeError: Backward hook returned an invalid number of grad_input, got 3, but expected "
        "1");
  CHECK(with([](const Tensors& g) { return Tensors{narrow(g[0], 0, 0, 1)}; }) ==
        "RuntimeError: hook 'hook' has changed the size of value");
  CHECK(with([](const Tensors& g) { return Tensors{to(g[0], DType::f64)}; }) ==
        "RuntimeError: hook 'hook' has changed the type of value (was torch.FloatTensor got "
        "torch.DoubleTensor)");
}

TEST_CASE("a pre-hook's none flows on as no gradient, and counts as zeros at the input") {
  Noted m(scaled);
  m.register_full_backward_pre_hook(
      [](Module&, const Tensors&) { return std::optional(Tensors(1)); });
  const Tensor x = needing({1});
  sum(m(x)).backward();
  CHECK(m.log == "pre (1.); w; bwd (0.) (None); ");
  CHECK(floats(x.grad()) == Floats{0});
  CHECK_FALSE(m.w->grad().defined());
}

TEST_CASE("an outer hook fires with zeros after an inner one returned none") {
  struct Outer : Module {
    Parameter w = register_parameter("w", parameter(tensor({1, 1})));
    Child<Fn> inner =
        register_module("inner", make_ref<Fn>([](const Args& a) { return arg(a) * 2; }));
    using Module::forward;
    Tensor forward(const Tensor& x) override { return inner(x * w); }
  };
  auto run = [](bool hooked) {
    Outer m;
    std::string log;
    m.inner->register_full_backward_hook(
        [](Module&, const Tensors&, const Tensors&) { return std::optional(Tensors(1)); });
    if (hooked) {
      m.register_full_backward_hook([&](Module&, const Tensors& in, const Tensors& out) {
        log += "bwd " + Noted::shown(in) + Noted::shown(out) + "; ";
      });
    }
    const Tensor x = needing({1, 1});
    x.register_hook([&](const Tensor& g) { log += "x " + Noted::shown({g}) + "; "; });
    m.w->register_hook([&](const Tensor& g) { log += "w " + Noted::shown({g}) + "; "; });
    m.w->register_post_accumulate_grad_hook([&](const Tensor&) { log += "acc; "; });
    sum(m(x)).backward();
    CHECK(x.grad().defined() == hooked);
    CHECK_FALSE(m.w->grad().defined());
    return log;
  };
  CHECK(run(false) == "x (None); w (None); acc; ");
  CHECK(run(true) == "w (None); acc; bwd (0.0.)(1.1.); x (0.0.); ");
}

TEST_CASE("grad mode is off in backward hooks, and errors leave the module usable") {
  Noted m(scaled);
  {
    const ScopedHandle h(m.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {
      CHECK_FALSE(grad_enabled());
      fail(ErrorKind::value, "no");
    }));
    CHECK(error_of([&] { sum(m(needing({1}))).backward(); }) == "ValueError: no");
  }
  const Tensor x = needing({1});
  sum(m(x)).backward();
  CHECK(floats(x.grad()) == Floats{2});
}

TEST_CASE("of parallel branches the one created last goes backward first") {
  struct Branches : Module {
    Child<Lin> a = register_module("a", make_ref<Lin>());
    Child<Lin> b = register_module("b", make_ref<Lin>());
    using Module::forward;
    Tensor forward(const Tensor& x) override {
      const Tensor y = a(x);
      return y + b(x);
    }
  } m;
  std::string log;
  for (const auto& [name, child] : m.named_modules()) {
    child->register_full_backward_pre_hook(
        [&, name = name](Module&, const Tensors&) { log += "pre " + name + "; "; });
    child->register_full_backward_hook(
        [&, name = name](Module&, const Tensors&, const Tensors&) { log += "bwd " + name + "; "; });
  }
  sum(m(needing({1, 1, 1}))).backward();
  CHECK(log == "pre ; pre b; bwd b; pre a; bwd a; bwd ; ");
}

TEST_CASE("hooks that are added inside forward fire if the call had hooks when it began") {
  std::string log;
  auto net = [&log] {
    auto m = make_ref<Fn>(nullptr);
    m->f = [m = m.get(), &log](const Args& a) {
      m->register_forward_hook([&log](Module&, const Values&, const Value&) { log += "late "; });
      return a.pos[0];
    };
    return m;
  };
  (*net())(tensor({1}));
  CHECK(log == "");
  const auto hooked = net();
  hooked->register_forward_pre_hook([](Module&, const Values&) {});
  (*hooked)(tensor({1}));
  CHECK(log == "late ");
}

TEST_CASE("hooks do not fire on forward called directly, nor on an attention's out_proj") {
  Lin lin;
  int fired = 0;
  lin.register_forward_hook([&](Module&, const Values&, const Value&) { ++fired; });
  lin.forward(tensor({1, 2, 3}));
  CHECK(fired == 0);
  nn::MultiheadAttention attention(4, 2);
  attention.out_proj->register_forward_hook([&](Module&, const Values&, const Value&) { ++fired; });
  const Tensor x = ones({1, 1, 4});
  attention(x, x, x);
  CHECK(fired == 0);
}

TEST_CASE("forward hooks replace the output by whatever is not none") {
  Lin lin;
  for (const Value& v : {Value(false), Value(0), Value(""), Value::list({})}) {
    const ScopedHandle h(
        lin.register_forward_hook([&](Module&, const Values&, const Value&) { return v; }));
    CHECK(lin(Value(tensor({1, 2, 3}))) == v);
  }
  // A list from a pre-hook is one argument, not the list of them.
  Fn count([](const Args& a) { return static_cast<int64_t>(a.pos.size()); });
  const ScopedHandle h(count.register_forward_pre_hook([](Module&, const Values&) {
    return Value::list({1, 2, 3});
  }));
  CHECK(count(Args{{tensor({1}), 2}, {}}).integer() == 1);
}

TEST_CASE("forward hooks see the arguments after, the output before the hooks' nodes") {
  const Tensor x = needing({1, 2, 3});
  Tensor seen_input, seen_output, inside;
  Fn m([&](const Args& a) {
    inside = arg(a);
    return exp(inside);
  });
  m.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  m.register_forward_hook([&](Module&, const Values& a, const Value& out) {
    seen_input = a[0].as<Tensor>();
    seen_output = out.as<Tensor>();
  });
  const Tensor y = static_cast<Module&>(m)(x);
  CHECK(seen_input.is_same(inside));
  CHECK_FALSE(seen_input.is_same(x));
  CHECK_FALSE(seen_output.is_same(y));
  CHECK(std::string(seen_output.grad_fn()->name) == "ExpBackward0");
  CHECK(std::string(y.grad_fn()->name) == "BackwardHookFunctionBackward");
}

TEST_CASE("hooks of a module on the stack that is gone by backward are an error, not a crash") {
  Tensor y;
  const Tensor x = needing({1, 2, 3});
  {
    Lin lin;
    lin.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
    y = sum(lin(x));
  }
  CHECK(error_of([&] {
          y.backward();
        }).starts_with("RuntimeError: a backward hook's module is no more"));
  {
    const auto kept = make_ref<Lin>();
    kept->register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
    y = sum((*kept)(x));
  }
  y.backward();
  CHECK(floats(x.grad()) == Floats{2, 2, 2});
}

TEST_CASE("a hook may replace the very module that is being called") {
  Wrap net;
  net.lin->register_forward_hook([&](Module&, const Values&, const Value&) {
    net.set_attribute("lin", make_ref<Fn>([](const Args& a) { return arg(a) * 0; }));
  });
  std::string last;
  net.lin->register_forward_hook([&](Module& m, const Values&, const Value&) {
    last = m.repr();  // the one that was called, which nothing else holds by now
  });
  CHECK(floats(net(tensor({1, 2, 3}))) == Floats{3, 5, 7});
  CHECK(last == "Lin()");
  CHECK(floats(net(tensor({1, 2, 3}))) == Floats{0, 0, 0});
  Wrap failing;
  failing.lin->register_forward_pre_hook([&](Module&, const Values&) {
    failing.set_attribute("lin", Value());
    fail(ErrorKind::value, "gone");
  });
  CHECK(error_of([&] { failing(tensor({1, 2, 3})); }) == "ValueError: gone");
}

TEST_SUITE_END();
