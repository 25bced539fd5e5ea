// Forward: statements, names, calls, modes, buffers, and what its errors say.
#include <doctest/doctest.h>

#include "lang/model_support.h"
#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::lang;
using nnm::testing::contains;
using nnm::testing::diagnostics_of;
using nnm::testing::ParsedModel;

namespace {

std::string indented(const std::string& lines, int by) {
  std::string out;
  size_t from = 0;
  while (from < lines.size()) {
    size_t to = lines.find('\n', from);
    if (to == std::string::npos) to = lines.size();
    out += std::string(static_cast<size_t>(by), ' ') + lines.substr(from, to - from) + "\n";
    from = to + 1;
  }
  return out;
}

/// A class with these keys as the model.
std::string class_of(const std::string& keys) {
  return "nnm: 1\ndefine:\n  C:\n" + indented(keys, 4) + "model: C()\n";
}

std::vector<double> numbers(const Value& v) { return v.as<Tensor>().to_vector<double>(); }

Tensor vec(std::vector<float> v) {
  const auto n = static_cast<int64_t>(v.size());
  return tensor_of<float>(v, {n}, {});
}

/// The class run on x.
Value run_class(const std::string& keys, const Value& x = vec({-1, 2, -3}), bool training = false) {
  const Model m = ParsedModel(class_of(keys)).build();
  m.module->train(training);
  return (*m.module)(Args{{x}, {}});
}

std::string class_error(const std::string& keys, const Value& x = vec({-1, 2, -3})) {
  return diagnostics_of([&] { run_class(keys, x); });
}

using D = std::vector<double>;

}  // namespace

TEST_SUITE_BEGIN("lang");

TEST_CASE("forward: arithmetic, pipes, methods, attributes") {
  CHECK(numbers(run_class("forward:\n  - return x * 2 + 1")) == D{-1, 5, -5});
  CHECK(numbers(run_class("forward:\n  - return 1 - x")) == D{2, -1, 4});
  CHECK(numbers(run_class("forward:\n  - return 6 / x")) == D{-6, 3, -2});
  CHECK(numbers(run_class("forward:\n  - return x ** 2 - x")) == D{2, 2, 12});
  CHECK(numbers(run_class("forward:\n  - return 2 ** x")) == D{0.5, 4, 0.125});
  CHECK(numbers(run_class("forward:\n  - return x % 2")) == D{1, 0, 1});
  CHECK(numbers(run_class("forward:\n  - return -x |> relu")) == D{1, 0, 3});
  CHECK(numbers(run_class("forward:\n  - return x.relu().sum() + x.abs()")) == D{3, 4, 5});
  CHECK(numbers(run_class("forward:\n  - return abs(x) * len(x) + abs(-2)")) == D{5, 8, 11});
  CHECK(numbers(run_class("forward:\n  - return (x > 0).to(f32) + (x == 2)")) == D{0, 2, 0});
  CHECK(numbers(run_class("forward:\n  - return x * x.shape[0] + x.size(0) + x.ndim")) ==
        D{1, 10, -5});
  CHECK(numbers(run_class("forward:\n  - return reshape(x, 3, 1).shape[1] * x[1:]")) == D{2, -3});
  CHECK(numbers(run_class("forward:\n  - return reshape(x, [1, 3])[0, ::2]")) == D{-1, -3});
  CHECK(numbers(run_class("forward:\n  - return x[x > 0]")) == D{2});
  CHECK(numbers(run_class("forward:\n  - return x[argmax(x)].mT + x[none, argmin(x), none]")) ==
        D{-1});
  CHECK(numbers(run_class("forward:\n  - return x[0][x[0] < 0]")) == D{-1});
  CHECK(numbers(run_class("forward:\n  - return x[-1] + x[none, ...].flatten()")) == D{-4, -1, -6});
  CHECK(numbers(run_class("forward:\n  - return cat([x, x[:1]], dim=0)")) == D{-1, 2, -3, -1});
  CHECK(numbers(run_class("forward:\n  - return max(x, dim=0)[0] + max(1, 2)")) == D{4});
  CHECK(numbers(run_class("forward:\n  - return stack([v * i for i, v in enumerate(x)])")) ==
        D{0, 2, -6});
}

