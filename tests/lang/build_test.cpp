// Building: scopes, arguments, registration, sharing, ties, rules, limits, and their errors.
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

std::string names_of(Module& m) {
  std::string out;
  for (const auto& [name, child] : m.named_modules("", false))
    out += (out.empty() ? "" : " ") + name;
  return out;
}

std::string parameters_of(Module& m) {
  std::string out;
  for (const auto& [name, t] : m.named_parameters()) out += (out.empty() ? "" : " ") + name;
  return out;
}

Model build(const std::string& text) { return ParsedModel(text).build(); }
std::string error(const std::string& text) {
  return diagnostics_of([&] { build(text); });
}
size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// Classes and the model.
std::string file(const std::string& define, const std::string& model) {
  return "nnm: 1\ndefine:\n" + define + "model: " + model + "\n";
}

}  // namespace

TEST_SUITE_BEGIN("lang");

TEST_CASE("build: blocks expand in order, scopes are lexical") {
  const Model m = build(file(R"(
  C:
    args: {n: int, deep: bool = true}
    let:
      m: n * 2
    modules:
      first: ReLU()
      for i in range(n):
        let:
          k: i + m
        a_${k}: ELU(k + 1)
        if i % 2 == 0:
          even_${i}: Tanh()
        elif deep:
          odd_${i}: Sigmoid()
        else:
          never_${i}: ReLU()
      add_module: ["last_${m}", ReLU()]
)",
                             "C(3)"));
  CHECK(names_of(*m.module) == "first a_6 even_0 a_7 odd_1 a_8 even_2 last_6");
  CHECK(m.module->child("a_8")->repr() == "ELU(alpha=9)");
  CHECK(contains(error(file("  C:\n    modules:\n      for i in range(2):\n        a_${i}: ReLU()\n"
                            "      b_${i}: ReLU()\n",
                            "C()")),
                 "unknown name `i`"));
}

TEST_CASE("build: Sequential, ModuleList and ModuleDict") {
  const Model m = build(R"(
nnm: 1
model:
  Sequential:
    - ReLU()
    - for i in range(3):
        - add_module: ["linear_${i}", Tanh()]
        - ReLU()
    - Sequential:
        a: ReLU()
        b: {ELU: {alpha: 2}}
    - ModuleList:
        for i in range(2):
          ${i}: Sigmoid()
)");
  CHECK(names_of(*m.module) == "0 linear_0 2 linear_1 4 linear_2 6 7 7.a 7.b 8 8.0 8.1");
  CHECK(m.module->repr() ==
        "Sequential(\n  (0): ReLU()\n  (linear_0): Tanh()\n  (2): ReLU()\n  (linear_1): Tanh()\n"
        "  (4): ReLU()\n  (linear_2): Tanh()\n  (6): ReLU()\n  (7): Sequential(\n    (a): ReLU()\n"
        "    (b): ELU(alpha=2)\n  )\n  (8): ModuleList(\n    (0-1): 2 x Sigmoid()\n  )\n)");
  CHECK(names_of(*build("nnm: 1\nmodel:\n  - ReLU()\n  - Tanh()\n").module) == "0 1");
  CHECK(names_of(*build("nnm: 1\nmodel: ELU(alpha=0.5)\n").module) == "");
}

TEST_CASE("build: words of the mapping form, and numbers with a base") {
  const std::string same = "Conv2d(3, 8, kernel_size=(3, 5), stride=(1, 1), padding=same)";
  const auto repr = [](const std::string& model) {
    return build("nnm: 1\nvars: {n: 0x10, m: 0o17}\nmodel: " + model + "\n").module->repr();
  };
  const std::string rest = "in_channels: 3, out_channels: 8, kernel_size: [3, 5]";
  CHECK(repr("{Conv2d: {" + rest + ", padding: same}}") == same);
  CHECK(repr("{Conv2d: {" + rest + ", padding: \"same\"}}") == same);
  CHECK(repr("Linear(vars.n, 0x1f)") == "Linear(in_features=16, out_features=31, bias=True)");
  CHECK(repr("Linear(vars.m, 0o17)") == "Linear(in_features=15, out_features=15, bias=True)");
}

