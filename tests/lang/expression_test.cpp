// Expressions outside of classes: losses, metrics, hooks, calls of settings.
#include "nnm/lang/expression.h"

#include <doctest/doctest.h>

#include "lang/model_support.h"
#include "nnm/io/h5.h"
#include "nnm/ops/ops.h"
#include "support/checks.h"

using namespace nnm;
using namespace nnm::lang;
using nnm::testing::contains;
using nnm::testing::diagnostics_of;

namespace {

Tensor matrix(std::vector<float> v, int64_t rows) {
  return tensor_of<float>(v, {rows, static_cast<int64_t>(v.size()) / rows}, {});
}
Tensor labels(std::vector<int64_t> v) {
  return tensor_of<int64_t>(v, {static_cast<int64_t>(v.size())}, {DType::i64, {}});
}
double run(const std::string& text, const std::vector<std::string>& names, const Values& values) {
  return Expression::compile(text, "--loss", names).run(values).as<Tensor>().item().d;
}
Located code(const std::string& text) {
  return Located(text, std::make_shared<SourceFile>("c.yaml", text), 0);
}
}  // namespace

TEST_SUITE_BEGIN("lang");

TEST_CASE("expression: losses and metrics over given names") {
  const Tensor out = matrix({2, 1, 0, 0, 3, 1, 1, 0, 5, 9, 0, 0}, 4);
  const Tensor y = labels({0, 1, 0, 2});
  const Values v = {out, y};
  CHECK(run("accuracy(out, y)", {"out", "y"}, v) == doctest::Approx(0.5));
  CHECK(run("top_k_accuracy(out, y, k=2)", {"out", "y"}, v) == doctest::Approx(0.75));
  CHECK(run("accuracy(out, y)", {"out", "y"}, {out, labels({0, 1, -100, -100})}) == 1);
  const double loss = run("cross_entropy(out, y)", {"out", "y"}, v);
  CHECK(run("2 * cross_entropy(out, y) + 1", {"out", "y"}, v) == doctest::Approx(2 * loss + 1));
  CHECK(run("mse(out, out * 2)", {"out"}, {out}) == doctest::Approx(122.0 / 12));
  CHECK(run("mae(out, 0 * out)", {"out"}, {out}) == doctest::Approx(22.0 / 12));
  const Value named = Value::dict({{"logits", out}, {"n", 3}});
  CHECK(run("cross_entropy(out.logits, y) * out[\"n\"]", {"out", "y"}, {named, y}) ==
        doctest::Approx(3 * loss));
  const Expression e = Expression::compile("x + z", "here", {"x", "y", "z"});
  CHECK(e.uses() == std::vector<std::string>{"x", "z"});
  CHECK(e.run(Values{1, 2, 3}).integer() == 4);
  CHECK(Expression::compile("dropout(x, 0.99999)", "h", {"x"})
            .run(Values{ones({3})}, true)
            .as<Tensor>()
            .to_vector<double>() == std::vector<double>{0, 0, 0});
}

TEST_CASE("expression: zero and load, for interventions") {
  const Tensor x = matrix({1, 2, 3, 4, 5, 6}, 2);
  const auto zeroed = [&](const std::string& text) {
    return Expression::compile(text, "h", {"x"}).run(Values{x}).as<Tensor>().to_vector<double>();
  };
  CHECK(zeroed("zero(x, dim=1, index=[0, -1])") == std::vector<double>{0, 2, 0, 0, 5, 0});
  CHECK(zeroed("zero(x, dim=0)") == std::vector<double>(6, 0));
  CHECK(zeroed("zero(x)") == std::vector<double>(6, 0));
  CHECK(contains(diagnostics_of([&] { zeroed("zero(x, 1, [3])"); }), "index 3 is out of range"));
  const std::string digits = nnm::testing::source_dir() + "/configs/data/digits.h5";
  const auto load = [&](const std::string& text) {
    // As if it stood in configs/some.yaml.
    const std::string where = nnm::testing::source_dir() + "/configs/some.yaml";
    return Expression::compile(text, where, {}).run({}).as<Tensor>().shape();
  };
  const io::H5Reader file(digits);
  const io::H5Node& first = file.root().children.at(0);
  CHECK(load("load(\"data/digits.h5\", \"" + first.name + "\")") == file.tensor(first).shape());
  CHECK_THROWS_AS(load("load(\"data/none.h5\", \"x\")"), Error);
}

TEST_CASE("expression: what is created stands beside the tensors that are given") {
  // As a check of shapes runs a loss: nothing of it may lie on the CPU.
  const TensorOptions meta{DType::f32, {DeviceType::meta, 0}};
  const Values v = {empty({4, 2}, meta), empty({4, 2}, meta)};
  for (const char* text : {"(out * tensor([1.0, 2.0]) - y).mean()", "mse(out, y + arange(2))",
                           "binary_cross_entropy_with_logits(out, y, pos_weight=tensor([1, 2.0]))"})
    CHECK(Expression::compile(text, "--loss", {"out", "y"}).run(v).as<Tensor>().is_meta());
}