TEST_CASE("forward: variables live as in a Python function") {
  CHECK(numbers(run_class("forward:\n  - y = x\n  - y += 1\n  - x = 0\n  - return y + x")) ==
        D{0, 3, -2});
  CHECK(numbers(run_class("forward:\n  - a, b = x, 2\n  - a, b = a * b, a\n  - return a - b")) ==
        D{-1, 2, -3});
  CHECK(numbers(run_class("forward:\n  - a, (b, c) = 1, (2, x)\n  - return a + b + c")) ==
        D{2, 5, 0});
  CHECK(numbers(run_class("forward:\n  - a, b, c = x\n  - return stack([c, b, a])")) ==
        D{-3, 2, -1});
  CHECK(numbers(run_class("forward:\n  - for i in range(3):\n      - s${i} = x * i\n"
                          "  - return s0 + s1 + s2 + i")) == D{-1, 8, -7});
  CHECK(numbers(run_class("forward:\n  - for i in range(x.size(0)):\n      - y = x * i\n"
                          "  - return y + i")) == D{0, 6, -4});
  CHECK(numbers(run_class("forward:\n  - n = 0\n  - for i in range(x.size(0)):\n      - n = n + i\n"
                          "  - return x * n")) == D{-3, 6, -9});
  CHECK(numbers(
            run_class("forward:\n  - k = 1\n  - if training:\n      - k = 2\n  - return x * k")) ==
        D{-1, 2, -3});
  CHECK(numbers(run_class("forward:\n  - k = 1\n  - if training:\n      - k = 2\n  - return x * k",
                          vec({1}), true)) == D{2});
  CHECK(numbers(run_class("forward:\n  - if training:\n      - return x\n  - return x * 3")) ==
        D{-3, 6, -9});
  CHECK(numbers(run_class(
            "forward:\n  - for i in range(5):\n      - if i == 2:\n          - return x * i\n"
            "  - return x")) == D{-2, 4, -6});
  CHECK(contains(class_error("forward:\n  - if training:\n      - y = x\n  - return y"),
                 "`y` was never set on this way"));
}

TEST_CASE("forward: `self.` means what the module has, whatever its arguments are called") {
  const auto with = [](const std::string& bias, const std::string& value) {
    return "nnm: 1\ndefine:\n  C:\n    args: {bias: bool}\n    params:\n      if bias:\n"
           "        bias: full([1], 5.0)\n    forward:\n      - if self.bias is not none:\n"
           "          - return x + " +
           value + "\n      - return x\nmodel: C(" + bias + ")\n";
  };
  const auto run = [&](const std::string& bias) {
    return numbers((*ParsedModel(with(bias, "self.bias")).build().module)(Args{{vec({1})}, {}}));
  };
  CHECK(run("true") == D{6});
  CHECK(run("false") == D{1});
  const std::string bare = diagnostics_of([&] { ParsedModel(with("true", "bias")).build(); });
  CHECK(contains(bare, "error[E0306]: `bias` is an argument or let of C, true, and a parameter"));
  CHECK(contains(bare, "the tensor is `self.bias`"));
}

TEST_CASE("forward: what the class declares and this instance is without is none") {
  const auto keys = [](const std::string& modules, const std::string& condition) {
    return "let: {wide: false}\nmodules:\n" + modules + "forward:\n  - if " + condition +
           ":\n      - return down(x)\n  - return x + 1";
  };
  const std::string under_if = "  if wide:\n    down: Identity()\n",
                    chosen = "  if wide:\n    down: Identity()\n  else:\n    down: none\n",
                    there = "  down: Identity()\n";
  for (const char* condition : {"self.down is not None", "down is not none", "self.down"}) {
    CHECK(numbers(run_class(keys(under_if, condition), vec({1}))) == D{2});
    CHECK(numbers(run_class(keys(chosen, condition), vec({1}))) == D{2});
  }
  CHECK(numbers(run_class(keys(there, "self.down is not None"), vec({1}))) == D{1});
  const std::string called = class_error(keys(under_if, "not wide"));
  CHECK(contains(called, "error[E0302]: `down` is none here: this C was built without it"));
  CHECK(contains(called, "if down is not none:"));
  CHECK(contains(
      class_error("modules:\n  s:\n    Sequential:\n      - none\nforward:\n  - return s(x)"),
      "expected a layer, got none"));
}

