// The rest of what PyTorch's test/nn/test_module_hooks.py asserts: TestModuleGlobalHooks,
// TestStateDictHooks, in-place operations, warnings and registration hooks.
#include "nn/modules.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/linear.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

/// Which kind of global backward hooks there are is kept in PyTorch, too, where its tests reset it.
struct AnyKindAgain {
  AnyKindAgain() { global_hooks().full_backward.reset(); }
  ~AnyKindAgain() { global_hooks().full_backward.reset(); }
};

Ref<Fn> sigmoid_module() {
  return make_ref<Fn>([](const Args& a) { return sigmoid(arg(a)); });
}

std::string inplace_text(int output, const std::string& what) {
  return "RuntimeError: Output " + std::to_string(output) +
         " of BackwardHookFunction is a view and " + what +
         ". This view was created inside a custom Function (or because an input was returned "
         "as-is) and the autograd logic to handle view+inplace would override the custom backward "
         "associated with the custom Function, leading to incorrect gradients. This behavior is "
         "forbidden. You can fix this by cloning the output of the custom Function.";
}

}  // namespace

TEST_CASE("global forward and non-full backward hooks count over three modules") {
  const AnyKindAgain reset;
  const Warnings warnings;
  const auto a = sigmoid_module(), b = sigmoid_module(), c = sigmoid_module();
  int forward = 0, backward = 0;
  auto forward_by = [&](int by) {
    return [&forward, by](Module&, const Values& in, const Value& out) {
      forward += by;
      CHECK(in.size() == 1);
      CHECK(out.holds<Tensor>());
    };
  };
  auto backward_by = [&](int by) {
    return [&backward, by](Module&, const Tensors& in, const Tensors& out) {
      backward += by;
      CHECK(in.size() == 1);
      CHECK(out.size() == 1);
    };
  };
  const Tensor x = needing({1, 2});
  auto all = [&] {
    for (const auto& m : {a, b, c}) sum((*m)(x)).backward();
  };
  auto f1 = register_module_forward_hook(forward_by(1));
  all();
  CHECK(forward == 3);
  CHECK(backward == 0);
  auto b1 = register_module_backward_hook(backward_by(1));
  all();
  CHECK(forward == 6);
  CHECK(backward == 3);
  auto f2 = register_module_forward_hook(forward_by(2));
  auto b2 = register_module_backward_hook(backward_by(2));
  all();
  CHECK(forward == 15);
  CHECK(backward == 12);
  f2.remove();
  b2.remove();
  all();
  CHECK(forward == 18);
  CHECK(backward == 15);
  f1.remove();
  b1.remove();
  all();
  CHECK(forward == 18);
  CHECK(backward == 15);
}

TEST_CASE("a global non-full hook may replace grad_input, by as many as there are") {
  const AnyKindAgain reset;
  const Warnings warnings;
  const auto m = sigmoid_module();
  const Tensor x = needing({0, 0});
  auto with = [&](const std::function<Tensors(const Tensors&)>& f) {
    const ScopedHandle h(register_module_backward_hook(
        [&](Module&, const Tensors& in, const Tensors&) { return std::optional(f(in)); }));
    x.set_grad({});
    return error_of([&] { sum((*m)(x)).backward(); });
  };
  CHECK(with([](const Tensors&) { return Tensors(); }) ==
        "RuntimeError: hook '<unknown>' has returned an incorrect number of values (got 0, but "
        "expected 1)");
  CHECK(with([](const Tensors&) { return Tensors(2); }) ==
        "RuntimeError: hook '<unknown>' has returned an incorrect number of values (got 2, but "
        "expected 1)");
  CHECK(with([](const Tensors& in) { return Tensors{in[0] * 2}; }) == "");
  CHECK(floats(x.grad()) == Floats{0.5, 0.5});  // twice 0.25
}

