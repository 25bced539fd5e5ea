// The check of shapes: probes, given sizes, and errors with their calls.
#include <doctest/doctest.h>

#include "lang/model_support.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::lang;
using nnm::testing::contains;
using nnm::testing::diagnostics_of;
using nnm::testing::example;
using nnm::testing::ParsedModel;

namespace {

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string shape_of(const Value& v) { return v.as<Tensor>().shape().str(); }

}  // namespace

TEST_SUITE_BEGIN("lang");

TEST_CASE("shapes: the examples fit") {
  CHECK(shape_of(ParsedModel(example("mlp")).check().output) == "[2, 10]");
  CHECK(shape_of(ParsedModel(example("resnet18")).check().output) == "[2, 1000]");
  CHECK(shape_of(ParsedModel(example("resnet18")).check({{"x", {5, 3, 64, 96}}}).output) ==
        "[5, 1000]");
  const ShapeReport gpt = ParsedModel(example("gpt2")).check();
  CHECK(shape_of(*gpt.output.find("logits")) == "[2, 16, 50257]");
  CHECK(shape_of(*gpt.output.find("loss")) == "[]");
  CHECK(gpt.notes ==
        std::vector<std::string>{"B of `ids` was taken as 2", "T of `ids` was taken as 16"});
  const ShapeReport s = ParsedModel(example("siamese")).check();
  CHECK(shape_of(*s.output.find("score")) == "[2]");
  CHECK(shape_of(*s.output.find("za")) == "[2, 64]");
  CHECK(shape_of(ParsedModel(example("smallest")).check().output) == "[2, 5]");
}

TEST_CASE("shapes: given sizes must fit the declaration") {
  const ParsedModel p(example("resnet18"));
  CHECK(contains(diagnostics_of([&] {
                   p.check({{"x", {2, 1, 28, 28}}});
                 }),
                 "error[E0502]: input `x`: shape [2, 1, 28, 28] does not fit f32[B, 3, H, W]"));
  CHECK(contains(diagnostics_of([&] { p.check({{"x", {2, 3}}}); }), "does not fit"));
  const std::string unknown = diagnostics_of([&] { p.check({{"y", {2, 3}}}); });
  CHECK(contains(unknown, "the model has no input `y`"));
  CHECK(contains(unknown, "help: there is x"));
  const ParsedModel g(example("gpt2"));
  CHECK(contains(diagnostics_of([&] {
                   g.check({{"ids", {2, 8}}, {"targets", {2, 9}}});
                 }),
                 "dimension 1 must be 8"));
}

TEST_CASE("shapes: a module that prints on several lines is told of by its class") {
  const ParsedModel p(R"(nnm: 1
define:
  Net:
    modules:
      attn: MultiheadAttention(16, 4)
    inputs:
      x: f32[B, T, 16]
    forward:
      - return attn(x)
model: Net()
)");
  const std::string text = diagnostics_of([&] { p.check(); });
  CHECK_MESSAGE(contains(text, "note: attn is MultiheadAttention (t.yaml:5)"), text);
}

TEST_CASE("shapes: an operator that does not broadcast, with the calls that led there") {
  const ParsedModel p(changed(example("resnet18"), "project: stride != 1 or cin != cout",
                              "project: cin != cout and stride == 9"),
                      "resnet.yaml");
  const std::string text = diagnostics_of([&] { p.check(); });
  CHECK_MESSAGE(
      contains(text,
               "error[E0501]: `+`: shapes [2, 128, 28, 28] and [2, 64, 56, 56] do not broadcast\n"
               "  --> resnet.yaml:25:23\n"
               "   |\n"
               "25 |       - return relu(y + (downsample(x) if project else x))\n"
               "   |                       ^\n"
               "   = note: in layer2.0.forward, called from resnet.yaml:51:17\n"),
      text);
  CHECK_MESSAGE(contains(text,
                         "128 comes from conv2 (resnet.yaml:16), 64 from the input of "
                         "layer2.0"),
                text);
}

TEST_CASE("shapes: independent errors in one run, at the layers' calls") {
  const std::string text = diagnostics_of([] {
    ParsedModel(R"(
nnm: 1
define:
  C:
    modules:
      a: Linear(4, 8)
      b: Linear(5, 8)
    inputs:
      x: f32[B, 4]
      y: f32[B, 6]
    forward:
      - p = a(y)
      - q = b(y)
      - return p + q + relu(a(x)).sum(7)
model: C()
)")
        .check();
  });
  CHECK_MESSAGE(contains(text, "t.yaml:12:13"), text);
  CHECK_MESSAGE(contains(text, "`a`: mat1 and mat2 shapes cannot be multiplied (2x6 and 4x8)"),
                text);
  CHECK(contains(text, "note: a is Linear(in_features=4, out_features=8, bias=True) (t.yaml:6)"));
  CHECK(contains(text, "t.yaml:13:13"));
  CHECK(contains(text, "Dimension out of range"));
}