TEST_CASE("forward: a child is found before a function and a variable") {
  const std::string relu = "modules:\n  relu: Threshold(0.5, 7)\nforward:\n";
  CHECK(numbers(run_class(relu + "  - return x |> relu")) == D{7, 2, 7});
  CHECK(numbers(run_class(relu + "  - return relu(x)")) == D{7, 2, 7});
  const std::string head = "modules:\n  head: Threshold(0, 1)\nforward:\n";
  CHECK(numbers(run_class(head +
                          "  - head = head(x)\n  - head = head * 2\n  - return self.head(head)")) ==
        D{2, 4, 2});
  const std::string loop =
      "modules:\n  blocks:\n    ModuleList:\n      - Threshold(0, 1)\n      - Threshold(1.5, 9)\n"
      "  d:\n    ModuleDict:\n      a: Threshold(0, 5)\nforward:\n";
  CHECK(numbers(run_class(loop + "  - for b in blocks:\n      - x = b(x)\n  - return x")) ==
        D{9, 2, 9});
  CHECK(numbers(run_class(loop + "  - return blocks[1](blocks[-2](x))")) == D{9, 2, 9});
  CHECK(numbers(run_class(loop + "  - return d.a(x) + d[\"a\"](x) + self.d.a(x)")) == D{15, 6, 15});
  CHECK(numbers(run_class(loop + "  - for i, b in enumerate(blocks):\n      - x = b(x) + i\n"
                                 "  - return x")) == D{10, 3, 10});
  CHECK(numbers(run_class(loop + "  - for i in range(x.size(0) - 1):\n      - x = blocks[i](x)\n"
                                 "  - return x")) == D{9, 2, 9});
}