TEST_CASE("global and own forward hooks may replace arguments and output") {
  const auto m = sigmoid_module();
  const Tensor x = tensor({0, 0});
  for (const bool global : {true, false}) {
    auto pre = [](Module&, const Values& a) {
      const Tensor x = a[0].as<Tensor>();
      return relu(x + 1) - 1;  // a bare tensor is the only argument
    };
    auto post = [](Module&, const Values&, const Value& out) { return out.as<Tensor>() * -1.0; };
    auto pre_handle =
        global ? register_module_forward_pre_hook(pre) : m->register_forward_pre_hook(pre);
    CHECK(floats((*m)(x)) == Floats{0.5, 0.5});
    auto post_handle = global ? register_module_forward_hook(post) : m->register_forward_hook(post);
    CHECK(floats((*m)(x)) == Floats{-0.5, -0.5});
    pre_handle.remove();
    post_handle.remove();
    CHECK(floats((*m)(x)) == Floats{0.5, 0.5});
  }
}

TEST_CASE("global hooks that remove themselves while they run run once") {
  const auto m = sigmoid_module();
  const Tensor x = tensor({0, 0});
  int first = 0, second = 0;
  RemovableHandle h1, h2;
  h1 = register_module_forward_pre_hook([&](Module&, const Values&) {
    ++first;
    h1.remove();
  });
  h2 = register_module_forward_pre_hook([&](Module&, const Values&) {
    ++second;
    h2.remove();
  });
  for (int i = 0; i < 2; ++i) CHECK(floats((*m)(x)) == Floats{0.5, 0.5});
  CHECK(first == 1);
  CHECK(second == 1);
  h1 = register_module_forward_hook([&](Module&, const Values&, const Value&) {
    ++first;
    h1.remove();
  });
  h2 = register_module_forward_hook([&](Module&, const Values&, const Value&) {
    ++second;
    h2.remove();
  });
  for (int i = 0; i < 2; ++i) CHECK(floats((*m)(x)) == Floats{0.5, 0.5});
  CHECK(first == 2);
  CHECK(second == 2);
}

TEST_CASE("global hooks of every kind run before a module's own") {
  const AnyKindAgain reset;
  const auto m = sigmoid_module();
  const Warnings warnings;
  Order fired;
  const ScopedHandle p(
      register_module_forward_pre_hook([&](Module&, const Values&) { fired.push_back(0); }));
  m->register_forward_pre_hook([&](Module&, const Values&) { fired.push_back(1); });
  m->register_forward_hook([&](Module&, const Values&, const Value&) { fired.push_back(3); });
  const ScopedHandle f(register_module_forward_hook(
      [&](Module&, const Values&, const Value&) { fired.push_back(2); }));
  m->register_backward_hook([&](Module&, const Tensors&, const Tensors&) { fired.push_back(5); });
  const ScopedHandle b(register_module_backward_hook(
      [&](Module&, const Tensors&, const Tensors&) { fired.push_back(4); }));
  sum((*m)(needing({1, 2}))).backward();
  CHECK(fired == Order{0, 1, 2, 3, 4, 5});
}

TEST_CASE("a global forward hook sees keywords") {
  Fn m([](const Args& a) { return arg(a) + a.kw.at(0).second.as<Tensor>(); });
  const ScopedHandle h(
      register_module_forward_hook([](Module&, const Values&, const Items& kw, const Value& out) {
        return out.as<Tensor>() + kw.at(0).second.as<Tensor>();
      }));
  CHECK(floats(m(Args{{tensor({1})}, {{"bias", tensor({10})}}}).as<Tensor>()) == Floats{21});
}

TEST_CASE(
    "a global hook of one kind beside an own one of the other is allowed, two global kinds not") {
  const AnyKindAgain reset;
  const auto m = sigmoid_module();
  const Warnings warnings;
  Order fired;
  m->register_full_backward_hook(
      [&](Module&, const Tensors&, const Tensors&) { fired.push_back(1); });
  {
    const ScopedHandle b(register_module_backward_hook(
        [&](Module&, const Tensors&, const Tensors&) { fired.push_back(2); }));
    sum((*m)(needing({1, 2}))).backward();
  }
  CHECK(fired.size() == 2);
  CHECK(error_of([] {
          register_module_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
        }) ==
        "RuntimeError: Cannot use both regular backward hooks and full backward hooks as a global "
        "Module hook. Please use only one of them.");
}

