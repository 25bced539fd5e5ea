// Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict.
#include "nnm/nn/layers/container.h"

#include <ranges>

#include "nn/modules.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/linear.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

TEST_CASE("Sequential chains its children, whatever they pass on") {
  struct Split : Module {
    Value forward(const Args& a) override {
      return Value::tuple({a.pos[0], a.pos[0].as<Tensor>() * 2});
    }
  };
  struct Join : Module {
    Value forward(const Args& a) override {
      const Values& v = a.pos[0].items();
      return v[0].as<Tensor>() + v[1].as<Tensor>();
    }
  };
  nn::Sequential seq(make_ref<Split>(), make_ref<Join>(), make_ref<Lin>());
  for (int i = 0; i < 2; ++i) CHECK(floats(seq(tensor({1, 2, 3}))) == Floats{7, 13, 19});
  nn::Sequential nested(make_ref<nn::Sequential>(make_ref<Lin>()), make_ref<nn::Sequential>());
  for (int i = 0; i < 2; ++i) CHECK(floats(nested(tensor({1, 1, 1}))) == Floats{3, 3, 3});
  CHECK(error_of([&] { seq(1, 2); }) ==
        "TypeError: Sequential.forward() takes 2 positional arguments but 3 were given");
}

TEST_CASE("containers hold containers of their class") {
  const auto relu = [] { return make_ref<nn::ReLU>(); };
  const char* const nested = "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n)";
  CHECK(nn::Sequential(make_ref<nn::Sequential>(relu())).repr() == nested);
  CHECK(nn::Sequential({{"0", nn::Sequential(relu())}}).repr() == nested);
  CHECK(nn::Sequential(nn::Sequential(relu()), nn::Sequential()).size() == 2);
  CHECK(nn::Sequential(nn::Sequential(relu(), relu()), relu())[0].repr() ==
        "Sequential(\n  (0): ReLU()\n  (1): ReLU()\n)");
  const nn::ModuleList one({make_ref<nn::ModuleList>(std::vector<Ref<Module>>{relu()})});
  CHECK(one.repr() == "ModuleList(\n  (0): ModuleList(\n    (0): ReLU()\n  )\n)");
  CHECK(nn::ModuleList({nn::ModuleList({relu()}), nn::ModuleList()}).size() == 2);
  CHECK(nn::ModuleDict({{"k", nn::ModuleDict({{"z", relu()}})}}).repr() ==
        "ModuleDict(\n  (k): ModuleDict(\n    (z): ReLU()\n  )\n)");
}

TEST_CASE("Sequential's interface") {
  nn::Sequential s(make_ref<nn::ReLU>(), make_ref<nn::Tanh>(), make_ref<nn::Sigmoid>());
  CHECK(s.size() == 3);
  CHECK(s[-1].type_name() == "Sigmoid");
  CHECK(error_of([&] { s[3]; }) == "IndexError: index 3 is out of range");
  auto tail = s.slice(1);
  CHECK(tail->repr() == "Sequential(\n  (1): Tanh()\n  (2): Sigmoid()\n)");
  tail->append(make_ref<nn::ReLU>());  // the name "2" is taken
  CHECK(tail->repr() == "Sequential(\n  (1): Tanh()\n  (2): ReLU()\n)");
  CHECK(error_of([&] { tail->insert(0, make_ref<nn::GELU>()); }) == "KeyError: '0'");
  CHECK(error_of([&] { s.insert(9, make_ref<nn::GELU>()); }) ==
        "IndexError: Index out of range: 9");
  s.insert(1, make_ref<nn::GELU>());
  CHECK(names(s.named_children()) == Names{"0", "1", "2", "3"});
  CHECK(s[1].type_name() == "GELU");
  s.remove(0);
  CHECK(s.repr() ==
        "Sequential(\n  (0): GELU(approximate='none')\n  (1): Tanh()\n  (2): Sigmoid()\n)");
  s *= 2;
  CHECK(names(s.named_modules("", false)) == Names{"", "0", "1", "2", "3", "4", "5"});
  CHECK(s.module_slots()[0]->value == s.module_slots()[3]->value);
  CHECK(error_of([&] {
          s *= 0;
        }).starts_with("ValueError: Non-positive multiplication factor 0 for "));
  CHECK(s.pop()->type_name() == "Sigmoid");
  CHECK((*(s + s)).size() == 10);
  nn::Sequential named(nn::NamedRefs{{"act", make_ref<nn::ReLU>()}});
  CHECK(named.repr() == "Sequential(\n  (act): ReLU()\n)");
  CHECK(error_of([&] { named.add_module("pop", nullptr); }) ==
        "KeyError: attribute 'pop' already exists");
}

