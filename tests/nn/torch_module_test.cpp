// What PyTorch's test/test_nn.py asserts of modules and containers, where the other files here do
// not already. conformance.tsv maps its tests to these.
#include "nn/modules.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/linear.h"
#include "nnm/nn/layers/norm.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

/// Of two parameters, one in a child, and buffers of both kinds.
struct Mixed : Module {
  Mixed() {
    register_parameter("p", parameter(tensor({1})));
    register_buffer("kept", tensor({1}));
    register_buffer("scratch", tensor({2}), false);
    add_module("lin", make_ref<Lin>());
  }
};

std::vector<std::string> types(const nn::IndexedContainer& c) {
  std::vector<std::string> out;
  for (const Ref<ModuleSlot>& slot : c) out.push_back(slot->value->type_name());
  return out;
}

}  // namespace

TEST_CASE("requires_grad_ returns the module and leaves buffers alone") {
  Mixed m;
  CHECK(&m.requires_grad_(false) == &m);
  for (const Tensor& p : m.parameters()) CHECK_FALSE(p.requires_grad());
  m.requires_grad_();
  for (const Tensor& p : m.parameters()) CHECK(p.requires_grad());
  for (const Tensor& b : m.buffers()) CHECK_FALSE(b.requires_grad());
}

TEST_CASE("zero_grad drops or zeroes, frozen parameters too, and works without gradients") {
  Lin lin;
  lin.zero_grad();
  lin.zero_grad(false);
  sum(lin(tensor({1, 2, 3}))).backward();
  lin.weight->requires_grad_(false);
  const Tensor grad = lin.weight->grad();
  lin.zero_grad(false);
  CHECK(lin.weight->grad().is_same(grad));
  CHECK(floats(grad) == Floats{0, 0, 0});
  CHECK(floats(lin.bias->grad()) == Floats{0, 0, 0});
  lin.zero_grad();
  CHECK_FALSE(lin.weight->grad().defined());
  CHECK_FALSE(lin.bias->grad().defined());
}

TEST_CASE("under no_grad modules compute the same and keep no history") {
  for (const DType t : {DType::f32, DType::f64, DType::bf16}) {
    nn::Linear lin(3, 4);
    lin.to(t);
    const Tensor x = rand({2, 3});
    const Tensor y = lin(to(x, t));
    const NoGradGuard no_grad;
    const Tensor z = lin(to(x, t));
    CHECK_FALSE(z.requires_grad());
    CHECK(floats(z) == floats(y));
  }
}

TEST_CASE("parameters and buffers are listed by name, own alone or all, each once") {
  const auto shared = make_ref<Lin>();
  nn::Sequential twice(shared, shared);
  CHECK(names(twice.named_parameters()) == Names{"0.weight", "0.bias"});
  CHECK(names(twice.named_parameters("", true, false)) ==
        Names{"0.weight", "0.bias", "1.weight", "1.bias"});
  CHECK(twice.parameters().size() == 2);
  Mixed m;
  CHECK(names(m.named_parameters("", false)) == Names{"p"});
  CHECK(m.parameters(false).size() == 1);
  CHECK(names(m.named_buffers()) == Names{"kept", "scratch"});
  nn::Sequential s(make_ref<Mixed>(), make_ref<Mixed>());
  CHECK(names(s.named_buffers("pre")) ==
        Names{"pre.0.kept", "pre.0.scratch", "pre.1.kept", "pre.1.scratch"});
  CHECK(s.buffers(false).empty());
  const Tensor buffer = tensor({1});
  Module alias;
  alias.register_buffer("a", buffer);
  alias.register_buffer("b", buffer);
  CHECK(names(alias.named_buffers()) == Names{"a"});
  CHECK(names(alias.named_buffers("", true, false)) == Names{"a", "b"});
}

TEST_CASE("children and modules are listed once, names without dots") {
  const auto a = make_ref<Lin>(), b = make_ref<Lin>();
  const auto inner = make_ref<nn::Sequential>(a, b);
  nn::Sequential s(a, inner, a);
  CHECK(s.children() == std::vector<Module*>{a.get(), inner.get()});
  CHECK(s.modules() == std::vector<Module*>{&s, a.get(), inner.get(), b.get()});
  CHECK(names(s.named_modules()) == Names{"", "0", "1", "1.1"});
  CHECK(names(s.named_modules("", false)) == Names{"", "0", "1", "1.0", "1.1", "2"});
  s.add_module("none", nullptr);
  CHECK(names(s.named_children()) == Names{"0", "1"});
  for (const char* bad : {"", "a.b"}) {
    CHECK(error_of([&] { s.add_module(bad, a); }).starts_with("KeyError: module name can't"));
  }
}