TEST_CASE("writing in place what a backward hook wraps is refused in PyTorch's words") {
  const std::string self = inplace_text(0, "is being modified inplace");
  for (const bool pre : {true, false}) {
    auto hook = [pre](Module& m) {
      if (pre) m.register_full_backward_pre_hook([](Module&, const Tensors&) {});
      else m.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
    };
    const Tensor x = needing({1, 2});
    // An input, inside forward.
    Fn in([](const Args& a) {
      add_(arg(a), 1);
      return a.pos[0];
    });
    hook(in);
    CHECK(error_of([&] { in(clone(x)); }) == self);
    CHECK(error_of([&] { in(tensor({1, 2})); }) == "");  // nothing requires grad
    // The input's base, and then the view.
    const Tensor base = clone(x);
    Fn under([&](const Args& a) {
      add_(base, 1);
      return clone(arg(a));
    });
    hook(under);
    CHECK(error_of([&] { under(base); }) ==
          inplace_text(0, "its base or another view of its base has been modified inplace"));
    // The output, after the call; also where parameters alone need it.
    Lin lin;
    hook(lin);
    for (const Tensor& input : {needing({1, 2, 3}), tensor({1, 2, 3})}) {
      const Tensor y = lin(input);
      CHECK(error_of([&] { add_(y, 1); }) == self);
    }
  }
}

TEST_CASE("in-place layers beside hooked ones") {
  auto net = [] {
    return make_ref<nn::Sequential>(make_ref<nn::Linear>(2, 2),
                                    make_ref<nn::ReLU>(nn::ReLU::Options{.inplace = true}),
                                    make_ref<nn::Linear>(2, 2));
  };
  auto error_with = [](nn::Sequential& s, Module& hooked, const Tensor& x) {
    hooked.register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
    return error_of([&] { sum(s(x)).backward(); });
  };
  const Warnings warnings;
  const Tensor x = ones({1, 2});
  const std::string self = inplace_text(0, "is being modified inplace");
  const auto whole = net(), first = net(), relu = net(), last = net();
  CHECK(error_with(*whole, *whole, x) == "");
  CHECK(error_with(*first, (*first)[0], x) == self);
  CHECK(error_with(*relu, (*relu)[1], x) == self);
  CHECK(error_with(*last, (*last)[2], x) == "");
  auto start = [] {
    return make_ref<nn::Sequential>(make_ref<nn::ReLU>(nn::ReLU::Options{.inplace = true}),
                                    make_ref<nn::Linear>(2, 2));
  };
  const auto s1 = start(), s2 = start();
  CHECK(error_with(*s1, *s1, ones({1, 2}).requires_grad_() * 1) == self);
  CHECK(error_with(*s2, *s2, ones({1, 2})) == "");
  nn::Sequential end(make_ref<nn::Linear>(2, 2),
                     make_ref<nn::ReLU>(nn::ReLU::Options{.inplace = true}));
  CHECK(error_with(end, end, x) == "");
}

