// Registration, attributes, lookup, traversal, modes and conversion of modules.
#include "nn/modules.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/layers.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

/// The name of a class inside a function template, which its mangled name holds, too.
template <class T>
std::string name_of_local_class(T) {
  struct Local : Module {};
  return Local().type_name();
}
template <class T>
struct Generic : Module {};

struct Filled : Module {
  Filled() {
    register_parameter("p", parameter(tensor({1})));
    register_buffer("b", tensor({1}));
    add_module("m", make_ref<Lin>());
  }
};

}  // namespace

TEST_CASE("registration checks in PyTorch's order and words") {
  Filled m;
  auto parameter_error = [&](const std::string& name, const Tensor& t) {
    return error_of([&] { m.register_parameter(name, t); });
  };
  CHECK(parameter_error("a.b", {}) == "KeyError: parameter name can't contain \".\"");
  CHECK(parameter_error("", {}) == "KeyError: parameter name can't be empty string \"\"");
  CHECK(parameter_error("b", {}) == "KeyError: attribute 'b' already exists");
  CHECK(parameter_error("forward", {}) == "KeyError: attribute 'forward' already exists");
  CHECK(parameter_error("x", tensor({1})) ==
        "TypeError: cannot assign 'torch.FloatTensor' object to parameter 'x' (torch.nn.Parameter "
        "or None required)");
  CHECK(error_of([] { parameter(zeros({1}, {.dtype = DType::i64})); }) ==
        "RuntimeError: Only Tensors of floating point and complex dtype can require gradients");
  auto buffer_error = [&](const std::string& name) {
    return error_of([&] { m.register_buffer(name, {}); });
  };
  CHECK(buffer_error("m") == "KeyError: attribute 'm' already exists");
  CHECK(buffer_error("a.b") == "KeyError: buffer name can't contain \".\"");
  CHECK(buffer_error("") == "KeyError: buffer name can't be empty string \"\"");
  auto module_error = [&](const std::string& name) {
    return error_of([&] { m.add_module(name, nullptr); });
  };
  CHECK(module_error("p") == "KeyError: attribute 'p' already exists");
  CHECK(module_error("a.b") == "KeyError: module name can't contain \".\", got: a.b");
  CHECK(module_error("") == "KeyError: module name can't be empty string \"\"");
  CHECK(module_error("train") == "KeyError: attribute 'train' already exists");
  CHECK(module_error("type") == "KeyError: attribute 'type' already exists");
  CHECK(module_error("zero_grad") == "KeyError: attribute 'zero_grad' already exists");
}

TEST_CASE("assignment follows Python's rules") {
  Filled m;
  auto assign = [&](const std::string& name, const Value& v) {
    return error_of([&] { m.set_attribute(name, v); });
  };
  CHECK(assign("p", make_ref<Lin>()) ==
        "TypeError: cannot assign 'Lin' as parameter 'p' (torch.nn.Parameter or None expected)");
  CHECK(assign("p", make_ref<nn::Linear>(1, 1)) ==
        "TypeError: cannot assign 'torch.nn.modules.linear.Linear' as parameter 'p' "
        "(torch.nn.Parameter or None expected)");
  CHECK(assign("b", DType::f32) ==
        "TypeError: cannot assign 'torch.dtype' as buffer 'b' (torch.nn.Buffer, torch.Tensor or "
        "None expected)");
  CHECK(assign("p", tensor({1})) ==
        "TypeError: cannot assign 'torch.FloatTensor' as parameter 'p' (torch.nn.Parameter or None "
        "expected)");
  CHECK(assign("m", tensor({1})) ==
        "TypeError: cannot assign 'torch.FloatTensor' as child module 'm' (torch.nn.Module or None "
        "expected)");
  CHECK(assign("b", 3) ==
        "TypeError: cannot assign 'int' as buffer 'b' (torch.nn.Buffer, torch.Tensor or None "
        "expected)");
  CHECK(error_of([&] { m.get_attribute("nope"); }) ==
        "AttributeError: 'Filled' object has no attribute 'nope'");
  CHECK(assign("b", tensor({5, 6})) == "");
  CHECK(floats(m.get_buffer("b")) == Floats{5, 6});
  CHECK(assign("p", Value()) == "");
  CHECK(m.get_attribute("p").is_none());
  // A parameter displaces a module and a buffer.
  CHECK(assign("m", parameter(tensor({1}))) == "");
  CHECK(assign("b", parameter(tensor({1}))) == "");
  CHECK(m.module_slots().empty());
  CHECK(m.buffer_slots().empty());
  CHECK(names(m.named_parameters()) == Names{"m", "b"});
}