TEST_CASE("train and eval return the module and set it before its children") {
  std::string order;
  struct Told : Wrap {
    std::string* order;
    Module& train(bool mode) override {
      Wrap::train(mode);
      *order += training() ? "train " : "eval ";
      return *this;
    }
  };
  const auto inner = make_ref<Told>();
  inner->order = &order;
  Wrap outer(inner);
  CHECK(&outer.eval() == &outer);
  CHECK_FALSE(inner->lin->training());
  CHECK(&outer.train() == &outer);
  CHECK(order == "eval train ");
}

TEST_CASE("buffers may be registered again, which can flip their persistence") {
  Mixed m;
  auto saved = [&](const char* key) { return m.state_dict().contains(key); };
  CHECK(saved("kept"));
  CHECK_FALSE(saved("scratch"));
  m.register_buffer("scratch", tensor({3}));
  CHECK(saved("scratch"));
  CHECK(floats(m.get_buffer("scratch")) == Floats{3});
  m.register_buffer("scratch", tensor({3}), false);
  CHECK_FALSE(saved("scratch"));
  // Assignment, through none as well, keeps it.
  m.set_attribute("scratch", Value());
  m.set_attribute("scratch", tensor({4}));
  CHECK_FALSE(saved("scratch"));
  CHECK(names(m.named_buffers()) == Names{"kept", "scratch"});
  // A parameter takes the buffer's place; deleted and registered anew it is persistent.
  m.set_attribute("scratch", parameter(tensor({5})));
  CHECK(saved("scratch"));
  CHECK(m.buffer_slots().size() == 1);
  m.delete_attribute("scratch");
  m.register_buffer("scratch", tensor({6}));
  CHECK(saved("scratch"));
  m.register_buffer("scratch", tensor({6}), false);
  m.delete_attribute("scratch");
  m.register_buffer("scratch", tensor({7}));
  CHECK(saved("scratch"));
}

TEST_CASE("buffers that are not saved are neither asked for nor overwritten by a load") {
  Mixed m;
  const StateDict s = m.state_dict();
  CHECK(m.load_state_dict(s).str() == "<All keys matched successfully>");
  CHECK(floats(m.get_buffer("scratch")) == Floats{2});
}

TEST_CASE("parameters may be registered again, but only with leaves") {
  Lin lin;
  lin.register_parameter("weight", parameter(tensor({7, 7, 7})));
  CHECK(floats(*lin.weight) == Floats{7, 7, 7});
  CHECK(names(lin.named_parameters()) == Names{"weight", "bias"});
  const Tensor computed = *lin.weight + 1;
  CHECK(
      error_of([&] { lin.register_parameter("weight", computed); })
          .starts_with("TypeError: cannot assign 'torch.FloatTensor' object to parameter 'weight' "
                       "(torch.nn.Parameter or None required)"));
  computed.impl()->is_parameter = true;
  CHECK(
      error_of([&] { lin.register_parameter("weight", computed); }) ==
      "ValueError: Cannot assign non-leaf Tensor to parameter 'weight'. Model parameters must be "
      "created explicitly. To express 'weight' as a function of another Tensor, compute the value "
      "in the forward() method.");
}

TEST_CASE("children may be added again, as none too") {
  Net net;
  const auto other = make_ref<Wrap>();
  net.add_module("a", other);
  CHECK(net.child("a") == other.get());
  net.add_module("a", nullptr);
  CHECK(net.child("a") == nullptr);
  CHECK(net.repr().find("(a): None") != std::string::npos);
  net.add_module("c", nullptr);
  CHECK(names(net.named_children()) == Names{"b"});
  CHECK(net.module_slots().size() == 3);
}