TEST_CASE("forward: lists of children are sliced, zipped and numbered, dicts gone through by key") {
  const std::string m =
      "modules:\n  ts:\n    ModuleList:\n      - Threshold(0, 1)\n      - Threshold(1.5, 9)\n"
      "      - Threshold(8, -2)\n  s:\n    Sequential:\n      - Threshold(0, 1)\n"
      "      - Threshold(1.5, 9)\n  d:\n    ModuleDict:\n      a: Threshold(0, 5)\n"
      "      b: Threshold(4, 3)\n  ps: ParameterList([full([3], 2.0), full([3], 3.0)])\nforward:\n";
  const auto run = [&](const std::string& lines) { return numbers(run_class(m + lines)); };
  CHECK(run("  - for t in ts[:-1]:\n      - x = t(x)\n  - return x") == D{9, 2, 9});
  CHECK(run("  - for t in ts[::-1][1:]:\n      - x = t(x)\n  - return x") == D{9, 2, 9});
  CHECK(run("  - return x |> s[:1] |> s[1:]") == D{9, 2, 9});
  CHECK(run("  - n = x.size(0)\n  - return s[:n](x)") == D{9, 2, 9});
  CHECK(run("  - for p in ps[1:]:\n      - x = x * p\n  - return x") == D{-3, 6, -9});
  CHECK(run("  - return ts[1:][0](x) + len(ts[1:])") == D{11, 4, 11});
  // A name that is made of what such a loop counts is known.
  CHECK(run("  - for i, t in enumerate(ts):\n      - x = t(x)\n      - y${i} = x\n"
            "  - return y0 + y1 + y2") == D{19, 2, 19});
  CHECK(run("  - for i in range(len(ts)):\n      - y${i} = ts[i](x)\n  - return y0 + y2") ==
        D{-1, 0, -1});
  CHECK(run("  - for i, (a, b) in enumerate(zip(ts, reversed(s))):\n      - y${i} = a(b(x))\n"
            "  - return y0 + y1") == D{18, 4, 18});
  CHECK(run("  - for i, t in enumerate([d.a, ts[1]], start=1):\n      - y${i} = t(x)\n"
            "  - return y1 + y2") == D{14, 4, 14});
  CHECK(run("  - layers = [ts[0], d.b]\n  - if x.sum() < 0:\n"
            "      - for i, l in enumerate(layers):\n          - x = l(x)\n"
            "          - y${i} = x\n  - return x") == D{3, 3, 3});
  CHECK(run("  - for k in d:\n      - x = d[k](x)\n  - return x") == D{5, 3, 5});
  CHECK(run("  - for k, t in d.items():\n      - x = t(x) + (1 if k == \"a\" else 0)\n"
            "  - return x") == D{6, 3, 6});
  CHECK(run("  - for i, t in enumerate(d.values()):\n      - y${i} = t(x)\n  - return y1") ==
        D{3, 3, 3});
  CHECK(run("  - return x * len(d.keys()) if \"a\" in d and \"c\" not in d else x") ==
        D{-2, 4, -6});
  CHECK(contains(class_error(m + "  - for k, t in ts.items():\n      - x = t(x)\n  - return x"),
                 "`ts` has no child, parameter or buffer `items`"));
  // A note is one line, whatever the module prints.
  CHECK(contains(class_error("modules:\n  l:\n    ModuleList:\n      - Sequential: [ReLU()]\n"
                             "forward:\n  - for i, m in enumerate(l):\n      - x = m.nothing(x)\n"
                             "  - return x"),
                 "with i = 0, m = Sequential(…)\n"));
}

TEST_CASE("forward: what layers and classes were made with are attributes of theirs") {
  const std::string keys =
      "args:\n  d: int = 3\nmodules:\n  fc: Linear(d, 5, bias=false)\n"
      "  c: Conv2d(2, 4, 3, padding=1)\n  ls:\n    ModuleList:\n      - Linear(3, 3)\n"
      "      - Linear(3, 7)\n  l: LSTM(3, 6)\nforward:\n";
  const auto run = [&](const std::string& value) {
    return numbers(run_class(keys + "  - return x * 0 + " + value + "\n"))[0];
  };
  CHECK(run("fc.in_features * 10 + self.fc.out_features") == 35);
  CHECK(run("c.kernel_size[1] * 10 + c.padding[0] + len(c.stride)") == 33);
  CHECK(run("ls[1].out_features + ls[0].in_features") == 10);
  CHECK(run("sum([l.out_features for l in ls])") == 10);
  CHECK(run("l.hidden_size") == 6);
  CHECK(numbers(run_class(keys + "  - for m in ls[1:]:\n      - x = x * m.out_features\n"
                                 "  - if fc.out_features == 5:\n      - y = x\n  - return y")) ==
        D{-7, 14, -21});
  CHECK(contains(class_error(keys + "  - return x * fc.out_feature"),
                 "`fc` has no child, parameter or buffer `out_feature`"));

  const std::string two =
      "nnm: 1\ndefine:\n  I:\n    args:\n      w: int\n    let:\n      h: w * 2\n    modules:\n"
      "      fc: Linear(w, w)\n    forward:\n      - return x\n  C:\n    modules:\n      i: I(4)\n"
      "    forward:\n      - return x + i.w * 100 + self.i.h * 10 + i.fc.in_features\nmodel: C()\n";
  const Model m = ParsedModel(two).build();
  CHECK(numbers((*m.module)(Args{{vec({0})}, {}})) == D{484});
  const Ref<Module> copy = deepcopy(*m.module);
  CHECK(numbers((*copy)(Args{{vec({0})}, {}})) == D{484});
}