TEST_CASE("build: classes as arguments, defaults from arguments, instances") {
  const Model m = build(file(R"(
  A:
    args: {k: int = 1}
    modules:
      act: ELU(k)
  B:
    args:
      n: int
      block: module = A
      act: module = Tanh
      wide: int = n * 2
      one: module? = none
    modules:
      b: block(n)
      w: block(k=wide)
      a: act()
      if one is not none:
        o: one
      twin: b
)",
                             "B(3, act=Sigmoid, one=ReLU())"));
  CHECK(m.module->repr() ==
        "B(\n  (b): A(\n    (act): ELU(alpha=3)\n  )\n  (w): A(\n    (act): ELU(alpha=6)\n  )\n"
        "  (a): Sigmoid()\n  (o): ReLU()\n  (twin): A(\n    (act): ELU(alpha=3)\n  )\n)");
  CHECK(m.module->child("twin") == m.module->child("b"));
}

TEST_CASE("build: parameters, buffers, ties, rules, frozen") {
  const Model m = build(file(R"(
  A:
    params:
      w: {shape: [2, 3], init: constant(5)}
      b: [1, 2, 3]
  C:
    args: {n: int = 2}
    params:
      scale: 0.5
      wide: ones(2, dtype=f64)
      for i in range(n):
        p_${i}: zeros(3) + i
    buffers:
      mask: {value: tril(ones(2, 2)), persistent: false}
      steps: {value: 7, dtype: i32}
      brief: zeros(2, dtype=bf16)
      real: ones(1)
    modules:
      x: A()
      y: A()
      again: y
    tie:
      - y.w = x.w
    init:
      "x.b": constant(n)
      A.b: constant(9)
      p_*: ones
    freeze:
      - scale
      - again
)",
                             "C()"));
  Module& c = *m.module;
  CHECK(parameters_of(c) == "scale wide p_0 p_1 x.w x.b y.b");
  CHECK(c.get_parameter("y.w").is_same(c.get_parameter("x.w")));
  CHECK(c.get_parameter("x.w").to_vector<double>() == std::vector<double>(6, 5));
  CHECK(c.get_parameter("x.b").to_vector<double>() == std::vector<double>(3, 2));
  CHECK(c.get_parameter("y.b").to_vector<double>() == std::vector<double>(3, 9));
  CHECK(c.get_parameter("p_1").to_vector<double>() == std::vector<double>(3, 1));
  CHECK(c.get_parameter("scale").item().d == 0.5);
  CHECK_FALSE(c.get_parameter("scale").requires_grad());
  CHECK_FALSE(c.get_parameter("y.b").requires_grad());
  CHECK(c.get_parameter("x.b").requires_grad());
  CHECK(c.get_buffer("steps").dtype() == DType::i32);
  // A type that was asked for stays; what has none follows the model.
  CHECK(c.get_buffer("brief").dtype() == DType::bf16);
  CHECK(c.get_parameter("wide").dtype() == DType::f64);
  CHECK(c.get_buffer("real").dtype() == DType::f32);
  CHECK(c.get_buffer("mask").to_vector<double>() == std::vector<double>{1, 0, 1, 1});
  CHECK(c.state_dict().contains("steps"));
  CHECK_FALSE(c.state_dict().contains("mask"));
}

TEST_CASE("build: draws depend on the seed and the path alone") {
  const auto draw = [](const std::string& more, uint64_t seed) {
    const ParsedModel p(file(
        "  C:\n    params:\n" + more + "      w: {shape: [4], init: normal(std=0.02)}\n", "C()"));
    return p.build({.seed = seed}).module->get_parameter("w").to_vector<float>();
  };
  CHECK(draw("", 1) == draw("      v: {shape: [8], init: uniform}\n", 1));
  CHECK(draw("", 1) != draw("", 2));
  const Model meta =
      ParsedModel(file("  C:\n    params:\n      w: {shape: [4], init: normal()}\n", "C()")).meta();
  CHECK(meta.module->get_parameter("w").is_meta());
}