TEST_CASE("set_submodule replaces deep children, and strict makes none") {
  Net net;
  auto set = [&](const std::string& path, bool strict = false) {
    return error_of([&] { net.set_submodule(path, make_ref<nn::ReLU>(), strict); });
  };
  CHECK(set("a.lin") == "");
  CHECK(net.get_submodule("a.lin").type_name() == "ReLU");
  CHECK(set("a.new", true) == "AttributeError: Wrap has no attribute `new`");
  CHECK(set("a.new") == "");
  CHECK(set("a.lin", true) == "");
  CHECK(set("nope.lin") == "AttributeError: Net has no attribute `nope`");
  CHECK(set("b.lin.weight") == "AttributeError: `weight` is not an nn.Module");
  CHECK(set("b.lin.weight.x") == "AttributeError: `weight` is not an nn.Module");
  CHECK(set("") == "ValueError: Cannot set the submodule without a target name!");
  CHECK(error_of([&] { net.set_submodule("a.lin", nullptr); }) ==
        "ValueError: `module` is not an nn.Module, found <class 'NoneType'>");
}

TEST_CASE("buffers are found by path") {
  nn::Sequential s(make_ref<nn::BatchNorm1d>(3));
  CHECK(s.get_buffer("0.running_mean").shape() == Shape{3});
  CHECK(error_of([&] { s.get_buffer("0.weight"); }) == "AttributeError: `weight` is not a buffer");
  CHECK(error_of([&] { s.get_buffer("0.nope"); }) ==
        "AttributeError: BatchNorm1d has no attribute `nope`");
  // A parameter that stands among the buffers is both.
  const Tensor p = parameter(tensor({1}));
  s.register_buffer("p", p);
  CHECK(s.get_buffer("p").is_same(p));
  CHECK(s.get_parameter("p").is_same(p));
}

TEST_CASE("non-full backward hooks fire on the first tensor of a dict") {
  const Warnings warnings;
  Fn m([](const Args& a) { return Value::dict({{"n", 3}, {"output", sum(arg(a) * 2)}}); });
  int fired = 0;
  m.register_backward_hook([&](Module&, const Tensors&, const Tensors&) { ++fired; });
  m(Args{{tensor({1}).requires_grad_()}, {}}).find("output")->as<Tensor>().backward();
  CHECK(fired == 1);
}

TEST_CASE("a conversion in place spoils the graph, one that replaces does not") {
  nn::Linear lin(2, 2);
  lin.requires_grad_();
  const Tensor y = sum(exp(lin(ones({1, 2}).requires_grad_())));
  const uint32_t version = lin.weight->version();
  lin.convert([](const Tensor& t) {
    mul_(t, 2);
    return t;
  });
  CHECK(lin.weight->version() > version);
  CHECK(error_of([&] { y.backward(); })
            .starts_with("RuntimeError: one of the variables needed for gradient computation has "
                         "been modified by an inplace operation"));
}

TEST_CASE("to_empty makes the whole tree real, or one module alone") {
  const Device meta{DeviceType::meta};
  Net net;
  net.to(meta);
  net.to_empty({});
  for (const Tensor& p : net.parameters()) CHECK_FALSE(p.is_meta());
  Mixed m;
  m.to(meta);
  m.to_empty({}, false);
  CHECK_FALSE(m.get_parameter("p").is_meta());
  CHECK_FALSE(m.get_buffer("kept").is_meta());
  CHECK(m.get_parameter("lin.weight").is_meta());
}

TEST_CASE("conversions return the module, keep integers and step over none") {
  nn::Sequential s(make_ref<nn::BatchNorm1d>(3));
  s.add_module("none", nullptr);
  CHECK(&s.half() == &s);
  CHECK(s.get_buffer("0.running_mean").dtype() == DType::f16);
  CHECK(s.get_buffer("0.num_batches_tracked").dtype() == DType::i64);
  s.bfloat16();
  CHECK(s.get_parameter("0.weight").dtype() == DType::bf16);
  s.to_double();
  CHECK(s.get_parameter("0.weight").dtype() == DType::f64);
  s.to_float();
  CHECK(s.get_parameter("0.weight").dtype() == DType::f32);
  CHECK(&s.to({DType::f64, {}}) == &s);
  CHECK(s.get_buffer("0.num_batches_tracked").dtype() == DType::i64);
  s.type(DType::f32);
  CHECK(s.get_buffer("0.num_batches_tracked").dtype() == DType::f32);
  CHECK(&s.cpu() == &s);
}

TEST_CASE("apply visits children first, a module shared by two parents twice") {
  const auto shared = make_ref<Lin>();
  nn::Sequential s(make_ref<nn::Sequential>(shared, shared), make_ref<Wrap>(shared));
  std::string order;
  CHECK(&s.apply([&](Module& m) { order += m.type_name() + " "; }) == &s);
  CHECK(order == "Lin Sequential Lin Wrap Sequential ");
}