TEST_CASE("shapes: a requirement whose condition fails is one error") {
  const ParsedModel p(
      "nnm: 1\ndefine:\n  M:\n    inputs:\n      x: f32[2, 4]\n    forward:\n"
      "      - require x[:, ::-1].shape == [2, 4] and x.shape[0] == 2\n      - return x\n"
      "model: M()\n");
  const std::string got = diagnostics_of([&] { p.check(); });
  CHECK_MESSAGE(contains(got, "step must be greater than zero"), got);
  CHECK_FALSE(contains(got, "E0402"));
}

TEST_CASE("shapes: a layer in a chain is pointed at where it is built") {
  const std::string text = diagnostics_of([] {
    ParsedModel("nnm: 1\nmodel:\n  - Linear(4, 8)\n  - ReLU()\n  - Linear(9, 2)\n").check();
  });
  CHECK_MESSAGE(contains(text, "--> t.yaml:5:5"), text);
  CHECK_MESSAGE(contains(text, "`2`: mat1 and mat2"), text);
}

TEST_CASE("shapes: where two sizes come from, whatever cannot take them together") {
  // A statement over inputs and layers, and the note of its error.
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"cat([fc(x), fc2(x)], dim=0)", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"cat([x, fc(x)], -2)", "10 comes from input `x`, 20 from fc (t.yaml:6)"},
      {"stack([fc(x), fc2(x)])", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"fc(x) @ fc2(x).t()", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"matmul(fc(x), w)", "20 comes from fc (t.yaml:6), 7 from input `w`"},
      {"where(fc(x) > 0, fc(x), fc2(x))", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"fc(x) < fc2(x)", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"maximum(relu(-fc(x)), fc2(x))", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"mse_loss(fc(x), fc2(x))", "20 comes from fc (t.yaml:6), 30 from fc2 (t.yaml:7)"},
      {"linear(fc(x), w)", "20 comes from fc (t.yaml:6), 5 from input `w`"},
      {"fc2(fc(x))", "20 comes from fc (t.yaml:6), 10 from in_features of fc2"},
      {"bn(fc(x))", "20 comes from fc (t.yaml:6), 3 from num_features of bn"},
      {"ln(fc(x))", "20 comes from fc (t.yaml:6), 10 from normalized_shape of ln"},
      {"conv(unsqueeze(fc(x), 0))", "2 comes from input `x`, 4 from in_channels of conv"},
      {"lstm(fc(x))", "20 comes from fc (t.yaml:6), 10 from input_size of lstm"},
      {"ln(lstm(x)[0])", "8 comes from lstm (t.yaml:11), 10 from normalized_shape of ln"},
      {"chain(x)", "20 comes from chain.0 (t.yaml:14), 10 from in_features of chain.2"},
      {"fc2(chunk(fc(x), 4, dim=1)[0])",
       "5 comes from `chunk` (t.yaml:18), 10 from in_features of fc2"},
  };
  for (const auto& [statement, note] : kCases) {
    const std::string text = diagnostics_of([&, s = statement] {
      ParsedModel(std::string(R"(
nnm: 1
define:
  C:
    modules:
      fc: Linear(10, 20)
      fc2: Linear(10, 30)
      bn: BatchNorm1d(3)
      ln: LayerNorm(10)
      conv: Conv1d(4, 8, 1)
      lstm: LSTM(10, 8)
      chain:
        Sequential:
          - Linear(10, 20)
          - ReLU()
          - Linear(10, 5)
    inputs: {x: "f32[B, 10]", w: "f32[7, 5]"}
    forward: ["return )") +
                  s + "\"]\nmodel: C()\n")
          .check();
    });
    CAPTURE(statement);
    CHECK_MESSAGE(contains(text, std::string("note: ") + note + "\n"), text);
  }
}