TEST_CASE("build: errors of arguments") {
  const std::string a =
      "  A:\n    args: {n: \"int(1..)\", p: float = 0.0}\n    modules:\n"
      "      r: ELU(n)\n";
  CHECK(contains(error(file(a, "A(1, q=2)")), "error[E0303]: A has no argument `q`"));
  CHECK(contains(error(file(a, "A(1, q=2)")), "= note: A(n, p=0.0)"));
  CHECK(contains(error(file(a, "A()")), "error[E0303]: A: missing argument `n`"));
  CHECK(contains(error(file(a, "A(1, 2, 3)")), "A takes at most 2 arguments, got 3"));
  CHECK(contains(error(file(a, "A(0)")), "error[E0304]: A: `n`: must be at least 1, got 0"));
  CHECK(contains(error(file(a, "A(\"x\")")), "expected int(1..), got \"x\""));
  CHECK(contains(error(file(a, "B(1)")), "error[E0302]: unknown layer `B`"));
  CHECK(contains(error("nnm: 1\nmodel: ReLu()\n"), "did you mean `ReLU`?"));
  CHECK(contains(error("nnm: 1\nmodel: LazyLinear(3)\n"),
                 "= help: sizes are known before a network runs: `Linear(in_features, "));
  CHECK(contains(error("nnm: 1\nmodel: ReLU\n"), "`ReLU` is a class, not a layer"));
  CHECK(contains(error("nnm: 1\nmodel: 3 + 4\n"), "error[E0305]: expected a layer, got 7"));
  CHECK(contains(error("nnm: 1\nmodel: {ELU: {alpha: [1]}}\n"), "error[E0304]"));
  CHECK(contains(error("nnm: 1\nmodel: {ELU: {alpa: 1}}\n"), "did you mean `alpha`?"));
  const std::string rendered =
      error(file("  A:\n    modules:\n      for i, (a, b) in "
                 "enumerate([(1, 2), (3, 4)]):\n        r_${i}: ELU(a, "
                 "inplce=true)\n",
                 "A()"));
  CHECK(
      rendered ==
      "error[E0303]: ELU has no argument `inplce`\n"
      " --> t.yaml:6:24\n"
      "  |\n"
      "6 |         r_${i}: ELU(a, inplce=true)\n"
      "  |                        ^^^^^^\n"
      "  = help: did you mean `inplace`?\n"
      "  = note: ELU(alpha=1.0, inplace=false)\n"
      "  = note: while expanding `for i, (a, b) in enumerate([(1, 2), (3, 4)])` (line 5) with i = "
      "0, (a, b) = (1, 2)\n");
}

TEST_CASE("build: errors of registration, scope and recursion") {
  const auto modules = [](const std::string& lines) {
    return error(file("  A:\n    args: {n: int = 1}\n    modules:\n" + lines, "A()"));
  };
  CHECK(contains(modules("      for i in range(2):\n        r: ReLU()\n"),
                 "error[E0403]: there is a child `r` already"));
  CHECK(contains(modules("      a${0}.b: ReLU()\n"), "module name can't contain \".\""));
  CHECK(contains(modules("      train: ReLU()\n"), "attribute 'train' already exists"));
  CHECK(contains(modules("      add_module: [\"\", ReLU()]\n"), "can't be empty string"));
  CHECK(contains(modules("      l:\n        ModuleList:\n          a: ReLU()\n"),
                 "called by a number"));
  CHECK(contains(modules("      let:\n        n: 3\n      r: ReLU()\n"),
                 "error[E0306]: `n` is an argument of A"));
  CHECK(contains(modules("      for n in range(2):\n        r_${n}: ReLU()\n"), "E0306"));
  CHECK(contains(modules("      a: A()\n"), "error[E0408]: A contains itself: A → A"));
  CHECK(contains(
      error(file("  A:\n    modules:\n      b: B()\n  B:\n    modules:\n      a: A()\n", "A()")),
      "A contains itself: A → B → A"));
  CHECK(contains(modules("      r: ReLU()\n      s: t\n"), "unknown name `t`"));
  CHECK(contains(error(file("  A:\n    args: {n: int}\n    require:\n"
                            "      - n % 2 == 0, \"n=${n} must be even\"\n",
                            "A(3)")),
                 "error[E0402]: n=3 must be even"));
}