TEST_CASE("expression: PyTorch's names of element types") {
  const auto type = [](const std::string& name) {
    return Expression::compile("zeros(2, dtype=" + name + ")", "h", {})
        .run({})
        .as<Tensor>()
        .dtype();
  };
  CHECK(type("torch.float") == DType::f32);
  CHECK(type("torch.double") == DType::f64);
  CHECK(type("torch.half") == DType::f16);
  CHECK(type("torch.long") == DType::i64);
  CHECK(type("torch.int") == DType::i32);
  CHECK(type("torch.short") == DType::i16);
  CHECK(type("torch.bfloat16") == DType::bf16);
  CHECK(contains(diagnostics_of([&] { type("long"); }),
                 "`long` is a function: write `long(…)`; the type is `i64`"));
}

TEST_CASE("expression: modules are values that can be called") {
  const Model m =
      nnm::testing::ParsedModel("nnm: 1\nmodel: {Sequential: {a: ReLU(), b: Tanh()}}\n").build();
  const Values v = {m.module};
  CHECK(run("model(zeros(2, 3)).sum()", {"model"}, v) == 0);
  CHECK(run("model.a(ones(2)).sum()", {"model"}, v) == 2);
  CHECK(run("model[0](ones(2)).sum()", {"model"}, v) == 2);
}

TEST_CASE("expression: errors point into the text") {
  const auto error = [](const std::string& text, const Values& values = {ones({2})}) {
    return diagnostics_of([&] { Expression::compile(text, "--loss", {"out"}).run(values); });
  };
  CHECK(contains(error("cross_entropi(out, out)"), "did you mean `cross_entropy`?"));
  CHECK(contains(error("mse(outt, 1)"), "error[E0301]: unknown name `outt`"));
  CHECK(contains(error("mse(outt, 1)"), "--> --loss:1:5"));
  CHECK(contains(error("mse(out)"), "error[E0303]: mse: missing argument `target`"));
  CHECK(contains(error("out + ones(3)"), "error[E0501]: `+`: shapes [2] and [3]"));
  CHECK(contains(error("mse(out, 1)"), "error[E0304]"));
  CHECK(contains(error("mse(out, none)", {Value(3)}), "expected Tensor, got none"));
  CHECK(contains(error("mse(out, ones(2))", {Value(3)}),
                 "error[E0503]: `mse`: `input`: expected Tensor"));
}

TEST_CASE("expression: constants and calls of settings") {
  const Value vars = Value::dict({{"lr", 3e-4}, {"n", 4}});
  CHECK(evaluate_constant(code("2 * vars.n"), vars).integer() == 8);
  CHECK(evaluate_constant(code("10 epochs"), vars).unit() == Unit::epoch);
  CHECK(contains(diagnostics_of([&] { evaluate_constant(code("vars.m"), vars); }),
                 "there is no `m`"));
  const auto calls = read_calls(code("warmup(500 steps) |> cosine(final=vars.lr / 3)"), vars);
  REQUIRE(calls.size() == 2);
  CHECK(calls[0].name == "warmup");
  CHECK(calls[0].args.pos[0].config_text() == "500 steps");
  CHECK(calls[1].args.kw[0].first == "final");
  CHECK(calls[1].args.kw[0].second.real() == doctest::Approx(1e-4));
  const auto best = read_calls(code("best(val.acc, 3)"), vars)[0];
  CHECK(best.args.pos[0].string() == "val.acc");
  CHECK(best.args.pos[1].integer() == 3);
  const auto adam = read_calls(code("AdamW(lr=vars.lr, betas=(0.9, 0.95), foo=none)"), vars)[0];
  CHECK(adam.args.kw[1].second.config_text() == "(0.9, 0.95)");
  CHECK(adam.arg_spans[2].column == 38);
  const auto nested = read_calls(code("Seq([LinearLR(0.1), StepLR(3)], milestones=[5])"), vars)[0];
  const Value& first = nested.args.pos[0].items()[0];
  CHECK(static_cast<const CallValue*>(first.object())->call.name == "LinearLR");
  CHECK(read_calls(code("constant"), vars)[0].name == "constant");
  const std::string text = diagnostics_of([&] {
    throw_at(adam, BindError("AdamW has no argument `foo`", "", -1, "foo"), "E0303",
             "AdamW(lr=0.001)");
  });
  CHECK_MESSAGE(contains(text, "c.yaml:1:38"), text);
}

TEST_SUITE_END();