// What torch.nn prints for s[::2], s[::-1], del s[::2] and the like.
TEST_CASE("containers have Python's slices") {
  const nn::Sequential s{nn::ReLU(), nn::Tanh(), nn::Sigmoid(), nn::Identity()};
  const auto text = [](const auto& container) {
    std::string out;
    for (const auto& slot : container) out += slot->name + slot->value->type_name() + " ";
    return out;
  };
  CHECK(text(*s.slice({}, {}, 2)) == "0ReLU 2Sigmoid ");
  CHECK(text(*s.slice({}, {}, -1)) == "3Identity 2Sigmoid 1Tanh 0ReLU ");
  CHECK(text(*s.slice(-2)) == "2Sigmoid 3Identity ");
  CHECK(text(*s.slice(1, -1)) == "1Tanh 2Sigmoid ");
  CHECK(text(*s.slice(10)) == "");
  CHECK(text(*s.slice(10, {}, -2)) == "3Identity 1Tanh ");
  CHECK(error_of([&] { s.slice({}, {}, 0); }) == "ValueError: slice step cannot be zero");
  nn::Sequential rest{nn::ReLU(), nn::Tanh(), nn::Sigmoid(), nn::Identity()};
  rest.remove({}, {}, 2);
  CHECK(text(rest) == "0Tanh 1Identity ");
  const nn::ModuleList list({nn::ReLU(), nn::Tanh(), nn::Sigmoid()});
  CHECK(text(*list.slice({}, {}, 2)) == "0ReLU 1Sigmoid ");
  CHECK(text(*list.slice({}, {}, -1)) == "0Sigmoid 1Tanh 2ReLU ");
  nn::ModuleList backwards({nn::ReLU(), nn::Tanh(), nn::Sigmoid()});
  backwards.remove(2, 0, -1);
  CHECK(text(backwards) == "0ReLU ");
  const nn::ParameterList parameters({ones({1}), ones({2}), ones({3})});
  CHECK(parameters.slice({}, {}, -2)->repr() == R"(ParameterList(
    (0): Parameter containing: [torch.float32 of size 3]
    (1): Parameter containing: [torch.float32 of size 1]
))");
}

TEST_CASE("containers are walked in their order, and backwards") {
  const nn::ModuleDict modules({{"b", nn::ReLU()}, {"a", nn::Tanh()}});
  Names keys;
  for (const Ref<ModuleSlot>& slot : modules) keys.push_back(slot->name);
  CHECK(keys == modules.keys());
  const nn::ParameterDict parameters({{"b", ones({1})}, {"a", ones({2})}});
  keys.clear();
  for (const Ref<TensorSlot>& slot : parameters) keys.push_back(slot->name);
  CHECK(keys == Names{"b", "a"});
  keys.clear();
  for (const Ref<TensorSlot>& slot : parameters | std::views::reverse) keys.push_back(slot->name);
  CHECK(keys == Names{"a", "b"});
  nn::ParameterList list({ones({1}), ones({2}), ones({3})});
  int64_t elements = 0;
  for (const Tensor& p : list) elements += p.numel();
  CHECK(elements == 6);
  list.register_parameter("beside", parameter(ones({9})));
  CHECK(std::ranges::distance(list) == 3);
  list.delete_attribute("1");
  CHECK(error_of([&] {
          for (const Tensor& p : list) elements += p.numel();
        }) == "AttributeError: 'ParameterList' object has no attribute '1'");
}

