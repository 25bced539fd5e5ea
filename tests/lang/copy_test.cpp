// Deep copies of modules that a config describes.
#include "lang/model_support.h"

#include <doctest/doctest.h>

#include "nnm/ops/ops.h"

using namespace nnm;
using namespace nnm::testing;

TEST_SUITE_BEGIN("lang");

namespace {

const char* const kNet = R"(nnm: 1
define:
  Block:
    args: {width: int, act: module}
    params:
      scale: {shape: "[width]", init: ones}
    buffers:
      calls: {shape: "[]", init: zeros}
    modules:
      fc: Linear(width, width)
      inner: act
    forward:
      - self.calls = calls + 1
      - h = fc(x) |> inner
      - if training:
          - return h * scale
      - return act(h) * scale * 2
  Net:
    modules:
      gate: PReLU()
      first: Block(3, gate)
      second: Block(3, gate)
      head: Linear(3, 3)
    tie:
      - head.weight = first.fc.weight
    inputs:
      x: f32[B, 3]
      y: f32[B, 3]?
    forward:
      - h = second(first(x))
      - if given(y):
          - h = h + y
      - return head(h)
model: Net()
)";

std::vector<float> floats(const Value& v) { return v.as<Tensor>().to_vector<float>(); }

}  // namespace

TEST_CASE("a deep copy of a class's instance runs its forward on its own children") {
  Ref<Module> net, copy;
  {
    // What it was built from may go.
    net = ParsedModel(kNet).build().module;
    net->eval();
    copy = deepcopy(*net);
  }
  const Tensor x = tensor({{1.0, -2.0, 3.0}});
  const std::vector<float> before = floats((*net)(Value(x)));
  CHECK(floats((*copy)(Value(x))) == before);
  CHECK(copy->repr() == net->repr());
  CHECK_FALSE(copy->training());
  CHECK(copy->state_dict().keys() == net->state_dict().keys());
  // Each counted its own calls.
  CHECK(net->get_buffer("first.calls").item().d == 1);
  CHECK(copy->get_buffer("first.calls").item().d == 1);

  // Shared inside the copy as inside the original, and not with it: `act` is the gate.
  CHECK(copy->get_parameter("head.weight").is_same(copy->get_parameter("first.fc.weight")));
  CHECK(&copy->get_submodule("first.inner") == &copy->get_submodule("gate"));
  for (const auto& [name, parameter] : net->named_parameters()) {
    CAPTURE(name);
    CHECK(parameter.data() != copy->get_parameter(name).data());
    fill_(parameter.detach(), 0);
  }
  CHECK(floats((*copy)(Value(x))) == before);
  fill_(copy->get_parameter("gate.weight").detach(), 5);
  CHECK(floats((*copy)(Value(x))) != before);

  // Inputs are bound by name in the copy, and a replaced child is seen.
  copy->set_submodule("second", deepcopy(net->get_submodule("gate")));
  const Value out = (*copy)(Args{{x}, {{"y", x}}});
  CHECK(out.as<Tensor>().shape() == Shape{1, 3});
}

TEST_CASE("a copy of an instance keeps its hooks, in any order of destruction") {
  auto net = ParsedModel(kNet).build().module;
  int called = 0;
  auto handle = net->get_submodule("first").register_forward_hook(
      [&](Module&, const Values&, const Value&) { ++called; });
  auto copy = deepcopy(*net);
  auto again = deepcopy(*copy);
  handle.remove();
  net = nullptr;
  copy = nullptr;
  const Tensor x = ones({2, 3}).requires_grad_();
  sum((*again)(Value(x)).as<Tensor>()).backward();
  CHECK(called == 1);
  CHECK(again->get_parameter("gate.weight").grad().defined());
}

TEST_SUITE_END();