TEST_CASE("build: a class may contain itself where that ends") {
  const auto tree = [](const std::string& inner) {
    return file(R"(
  Tree:
    args: {depth: int, d: int = 4}
    modules:
      fc: Linear(d, d, bias=false)
      if depth > 0:
        left: Tree()" +
                    inner + R"()
        right: Other(depth)
    inputs: {x: "f32[B, d]"}
    forward:
      - y = fc(x)
      - if depth > 0:
          - y = left(y) + right(y)
      - return y
  Other:
    args: {depth: int}
    modules:
      tree: Tree(depth - 1)
    forward:
      - return tree(x)
)",
                "Tree(2)");
  };
  const Model m = build(tree("depth - 1"));
  CHECK(parameters_of(*m.module) ==
        "fc.weight left.fc.weight left.left.fc.weight left.right.tree.fc.weight "
        "right.tree.fc.weight right.tree.left.fc.weight right.tree.right.tree.fc.weight");
  CHECK(ParsedModel(tree("depth - 1")).check().output.is(Value::Kind::tensor));
  CHECK(contains(error(tree("depth")), "E0408]: Tree contains itself: Tree → Tree"));
  const std::string endless = error(tree("depth + 1"));
  CHECK_MESSAGE(contains(endless, "E0408]: Tree contains itself without an end: Tree → Tree"),
                endless);
  CHECK(count(endless, "error[") == 1);
  CHECK(count(endless, "= note:") < 20);
  CHECK(contains(error(file("  A:\n    args: {a: \"module = A()\"}\n", "A()")), "E0408"));
}

TEST_CASE("build: errors of rules") {
  const auto rule = [](const std::string& lines) {
    return error(
        file("  A:\n    params:\n      weight: zeros(2)\n      other: zeros(3)\n" + lines, "A()"));
  };
  CHECK(contains(rule("    init:\n      wieght: zeros\n"), "error[E0405]"));
  CHECK(contains(rule("    init:\n      wieght: zeros\n"), "weight"));
  CHECK(rule("    init:\n      wieght: {rule: zeros, optional: true}\n") == "no error");
  CHECK(contains(rule("    init:\n      weight: zeroes\n"), "unknown initialiser `zeroes`"));
  CHECK(contains(rule("    init:\n      weight: normal(sdt=1)\n"), "did you mean `std`?"));
  CHECK(contains(rule("    init:\n      weight: eye\n"), "error[E0407]"));
  CHECK(contains(rule("    freeze:\n      - wieght\n"), "error[E0405]"));
  CHECK(contains(rule("    tie:\n      - weight = other\n"), "error[E0406]: shapes [2] and [3]"));
  CHECK(contains(rule("    tie:\n      - weight = othre\n"), "did you mean `other`?"));
}

TEST_CASE("build: several errors in one run, each once, none that follow from others") {
  const std::string text = error(file(R"(
  A:
    let:
      bad: 1 // 0
    modules:
      one: Foo(1)
  B:
    modules:
      for i in range(3):
        x_${i}: Bar(i)
      y: ELU(alpha=nothing)
      z: x_0
    forward:
      - return x |> y |> x_1 |> z |> baz
)",
                                      "B()"));
  CHECK_MESSAGE(count(text, "error[") == 3, text);
  CHECK(contains(text, "unknown layer `Bar`"));
  CHECK(contains(text, "unknown name `nothing`"));
  CHECK(contains(text, "unknown function `baz`"));
  const std::string lets = error(file(R"(
  A:
    let:
      bad: 1 // 0
      next: bad + 1
    modules:
      a: ELU(next)
)",
                                      "A()"));
  CHECK_MESSAGE(count(lets, "error[") == 1, lets);
}