TEST_CASE("slots keep their place when reassigned and lose it when deleted") {
  Module m;
  for (const char* name : {"a", "b", "c"}) m.register_parameter(name, parameter(tensor({1})));
  m.set_attribute("a", Value());
  m.set_attribute("a", parameter(tensor({2})));
  CHECK(names(m.named_parameters()) == Names{"a", "b", "c"});
  m.delete_attribute("a");
  m.register_parameter("a", parameter(tensor({3})));
  CHECK(names(m.named_parameters()) == Names{"b", "c", "a"});
  CHECK(error_of([&] { m.delete_attribute("z"); }) ==
        "AttributeError: 'Module' object has no attribute 'z'");
}

TEST_CASE("members read the registry's slots") {
  Net net;
  auto other = make_ref<Wrap>();
  net.set_attribute("a", other);
  CHECK(net.a.get() == other.get());
  net.set_attribute("a", make_ref<Lin>());
  CHECK(error_of([&] { net.a.get(); }) == "TypeError: child module 'a' was replaced by a Lin");
  CHECK(floats(net(tensor({1, 1, 1}))) == Floats{7, 7, 7});
  net.set_attribute("a", Value());
  CHECK(error_of([&] { net(tensor({1, 1, 1})); }) == "TypeError: child module 'a' is None");
  Lin lin;
  lin.delete_attribute("bias");
  CHECK_FALSE(lin.bias.defined());
}

TEST_CASE("members of a base class take children of any, which may be set as new modules") {
  struct Any : Module {
    Child<> lin = register_module("lin", Lin());
    using Module::forward;
    Tensor forward(const Tensor& x) override { return lin(x); }
  } m;
  CHECK(floats(m(tensor({1, 1, 1}))) == Floats{3, 3, 3});
  m.set_attribute("lin", Wrap());
  CHECK(m.lin->type_name() == "Wrap");
  m.set_attribute("lin", make_ref<Module>());
  CHECK(deepcopy(m.lin.ref()).get() != m.lin.get());
}

TEST_CASE("a const module is read, not changed") {
  struct Counted : Net {
    std::string extra_repr() const override { return std::to_string(parameters().size()); }
  };
  const Counted net;
  CHECK(net.extra_repr() == "4");
  CHECK(names(net.named_parameters("n")) ==
        Names{"n.a.lin.weight", "n.a.lin.bias", "n.b.lin.weight", "n.b.lin.bias"});
  CHECK(names(net.named_parameters("", false)) == Names{});
  CHECK(net.buffers().empty());
  CHECK(net.named_buffers().empty());
  CHECK(floats(net.get_parameter("a.lin.weight")) == Floats{2, 2, 2});
  CHECK(net.get_submodule("a.lin").type_name() == "Lin");
}

TEST_CASE("lookup by path") {
  Filled m;
  auto submodule = [&](const std::string& path) {
    return error_of([&] { m.get_submodule(path); });
  };
  CHECK(&m.get_submodule("") == &m);
  CHECK(&m.get_submodule("m") == m.child("m"));
  CHECK(submodule("m.x") == "AttributeError: Lin has no attribute `x`");
  CHECK(submodule("p") == "AttributeError: `p` is not an nn.Module");
  CHECK(submodule("a..b") == "AttributeError: Filled has no attribute `a`");
  CHECK(submodule("m.") == "AttributeError: Lin has no attribute ``");
  CHECK(error_of([&] { m.get_parameter("b"); }) == "AttributeError: `b` is not an nn.Parameter");
  CHECK(error_of([&] { m.get_parameter("m.q"); }) == "AttributeError: Lin has no attribute `q`");
  CHECK(error_of([&] { m.get_buffer("p"); }) == "AttributeError: `p` is not a buffer");
  CHECK(floats(m.get_parameter("m.weight")) == Floats{2, 2, 2});
  auto set = [&](const std::string& path, bool strict = false) {
    return error_of([&] { m.set_submodule(path, make_ref<Lin>(), strict); });
  };
  CHECK(set("") == "ValueError: Cannot set the submodule without a target name!");
  CHECK(set("q", true) == "AttributeError: Filled has no attribute `q`");
  CHECK(set("p") == "AttributeError: `p` is not an nn.Module");
  CHECK(set("m.deep") == "");
  CHECK(m.get_submodule("m.deep").type_name() == "Lin");
}