TEST_CASE("ModuleList prints runs of equal children once") {
  nn::ModuleList list({make_ref<nn::ReLU>(), make_ref<nn::ReLU>(), make_ref<nn::Tanh>(),
                       make_ref<nn::Sequential>(make_ref<nn::Tanh>()),
                       make_ref<nn::Sequential>(make_ref<nn::Tanh>()), nullptr});
  CHECK(list.repr() == R"(ModuleList(
  (0-1): 2 x ReLU()
  (2): Tanh()
  (3-4): 2 x Sequential(
    (0): Tanh()
  )
  (5): None
))");
  CHECK(list.slice(2, 4)->repr() == R"(ModuleList(
  (0): Tanh()
  (1): Sequential(
    (0): Tanh()
  )
))");
  CHECK(nn::ModuleList().repr() == "ModuleList()");
  CHECK(error_of([&] { list(tensor({1})); }) ==
        "NotImplementedError: Module [ModuleList] is missing the required \"forward\" function");
  list.pop(0);
  CHECK(names(list.named_children()) == Names{"0", "1", "2", "3"});
  list.insert(0, make_ref<nn::GELU>());
  CHECK(list[0].type_name() == "GELU");
  CHECK(error_of([&] { list.insert(-1, make_ref<nn::GELU>()); }) == "KeyError: '-1'");
}

TEST_CASE("a ModuleList with a hole is indexed by name and walked by position") {
  auto holed = [] {
    nn::ModuleList list({nn::Identity(), nn::ReLU(), nn::Tanh()});
    list.delete_attribute("1");
    return make_ref<nn::ModuleList>(std::move(list));
  };
  auto text = [](const nn::ModuleList& list) {
    std::string out;
    for (const auto& slot : list) out += slot->name + slot->value->type_name() + " ";
    return out;
  };
  const auto list = holed();
  CHECK(list->size() == 2);
  CHECK(list->repr() == "ModuleList(\n  (0): Identity()\n  (1): Tanh()\n)");
  CHECK((*list)[0].type_name() == "Identity");
  CHECK(error_of([&] { (*list)[1]; }) == "KeyError: '1'");
  CHECK(error_of([&] { (*list)[-1]; }) == "KeyError: '1'");
  CHECK(error_of([&] { (*list)[2]; }) == "IndexError: index 2 is out of range");
  CHECK(error_of([&] { list->pop(1); }) == "KeyError: '1'");
  CHECK(error_of([&] { list->remove(1); }) ==
        "AttributeError: 'ModuleList' object has no attribute '1'");
  CHECK(text(*list->slice(0, 2)) == "0Identity 1Tanh ");
  CHECK(text(*list) == "0Identity 2Tanh ");
  list->pop(0);
  CHECK(text(*list) == "0Tanh ");
  const auto filled = holed();
  filled->set(1, nn::Sigmoid());
  CHECK(text(*filled) == "0Identity 2Tanh 1Sigmoid ");
  CHECK((*filled)[2].type_name() == "Tanh");
  const auto covered = holed();
  covered->append(nn::Sigmoid());
  CHECK(text(*covered) == "0Identity 2Sigmoid ");
  nn::Sequential chain{nn::Identity(), nn::ReLU(), nn::Tanh()};
  chain.delete_attribute("1");
  CHECK(chain[1].type_name() == "Tanh");
}

TEST_CASE("ModuleDict's interface") {
  nn::ModuleDict d({{"a", make_ref<nn::ReLU>()}, {"b", make_ref<nn::Tanh>()}});
  CHECK(d.keys() == Names{"a", "b"});
  CHECK(d["b"].type_name() == "Tanh");
  CHECK(error_of([&] { d["c"]; }) == "KeyError: 'c'");
  CHECK(error_of([&] { d.pop("c"); }) == "KeyError: 'c'");
  CHECK(error_of([&] { d.set("keys", make_ref<nn::ReLU>()); }) ==
        "KeyError: attribute 'keys' already exists");
  d.set("a", make_ref<nn::GELU>());
  CHECK(d.repr() == "ModuleDict(\n  (a): GELU(approximate='none')\n  (b): Tanh()\n)");
  CHECK(d.pop("a")->type_name() == "GELU");
  CHECK(d.size() == 1);
  d.clear();
  CHECK(d.repr() == "ModuleDict()");
}