TEST_CASE("Sequential: items, slices, deletion, sums and products") {
  auto four = [] {
    return make_ref<nn::Sequential>(make_ref<nn::ReLU>(), make_ref<nn::Tanh>(),
                                    make_ref<nn::Sigmoid>(), make_ref<nn::GELU>());
  };
  const auto s = four();
  CHECK(s->at(-1).get() == &(*s)[3]);
  CHECK(types(*s->slice(1, -1)) == Names{"Tanh", "Sigmoid"});
  CHECK(s->slice(5)->empty());
  s->set(-2, make_ref<nn::SELU>());
  CHECK(types(*s) == Names{"ReLU", "Tanh", "SELU", "GELU"});
  CHECK(error_of([&] { s->set(4, nullptr); }) == "IndexError: index 4 is out of range");
  nn::Sequential named(nn::NamedRefs{{"a", make_ref<nn::ReLU>()}, {"b", make_ref<nn::Tanh>()}});
  named.set(1, make_ref<nn::GELU>());
  CHECK(named.child("b")->type_name() == "GELU");
  named.remove(0);
  CHECK(names(named.named_children()) == Names{"0"});  // deletion numbers anew
  s->remove(std::nullopt, 2);
  CHECK(types(*s) == Names{"SELU", "GELU"});
  CHECK(names(s->named_children()) == Names{"0", "1"});
  s->remove(-1, std::nullopt);
  CHECK(types(*s) == Names{"SELU"});
  const auto t = four();
  CHECK((*s + *t)->size() == 5);
  *s += *t;
  CHECK(types(*s) == Names{"SELU", "ReLU", "Tanh", "Sigmoid", "GELU"});
  CHECK((*t * 2)->size() == 8);
  CHECK((2 * *t)->at(4) == t->at(0));
  CHECK(t->size() == 4);
  CHECK(error_of([&] { *t * -1; }) ==
        "ValueError: Non-positive multiplication factor -1 for <class "
        "'torch.nn.modules.container.Sequential'>");
  CHECK(t->pop(1)->type_name() == "Tanh");
  CHECK(types(*t) == Names{"ReLU", "Sigmoid", "GELU"});
  t->insert(-1, make_ref<nn::SELU>());
  CHECK(types(*t) == Names{"ReLU", "Sigmoid", "SELU", "GELU"});
  CHECK(error_of([&] { t->insert(-5, make_ref<nn::SELU>()); }) ==
        "IndexError: Index out of range: -5");
  CHECK(error_of([&] { t->insert(0, nullptr); }) ==
        "AssertionError: module should be of type: <class 'torch.nn.modules.module.Module'>");
  t->extend({make_ref<nn::ReLU>(), make_ref<nn::ReLU>()}).append(make_ref<nn::Tanh>());
  CHECK(t->size() == 7);
  nn::Sequential doubled(nn::NamedRefs{{"a", make_ref<nn::ReLU>()}, {"a", make_ref<nn::Tanh>()}});
  CHECK(doubled.size() == 1);
  CHECK(doubled[0].type_name() == "Tanh");
  CHECK(floats(nn::Sequential()(tensor({1}))) == Floats{1});
}

TEST_CASE("ModuleList: items, slices, sums, insertion and deletion") {
  nn::ModuleList list({make_ref<nn::ReLU>(), make_ref<nn::Tanh>()});
  list.append(make_ref<nn::GELU>());
  list += {make_ref<nn::SELU>()};
  CHECK(types(list) == Names{"ReLU", "Tanh", "GELU", "SELU"});
  CHECK(names(list.slice(2)->named_children()) == Names{"0", "1"});
  CHECK((list + list)->size() == 8);
  CHECK((list + std::vector<Ref<Module>>{nullptr})->size() == 5);
  list.insert(1, make_ref<nn::Sigmoid>());
  CHECK(types(list) == Names{"ReLU", "Sigmoid", "Tanh", "GELU", "SELU"});
  list.remove(1, 3);
  CHECK(types(list) == Names{"ReLU", "GELU", "SELU"});
  CHECK(names(list.named_children()) == Names{"0", "1", "2"});
  list.remove(-1);
  CHECK(list.pop(0)->type_name() == "ReLU");
  CHECK(types(list) == Names{"GELU"});
  list.set(0, make_ref<nn::ReLU>());
  CHECK(list[0].type_name() == "ReLU");
  CHECK(error_of([&] { list[1]; }) == "IndexError: index 1 is out of range");
  list.insert(3, make_ref<nn::Tanh>());  // leaves a hole in the numbering, as PyTorch does
  CHECK(list.module_slots().back()->name == "3");
}