TEST_CASE("forward: where of a condition alone gives the places") {
  CHECK(numbers(run_class("forward:\n  - i, = where(x < 0)\n  - return i * 1.0")) == D{0, 2});
  CHECK(numbers(run_class(
            "forward:\n  - r, c = where(x.view(3, 1) > 1)\n  - return r * 10.0 + c")) == D{10});
  CHECK(contains(class_error("forward:\n  - return where(x < 0, x)"), "a condition stands alone"));
}

TEST_CASE("forward: named outputs are taken apart like a tuple") {
  const std::string two =
      "nnm: 1\ndefine:\n  I:\n    forward:\n      - return a=x, b=x * 2\n  C:\n    modules:\n"
      "      i: I()\n    forward:\n";
  const auto run = [&](const std::string& lines) {
    const Model m = ParsedModel(two + lines + "model: C()\n").build();
    return numbers((*m.module)(Args{{vec({1, 2})}, {}}));
  };
  CHECK(run("      - a, b = i(x)\n      - return b - a\n") == D{1, 2});
  CHECK(run("      - r = i(x)\n      - return r[0] + r[-1] + r.b + r[\"a\"]\n") == D{6, 12});
  CHECK(run("      - for k, v in i(x).items():\n          - x = x + v\n      - return x\n") ==
        D{4, 8});
}

TEST_CASE("forward: a ParameterList is indexed and walked") {
  const std::string list =
      "modules:\n  scales: ParameterList([full([3], 2.0), full([3], 3.0)])\nforward:\n";
  CHECK(numbers(run_class(list + "  - return x * scales[0] + scales[-1]")) == D{1, 7, -3});
  CHECK(numbers(run_class(list + "  - for s in scales:\n      - x = x * s\n  - return x")) ==
        D{-6, 12, -18});
  CHECK(numbers(run_class(list + "  - for i in range(len(scales)):\n      - x = x * scales[i]\n"
                                 "  - return x")) == D{-6, 12, -18});
  CHECK(numbers(run_class(list + "  - for i in range(x.size(0) - 1):\n      - x = x * scales[i]\n"
                                 "  - return x")) == D{-6, 12, -18});
  CHECK(contains(class_error(list + "  - return x * scales[2]"), "it has 2 children"));
}

TEST_CASE("forward: names of children are made where loops run") {
  const std::string m =
      "modules:\n  for i in range(3):\n    t_${i}: Threshold(0, i + 1)\nforward:\n";
  CHECK(numbers(run_class(m + "  - for i in range(3):\n      - x = t_${i}(x) - 1\n  - return x")) ==
        D{0, 2, 0});
  CHECK(numbers(run_class(m + "  - for i in range(x.size(0)):\n      - x = x |> t_${i}\n"
                              "  - return x")) == D{1, 2, 1});
}

TEST_CASE("forward: inputs, given, keywords, results of several kinds") {
  const std::string inputs =
      "inputs:\n  x: f32[N]\n  y: f32[N]?\nforward:\n  - if given(y):\n      - return x + y\n"
      "  - return x * N\n";
  const Model m = ParsedModel(class_of(inputs)).build();
  CHECK(numbers((*m.module)(Args{{vec({1, 2})}, {}})) == D{2, 4});
  CHECK(numbers((*m.module)(Args{{vec({1, 2})}, {{"y", vec({5, 6})}}})) == D{6, 8});
  CHECK(numbers((*m.module)(vec({1, 2}), vec({5, 6}))) == D{6, 8});
  CHECK(contains(diagnostics_of([&] {
                   (*m.module)(vec({1, 2}), vec({5}));
                 }),
                 "input `y` of C: expected f32[N], got f32[1]"));
  CHECK(contains(diagnostics_of([&] {
                   (*m.module)(Args{{}, {{"z", vec({5})}}});
                 }),
                 "C has no input `z`"));
  CHECK(run_class("forward:\n  - return x, (x, 3)").is(Value::Kind::tuple));
  const Value named = run_class("forward:\n  - return a=x, b=x * 2");
  CHECK(numbers(*named.find("b")) == D{-2, 4, -6});
  // Without `inputs:` they are the names that are read first, in that order.
  const Model free = ParsedModel(class_of("forward:\n  - z = b - a\n  - return z + c")).build();
  CHECK(numbers((*free.module)(vec({5}), vec({1}), vec({100}))) == D{104});
  CHECK(contains(diagnostics_of([&] { (*free.module)(vec({5}), vec({1})); }),
                 "C: input `c` is missing"));
}