TEST_CASE("build: limits come before memory") {
  CHECK(contains(error(file("  A:\n    modules:\n      for i in range(1000000):\n        for j in "
                            "range(1000):\n          if false:\n            x: ReLU()\n",
                            "A()")),
                 "E0404"));
  CHECK(contains(
      error(file("  A:\n    params:\n      w: {shape: [4000000000, 4000000000, 4]}\n", "A()")),
      "error["));
}

TEST_CASE("build: a layer can be pasted as PyTorch prints it") {
  for (const char* repr :
       {"Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=same)",
        "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=valid)",
        "Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), padding_mode=reflect)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)",
        "Linear(in_features=3, out_features=4, bias=False)"})
    CHECK(build(file("  C: {modules: {}}\n", repr)).module->repr() == repr);
  // What has the name goes first, and a slip of one stays a slip.
  const Model m = build(file(R"(
  C:
    args: {same: int}
    modules:
      c: Conv2d(3, 8, 3, padding=same)
)",
                             "C(2)"));
  CHECK(contains(m.module->repr(), "padding=(2, 2)"));
}

TEST_CASE("build: norms of weights stand around a layer, and are drawn as without them") {
  const auto model = [](const std::string& layer) {
    return ParsedModel(file("  C:\n    modules:\n      fc: " + layer +
                                "\n    forward:\n      - return fc(x) * fc.in_features\n",
                            "C()"))
        .build({.seed = 3});
  };
  const Tensor x = ones({2, 4});
  const Model plain = model("Linear(4, 3)"), normed = model("weight_norm(Linear(4, 3))");
  CHECK(parameters_of(*normed.module) ==
        "fc.bias fc.parametrizations.weight.original0 fc.parametrizations.weight.original1");
  CHECK(allclose((*normed.module)(x), (*plain.module)(x)));
  const Model spectral = model("spectral_norm(Linear(4, 3), n_power_iterations=2)");
  CHECK(parameters_of(*spectral.module) == "fc.bias fc.parametrizations.weight.original");
  CHECK_FALSE(allclose((*spectral.module)(x), (*plain.module)(x)));
  const Model orthogonal = model("orthogonal(Linear(4, 3), orthogonal_map=\"cayley\")");
  CHECK((*orthogonal.module)(x).shape() == Shape{2, 3});
  CHECK(contains(
      error(file("  C:\n    modules:\n      fc: weight_norm(Linear(4, 3), \"w\")\n", "C()")),
      "Module 'Linear(in_features=4, out_features=3, bias=True)' does not have a "
      "parameter, a buffer, or a parametrized element with name 'w'"));
  CHECK(contains(error(file("  C:\n    modules:\n      fc: weight_norm(4)\n", "C()")), "E0304"));
}

TEST_CASE("build: a class's own parameter under a norm is read as it is computed") {
  const Model m = build(file(R"(
  Scaled:
    params:
      weight: {shape: [2, 3], init: normal()}
    forward:
      - return x @ weight.T
  Net:
    modules:
      scaled: weight_norm(Scaled())
    forward:
      - return scaled(x)
)",
                             "Net()"));
  const Tensor x = ones({1, 3});
  const Tensor before = (*m.module)(x);
  {
    const NoGradGuard no_grad;
    mul_(m.module->get_parameter("scaled.parametrizations.weight.original0"), Scalar(2.0));
  }
  CHECK(allclose((*m.module)(x), before * Scalar(2.0)));
}

TEST_CASE("build: a ParameterDict is written as a mapping") {
  const Model m = ParsedModel(
                      "nnm: 1\ndefine:\n  C:\n    modules:\n      pd:\n        ParameterDict:\n"
                      "          left: ones(3)\n          right: zeros(2)\n    forward:\n"
                      "      - return x * pd.left + pd[\"left\"]\nmodel: C()\n")
                      .build();
  CHECK(m.module->get_parameter("pd.left").shape() == Shape{3});
  CHECK(m.module->get_parameter("pd.right").shape() == Shape{2});
  CHECK((*m.module)(ones({3})).to_vector<double>() == std::vector<double>{2, 2, 2});
}

TEST_SUITE_END();