TEST_CASE("traversal is depth first, without repetitions") {
  struct Root : Module {
  } root;
  auto shared = make_ref<Lin>();
  auto b = make_ref<Root>();
  root.register_parameter("own", parameter(tensor({1})));
  root.add_module("a", shared);
  b->add_module("c", shared);
  root.add_module("b", b);
  root.add_module("none", nullptr);
  b->register_parameter("alias", root.get_parameter("own"));
  CHECK(names(root.named_modules()) == Names{"", "a", "b"});
  CHECK(names(root.named_modules("pre", false)) == Names{"pre", "pre.a", "pre.b", "pre.b.c"});
  CHECK(names(root.named_parameters()) == Names{"own", "a.weight", "a.bias"});
  CHECK(names(root.named_parameters("pre", true, false)) ==
        Names{"pre.own", "pre.a.weight", "pre.a.bias", "pre.b.alias", "pre.b.c.weight",
              "pre.b.c.bias"});
  CHECK(names(root.named_parameters("pre", false)) == Names{"pre.own"});
  CHECK(names(root.named_children()) == Names{"a", "b"});
  std::string order;
  root.apply([&](Module& m) { order += m.type_name() + " "; });
  CHECK(order == "Lin Lin Root Root ");
}

TEST_CASE("modes and gradients") {
  Net net;
  CHECK(net.training());
  net.eval();
  CHECK_FALSE(net.get_submodule("b.lin").training());
  net.train();
  CHECK(net.get_submodule("b.lin").training());
  net.get_submodule("a").requires_grad_(false);
  sum(net(tensor({1, 1, 1}))).backward();
  CHECK_FALSE(net.get_parameter("a.lin.weight").grad().defined());
  CHECK(floats(net.get_parameter("b.lin.bias").grad()) == Floats{1, 1, 1});
  net.zero_grad(false);
  CHECK(floats(net.get_parameter("b.lin.bias").grad()) == Floats{0, 0, 0});
  net.zero_grad();
  CHECK_FALSE(net.get_parameter("b.lin.bias").grad().defined());
}

TEST_CASE("conversion keeps parameters and replaces buffers") {
  Filled m;
  m.register_buffer("count", tensor({3}, DType::i64));
  const Tensor weight = m.get_parameter("m.weight"), buffer = m.get_buffer("b");
  sum(static_cast<Lin&>(m.get_submodule("m"))(tensor({1, 2, 3}))).backward();
  m.to_double();
  CHECK(m.get_parameter("m.weight").is_same(weight));
  CHECK(weight.dtype() == DType::f64);
  CHECK(weight.requires_grad());
  CHECK(weight.grad().dtype() == DType::f64);
  CHECK(floats(weight.grad()) == Floats{1, 2, 3});
  CHECK_FALSE(m.get_buffer("b").is_same(buffer));
  CHECK(buffer.dtype() == DType::f32);
  CHECK(m.get_buffer("count").dtype() == DType::i64);
  // The leaf goes on to accumulate in its new type.
  sum(static_cast<Lin&>(m.get_submodule("m"))(tensor({1, 2, 3}, DType::f64))).backward();
  CHECK(floats(weight.grad()) == Floats{2, 4, 6});
  weight.set_grad({});
  sum(static_cast<Lin&>(m.get_submodule("m"))(tensor({1, 2, 3}, DType::f64))).backward();
  CHECK(weight.grad().dtype() == DType::f64);
  m.type(DType::f32);
  CHECK(m.get_buffer("count").dtype() == DType::f32);
  CHECK(error_of([&] { m.to(DType::i64); }) ==
        "TypeError: nn.Module.to only accepts floating point or complex dtypes, but got desired "
        "dtype=torch.int64");
  m.to(zeros({1}, {.dtype = DType::f64}));  // as another tensor
  CHECK(weight.dtype() == DType::f64);
}