TEST_CASE("ParameterList and ParameterDict") {
  nn::ParameterList list(Tensors{ones({2, 3})});
  CHECK(list.repr() == "ParameterList(  (0): Parameter containing: [torch.float32 of size 2x3])");
  list.append(ones({}));
  CHECK(list.repr() == R"(ParameterList(
    (0): Parameter containing: [torch.float32 of size 2x3]
    (1): Parameter containing: [torch.float32 of size ]
))");
  CHECK(list[0].requires_grad());
  CHECK(is_parameter(list[-1]));
  CHECK(list.state_dict().keys() == Names{"0", "1"});
  CHECK(error_of([&] { list[2]; }) == "IndexError: index 2 is out of range");
  CHECK(error_of([&] { list(1, 2); }) == "RuntimeError: ParameterList should not be called.");

  nn::ParameterDict d(NamedTensors{{"k", ones({1}, {DType::f64})}, {"a", ones({2, 3})}});
  CHECK(d.repr() == R"(ParameterDict(
    (k): Parameter containing: [torch.DoubleTensor of size 1]
    (a): Parameter containing: [torch.FloatTensor of size 2x3]
))");
  CHECK(error_of([&] { d["x"]; }) == "AttributeError: 'ParameterDict' object has no attribute 'x'");
  CHECK(d.popitem().first == "a");
  CHECK(d.setdefault("z", ones({1})).numel() == 1);
  CHECK(d.keys() == Names{"k", "z"});
  CHECK(d.copy()->keys() == d.keys());
  CHECK(error_of([&] { d(1, 2); }) == "RuntimeError: ParameterDict should not be called.");
}

TEST_CASE("a ParameterList with a hole keeps its size") {
  nn::ParameterList list({ones({1}), ones({2}), ones({3})});
  list.register_parameter("beside", parameter(ones({9})));
  CHECK(list.size() == 3);
  list.delete_attribute("1");
  const std::string missing = "AttributeError: 'ParameterList' object has no attribute '1'";
  CHECK(list.size() == 3);
  CHECK(list[2].shape() == Shape{3});
  CHECK(list[-1].shape() == Shape{3});
  CHECK(error_of([&] { list[1]; }) == missing);
  CHECK(error_of([&] { list.repr(); }) == missing);
  CHECK(error_of([&] { list.values(); }) == missing);
  CHECK(error_of([&] { list.slice(1); }) == missing);
  CHECK(list.slice(2)->repr() ==
        "ParameterList(  (0): Parameter containing: [torch.float32 of size 3])");
  list.set(1, zeros({4}));
  CHECK(names(list.named_parameters()) == Names{"0", "2", "beside", "1"});
  CHECK(error_of([&] { list.set(5, zeros({4})); }) == "IndexError: index 5 is out of range");
  list.append(ones({5}));
  CHECK(list.values().size() == 4);
}

TEST_CASE("containers are made by name, too") {
  const Values children{make_ref<nn::ReLU>(), make_ref<nn::Tanh>()};
  CHECK(Registry<Module>::make("Sequential", {children, {}})->repr() ==
        "Sequential(\n  (0): ReLU()\n  (1): Tanh()\n)");
  CHECK(Registry<Module>::make("ModuleList", {{Value::list(children)}, {}})->repr() ==
        "ModuleList(\n  (0): ReLU()\n  (1): Tanh()\n)");
  CHECK(Registry<Module>::make("ModuleDict", {{Value::dict({{"a", children[0]}})}, {}})->repr() ==
        "ModuleDict(\n  (a): ReLU()\n)");
}

TEST_SUITE_END();