TEST_CASE("ParameterDict: every method of a dict") {
  const Tensor a = ones({1}), b = ones({2});
  nn::ParameterDict d(NamedTensors{{"b", b}, {"a", a}});
  CHECK(d.keys() == Names{"b", "a"});  // pairs keep their order
  CHECK(d.contains("a"));
  CHECK_FALSE(d.contains("z"));
  CHECK(d.get("z").defined() == false);
  CHECK(d.get("z", a).is_same(a));
  CHECK(is_parameter(d.get("a")));
  CHECK(d.setdefault("n").defined() == false);
  CHECK(d.size() == 3);
  CHECK(d.repr().find("(n): Object of type: NoneType") != std::string::npos);
  CHECK_FALSE(d.pop("n").defined());
  CHECK(d.items().size() == 2);
  CHECK(d.values()[0].numel() == 2);
  const auto copy = d.copy();
  CHECK((*copy)["a"].is_same(d["a"]));
  const nn::ParameterDict e(NamedTensors{{"c", ones({3})}, {"a", ones({4})}});
  CHECK((d | e)->keys() == Names{"b", "a", "c"});
  CHECK((*(d | e))["a"].numel() == 4);
  CHECK((*(e | d))["a"].numel() == 1);
  d |= e;
  CHECK(d["a"].numel() == 4);
  CHECK(nn::ParameterDict::fromkeys({"x", "y"}, a)->keys() == Names{"x", "y"});
  CHECK(error_of([&] { d.remove("z"); }) == "KeyError: 'z'");
  CHECK(error_of([&] { d.pop("z"); }) ==
        "AttributeError: 'ParameterDict' object has no attribute 'z'");
  CHECK(error_of([&] { d.set("keys", a); }) == "KeyError: attribute 'keys' already exists");
  d.clear();
  CHECK(d.size() == 0);
  CHECK(error_of([&] { d.popitem(); }) == "KeyError: 'popitem(): dictionary is empty'");
  // A plain dict comes in sorted, as PyTorch has it.
  const auto made = Registry<Module>::make("ParameterDict",
                                           {{Value::dict({{"b", Value(b)}, {"a", Value(a)}})}, {}});
  CHECK(names(made->named_parameters()) == Names{"a", "b"});
}

TEST_CASE("ParameterList: items, slices and what it holds") {
  nn::ParameterList list(Tensors{ones({1}), ones({2})});
  list += {ones({3})};
  CHECK(list[-1].numel() == 3);
  CHECK(list.slice(1)->size() == 2);
  CHECK((*list.slice(1))[0].is_same(list[1]));
  list.set(0, ones({4}));
  CHECK(list[0].numel() == 4);
  CHECK(is_parameter(list[0]));
  CHECK(list.values().size() == 3);
  CHECK(names(list.named_parameters()) == Names{"0", "1", "2"});
  CHECK(error_of([&] { list.set(3, ones({1})); }) == "IndexError: index 3 is out of range");
}

TEST_CASE("ModuleDict: every method of a dict") {
  nn::ModuleDict d({{"a", make_ref<nn::ReLU>()}, {"b", make_ref<nn::Tanh>()}});
  CHECK(d.contains("a"));
  CHECK(d.values()[1]->type_name() == "Tanh");
  CHECK(d.items()[0].first == "a");
  d.update({{"b", make_ref<nn::GELU>()}, {"c", make_ref<nn::SELU>()}});
  CHECK(d.keys() == Names{"a", "b", "c"});
  CHECK(d["b"].type_name() == "GELU");
  d.remove("a");
  CHECK(d.size() == 2);
  CHECK(error_of([&] { d.remove("a"); }) == "KeyError: 'a'");
  CHECK(error_of([&] { d.set("x.y", nullptr); }) ==
        "KeyError: module name can't contain \".\", got: x.y");
  CHECK(error_of([&] { d(tensor({1})); }) ==
        "NotImplementedError: Module [ModuleDict] is missing the required \"forward\" function");
}

TEST_SUITE_END();