TEST_CASE("shapes: rounds of loops that were expanded are notes, innermost first") {
  const std::string text = diagnostics_of([] {
    ParsedModel(R"(
nnm: 1
define:
  Block:
    modules:
      fc: Linear(4, 4)
    inputs: {x: "f32[B, 4]"}
    forward:
      - for k in [0, 2]:
          - y = fc(x[:, k:])
      - return y
  C:
    modules: {a: Block(), b: Block()}
    inputs: {x: "f32[B, 4]"}
    forward:
      - for name, scale in [("a", 1), ("b", 2)]:
          - x = a(x * scale)
      - return x
model: C()
)")
        .check();
  });
  const size_t inner = text.find("note: while expanding `for k in [0, 2]` (line 9) with k = 2\n"),
               outer = text.find(
                   "note: while expanding `for name, scale in [(\"a\", 1), (\"b\", 2)]`"
                   " (line 16) with name = ");
  CHECK_MESSAGE(inner != std::string::npos, text);
  CHECK_MESSAGE(outer != std::string::npos, text);
  CHECK(inner < outer);
}

TEST_CASE("shapes: sizes in a model without classes, and of its input") {
  const std::string chain = diagnostics_of([] {
    ParsedModel("nnm: 1\nmodel:\n  - Linear(4, 8)\n  - ReLU()\n  - Linear(9, 2)\n").check();
  });
  CHECK_MESSAGE(contains(chain, "note: 8 comes from 0 (t.yaml:3), 9 from in_features of 2\n"),
                chain);
  const std::string input = diagnostics_of([] {
    ParsedModel("nnm: 1\nmodel:\n  - Linear(4, 8)\n").check({{"x", {2, 5}}});
  });
  CHECK_MESSAGE(contains(input, "note: 5 comes from input `x`, 4 from in_features of 0\n"), input);
}

TEST_CASE("shapes: what a mask selects counts as all, so that the forward can go on") {
  const ShapeReport r = ParsedModel(R"(
nnm: 1
define:
  Net:
    inputs: {x: "f32[B, 3]"}
    forward:
      - y = x[x > 0]
      - return y=y, z=masked_select(x, x < 1), mean=mean(y)
model: Net()
)")
                            .check();
  CHECK(shape_of(*r.output.find("y")) == "[6]");
  CHECK(shape_of(*r.output.find("z")) == "[6]");
  CHECK(shape_of(*r.output.find("mean")) == "[]");
}

TEST_CASE("shapes: sizes that only values can tell are others where all would not fit") {
  const auto said = [](const std::string& statements) {
    return diagnostics_of([&] {
      ParsedModel(
          "nnm: 1\ndefine:\n  Net:\n    modules:\n      fc: Linear(3, 5)\n      whole: "
          "Linear(4, 5)\n    inputs: {x: \"f32[4, 3]\"}\n    forward:\n" +
          statements + "model: Net()\n")
          .check();
    });
  };
  // Fewer elements may fit where all do not.
  for (const char* fine : {
           "      - return masked_select(x, x > 0).view(-1, 5)\n",
           "      - return x[x[:, 0] > 0] + ones(3, 3)\n",
           "      - y = nonzero(x) + 1\n      - return y + ones(7, 2)\n",
           "      - y = x[x > 0]\n      - z = whole(y)\n      - return z * 2\n",
           "      - i = where(x > 0)[0]\n      - return (i > 0) == (ones(5) > 0)\n",
           "      - y = x[x > 0] |> rearrange(\"(a b) -> a b\", b=5)\n      - return y\n",
       }) {
    CHECK_MESSAGE(said(fine) == "no error", said(fine));
  }
  const ShapeReport r = ParsedModel(
                            "nnm: 1\ndefine:\n  Net:\n    inputs: {x: \"f32[4, 3]\"}\n    "
                            "forward:\n      - return x[x > 0].view(-1, 5) * 2\nmodel: Net()\n")
                            .check();
  CHECK(shape_of(r.output) == "[1, 5]");
  // Sizes that the values do not change are errors all the same.
  for (const char* wrong : {
           "      - return x[x[:, 0] > 0] + ones(1, 4)\n",
           "      - return embedding(nonzero(x), ones(2, 3, 4))\n",
           "      - return whole(x[x[:, 0] > 0])\n",
           "      - y = fc(x[x[:, 0] > 0])\n      - return y @ ones(4, 2)\n",
           "      - return fc(x[x[:, 0] > 0], 3)\n",
           "      - y = x[x > 0]\n      - return x @ ones(4, 2)\n",
       }) {
    CHECK_MESSAGE(said(wrong) != "no error", wrong);
  }
}

TEST_SUITE_END();