TEST_CASE("non-full hooks warn of what they miss, the first reason that applies") {
  Warnings warnings;
  const Tensor x = needing({1, 2});
  const std::string full =
      " Please use register_full_backward_hook to get the documented behavior.";
  // Warnings are said once in a process: a text that came earlier is not repeated.
  auto warning = [&](const std::function<Value(const Args&)>& f, const Args& args) {
    warnings.texts.clear();
    Fn m(f);
    int calls = 0;
    m.register_backward_hook([&](Module&, const Tensors&, const Tensors&) { ++calls; });
    Value y = m(args);
    while (!y.holds<Tensor>()) y = y.is(Value::Kind::dict) ? y.entries()[0].second : y.items()[0];
    sum(y.as<Tensor>()).backward();
    CHECK(calls == 1);
    return warnings.texts.empty() ? std::string("said before") : warnings.texts[0];
  };
  auto is = [&](const std::string& got, const std::string& expected) {
    CHECK((got == expected || got == "said before"));
  };
  const Args one{{x}, {}};
  is(warning(
         [](const Args& a) {
           return Value::dict({{"a", exp(arg(a))}});
         },
         one),
     "Using non-full backward hooks on a Module that does not return a single Tensor or a tuple of "
     "Tensors is deprecated and will be removed in future versions. This hook will be missing some "
     "of the grad_output." +
         full);
  is(warning([](const Args& a) { return exp(arg(a)); }, Args{{x, 3}, {}}),
     "Using non-full backward hooks on a Module that does not take as input a single Tensor or a "
     "tuple of Tensors is deprecated and will be removed in future versions. This hook will be "
     "missing some of the grad_input." +
         full);
  is(warning(
         [](const Args& a) {
           return Value::tuple({exp(arg(a)), sigmoid(arg(a))});
         },
         one),
     "Using a non-full backward hook when outputs are generated by different autograd Nodes is "
     "deprecated and will be removed in future versions. This hook will be missing some "
     "grad_output." +
         full);
  is(warning([](const Args& a) { return sigmoid(exp(arg(a))); }, one),
     "Using a non-full backward hook when the forward contains multiple autograd Nodes is "
     "deprecated and will be removed in future versions. This hook will be missing some "
     "grad_input." +
         full);
  Fn number([](const Args&) { return 3; });
  number.register_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  CHECK(error_of([&] { number(x, x); }) == "TypeError: 'int' object is not subscriptable");
}

TEST_CASE("a full hook of a module of several operations sees its inputs and outputs") {
  Fn m([](const Args& a) { return cat({sum(arg(a), {0}), sum(arg(a, 1), {0})}, 0); });
  int calls = 0;
  m.register_full_backward_hook([&](Module&, const Tensors& in, const Tensors& out) {
    ++calls;
    REQUIRE(in.size() == 2);
    CHECK(in[0].shape() == Shape{5, 5});
    CHECK(in[1].shape() == Shape{10, 10});
    REQUIRE(out.size() == 1);
    CHECK(out[0].shape() == Shape{15});
  });
  const Tensor x = rand({5, 5}).requires_grad_(), y = rand({10, 10}).requires_grad_();
  sum(m(x, y).as<Tensor>()).backward();
  CHECK(calls == 1);
}

TEST_CASE("a non-full hook may replace grad_input") {
  const Warnings warnings;
  const auto m = sigmoid_module();
  m->register_backward_hook(
      [](Module&, const Tensors& in, const Tensors&) { return std::optional(Tensors{in[0] * 2}); });
  const Tensor x = needing({0, 0});
  (*m)(x).backward(tensor({1, 1}));
  CHECK(floats(x.grad()) == Floats{0.5, 0.5});
}

TEST_CASE(
    "registration hooks see each buffer, child and parameter, whether or not they return it") {
  for (const bool returns : {true, false}) {
    std::vector<std::string> buffers, modules, parameters;
    auto noting = [returns](std::vector<std::string>& to) {
      return [&to, returns](Module&, const std::string& name, const Value& v) {
        to.push_back(name);
        return returns ? v : Value();
      };
    };
    const ScopedHandle handles[] = {
        ScopedHandle(register_module_buffer_registration_hook(noting(buffers))),
        ScopedHandle(register_module_module_registration_hook(noting(modules))),
        ScopedHandle(register_module_parameter_registration_hook(noting(parameters)))};
    Net net;
    net.register_buffer("running", tensor({1}));
    CHECK(buffers == Names{"running"});
    CHECK(modules == Names{"lin", "a", "lin", "b"});
    CHECK(parameters == Names{"weight", "bias", "weight", "bias"});
  }
}

TEST_SUITE_END();