TEST_CASE("meta modules become real by to_empty alone") {
  Lin lin;
  lin.to(Device{DeviceType::meta});
  CHECK(lin.weight->is_meta());
  CHECK(lin(empty({3}, {DType::f32, {DeviceType::meta}})).is_meta());
  CHECK(
      error_of([&] { lin.cpu(); }) ==
      "NotImplementedError: Cannot copy out of meta tensor; no data! Please use "
      "torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from meta to "
      "a different device.");
  lin.to_empty({});
  CHECK(lin.weight->shape() == Shape{3});
  CHECK_FALSE(lin.weight->is_meta());
}

TEST_CASE("printed forms") {
  struct Multi : Module {
    std::string text;
    std::string extra_repr() const override { return text; }
  };
  Multi m;
  CHECK(m.repr() == "Multi()");
  m.text = "a=1";
  CHECK(m.repr() == "Multi(a=1)");
  m.text = "a=1\nb=2";
  auto inner = make_ref<Multi>();
  inner->text = "q\nr";
  inner->add_module("k", make_ref<Lin>());
  inner->add_module("n", nullptr);
  m.add_module("x", inner);
  CHECK(name_of_local_class(1) == "Local");
  CHECK(Generic<std::vector<Lin>>().type_name() == "Generic");
  CHECK(m.repr() == R"(Multi(
  a=1
  b=2
  (x): Multi(
    q
    r
    (k): Lin()
    (n): None
  )
))");
}

TEST_CASE("modules without forward and calls that do not fit") {
  Module m;
  CHECK(error_of([&] { m(tensor({1})); }) ==
        "NotImplementedError: Module [Module] is missing the required \"forward\" function");
  CHECK(error_of([&] {
          m(Args{{tensor({1})}, {}});
        }) == "NotImplementedError: Module [Module] is missing the required \"forward\" function");
  Lin lin;
  const Tensor x = tensor({1, 1, 1});
  CHECK(error_of([&] { lin(x, x); }) ==
        "TypeError: Lin.forward() takes 2 positional arguments but 3 were given");
  CHECK(error_of([&] {
          lin(Args{{}, {{"foo", x}}});
        }) == "TypeError: Lin.forward() got an unexpected keyword argument 'foo'");
  CHECK(error_of([&] {
          lin(Args{{x}, {{"input", x}}});
        }) == "TypeError: Lin.forward() got multiple values for argument 'input'");
  CHECK(floats(lin(Args{{}, {{"input", x}}}).as<Tensor>()) == Floats{3, 3, 3});
  CHECK(floats(lin(Value(x)).as<Tensor>()) == Floats{3, 3, 3});
}

TEST_CASE("a module may be called again from inside its own call") {
  Wrap net;
  int depth = 0;
  net.register_forward_hook([](Module&, const Values&, const Value&) {});
  net.before = [&](Wrap& m) {
    if (depth++ < 3) m(Args{{tensor({1, 1, 1})}, {}});
  };
  CHECK(floats(net(tensor({1, 2, 3}))) == Floats{3, 5, 7});
  CHECK(depth == 4);
}

TEST_CASE("streams depend on seed and path alone") {
  const Streams a(1, "fc1"), same(1, "fc1"), other_path(1, "fc2"), other_seed(2, "fc1");
  auto draw = [](const Streams& s, const char* name) {
    return rand({4}, {}, s(name)).to_vector<double>();
  };
  CHECK(draw(a, "weight") == draw(same, "weight"));
  CHECK(draw(a, "weight") != draw(a, "bias"));
  CHECK(draw(a, "weight") != draw(other_path, "weight"));
  CHECK(draw(a, "weight") != draw(other_seed, "weight"));
}

TEST_SUITE_END();