TEST_CASE("forward: nested outputs of classes and layers are unpacked") {
  const std::string text =
      "nnm: 1\ndefine:\n"
      "  A:\n    forward:\n      - return x, (x * 2, x * 3)\n"
      "  B:\n    modules:\n      a: A()\n    forward:\n      - y, (h, c) = a(x)\n"
      "      - return y + h + c + a(x)[1][0]\n"
      "model: B()\n";
  const Model m = ParsedModel(text).build();
  CHECK(numbers((*m.module)(Args{{vec({1, 2})}, {}})) == D{8, 16});
}

TEST_CASE("forward: parameters and buffers") {
  const std::string keys =
      "params:\n  w: ones(3) * 2\nbuffers:\n  count: 0\n  mean: {value: zeros(3), persistent: "
      "false}\n"
      "forward:\n  - self.count = count + 1\n  - self.mean += x\n  - return x * w + self.mean\n";
  const Model m = ParsedModel(class_of(keys)).build();
  const Tensor x = vec({1, 2, 3});
  CHECK(numbers((*m.module)(Args{{x}, {}})) == D{3, 6, 9});
  Value out = (*m.module)(Args{{x}, {}});
  CHECK(numbers(out) == D{4, 8, 12});
  CHECK(m.module->get_buffer("count").item().i == 2);
  CHECK(m.module->get_buffer("count").dtype() == DType::i64);
  CHECK(m.module->state_dict().keys() == std::vector<std::string>{"w", "count"});
  sum(out.as<Tensor>()).backward();
  CHECK(m.module->get_parameter("w").grad().to_vector<double>() == D{1, 2, 3});
  CHECK_FALSE(m.module->get_buffer("mean").requires_grad());
  CHECK(contains(class_error("buffers:\n  c: zeros(3)\nforward:\n  - self.d = x\n  - return x"),
                 "C has no buffer `d`"));
}

TEST_CASE("forward: modes") {
  const std::string drop = "forward:\n  - return dropout(x, 0.999999)";
  CHECK(numbers(run_class(drop)) == D{-1, 2, -3});
  CHECK(numbers(run_class(drop, vec({1, 1, 1}), true)) == D{0, 0, 0});
  CHECK(numbers(run_class("forward:\n  - return dropout(x, 0.999999, training=true)")) ==
        D{0, 0, 0});
  CHECK(numbers(run_class("forward:\n  - return x * (2 if training else 1)", vec({1}), true)) ==
        D{2});
}

TEST_CASE("forward: methods that are not the functions of their names, and transposed views") {
  const auto line = vec({1, -2, 3, -4});
  const auto run = [&](const std::string& e) {
    return numbers(run_class("forward:\n  - return " + e, line));
  };
  CHECK(run("x.where(x > 0, 0)") == D{1, 0, 3, 0});
  CHECK(run("where(x > 0, x, 0.0)") == D{1, 0, 3, 0});
  CHECK(run("x.unfold(0, 2, 1)") == D{1, -2, -2, 3, 3, -4});
  CHECK(run("x.unfold(dimension=0, size=2, step=2).T") == D{1, 3, -2, -4});
  CHECK(run("x.view(1, 1, 2, 2).unfold(2, 1, 1)") == D{1, -2, 3, -4});
  CHECK(run("unfold(x.view(1, 2, 2), 1)") == D{1, -2, 3, -4});
  CHECK(run("x.view(1, 2, 2).T") == D{1, 3, -2, -4});
  CHECK(run("x.view(2, 2).H") == D{1, 3, -2, -4});
  CHECK(run("x.view(1, 2, 2).mH") == D{1, 3, -2, -4});
  CHECK(
      contains(class_error("forward:\n  - return x.mT", line),
               "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor."));
  CHECK(contains(class_error("forward:\n  - return x.view(1, 2, 2).H", line),
                 "consider using tensor.mH"));
}

TEST_CASE("forward: errors at their place") {
  const std::string text = class_error("forward:\n  - return x +\n      zeros(2)", vec({1, 2, 3}));
  CHECK_MESSAGE(contains(text, "error[E0501]: `+`: shapes [3] and [2] do not broadcast"), text);
  CHECK(contains(class_error("forward:\n  - return relu(x, y=1)"), "relu has no argument `y`"));
  CHECK(contains(class_error("forward:\n  - return rleu(x)"), "unknown function `rleu`"));
  CHECK(contains(class_error("forward:\n  - return rleu(x)"), "did you mean `relu`?"));
  CHECK(contains(class_error("forward:\n  - y = x"), "forward of C returns nothing"));
  CHECK(contains(class_error("args:\n  p: float = 1.0\nforward:\n  - p = x\n  - return p"),
                 "`p` is an argument or let of C"));
  CHECK(contains(class_error("forward:\n  - if x:\n      - return x\n  - return x"),
                 "is not one value"));
  CHECK(contains(class_error("forward:\n  - return x.shpe"), "a Tensor has no attribute `shpe`"));
  CHECK(contains(class_error("forward:\n  - require len(x) == 2, \"got ${len(x)}\"\n  - return x"),
                 "error[E0402]: got 3"));
  // Two errors of one forward, and one in another, in one go.
  const std::string both =
      class_error("forward:\n  - a = fooo(x)\n  - b = a + 1\n  - return bar(x)");
  CHECK(contains(both, "fooo"));
  CHECK(contains(both, "bar"));
  CHECK_FALSE(contains(both, "E0301"));
}

TEST_CASE("forward: errors carry the calls that led to them") {
  const std::string text =
      "nnm: 1\ndefine:\n"
      "  A:\n    forward:\n      - return x + zeros(2)\n"
      "  B:\n    modules:\n      seq:\n        Sequential:\n          - A()\n          - A()\n"
      "    forward:\n      - y = x |> seq\n      - return y\n"
      "model: B()\n";
  const Model m = ParsedModel(text).build();
  const std::string got = diagnostics_of([&] { (*m.module)(Args{{vec({1, 2, 3})}, {}}); });
  CHECK_MESSAGE(contains(got, "--> t.yaml:5:18"), got);
  CHECK_MESSAGE(contains(got, "= note: in seq.0.forward, called from t.yaml:13:18"), got);
}

TEST_SUITE_END();

TEST_CASE("forward: a child that a hook deeper down replaces lives until its call is over") {
  const Model m = ParsedModel(R"(nnm: 1
define:
  Inner:
    modules: {first: Identity(), second: Identity()}
    forward:
      - y = first(x)
      - return second(y)
  Outer:
    modules: {inner: Inner()}
    forward: return inner(x)
model: Outer()
)")
                      .build();
  auto life = std::make_shared<int>();
  const std::weak_ptr<int> alive = life;
  Module& inner = m.module->get_submodule("inner");
  // A hook's closure ends with its module, which ends with its parent.
  inner.get_submodule("second").register_forward_hook(
      [life](Module&, const Values&, const Value&) { (void)life; });
  life.reset();
  bool lived = false;
  inner.get_submodule("first").register_forward_hook([&](Module&, const Values&, const Value&) {
    m.module->set_submodule("inner", Registry<Module>::make("Tanh", {}));
    lived = !alive.expired();
  });
  CHECK(sum((*m.module)(ones({2}))).item().d == 2);
  CHECK(lived);
  CHECK(alive.expired());
  CHECK(sum((*m.module)(zeros({2}))).item().d == 0);
}
