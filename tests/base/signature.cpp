// Signatures and argument types: their text, binding, conversion, and what the errors say.
#include "nnm/base/signature.h"

#include <doctest/doctest.h>

#include "nnm/base/literal.h"
#include "nnm/base/spec.h"

using namespace nnm;

namespace {

/// The message and hint of the BindError that f throws.
template <class F>
std::string bind_error(const F& f) {
  try {
    f();
  } catch (const BindError& e) {
    return e.hint().empty() ? e.what() : std::string(e.what()) + " / " + e.hint();
  }
  return "no error";
}

std::string convert_error(const char* type, const Value& v) {
  try {
    return "converted: " + ArgType::parse(type).convert(v).repr();
  } catch (const Error& e) {
    return e.what();
  }
}

const Signature& linear() {
  static const Signature s = Signature::parse(
      "Linear(in_features: int(1..), out_features: int, bias: bool = true, *, dtype: dtype? = "
      "none)");
  return s;
}

}  // namespace

TEST_CASE("signature: types read back as they are written") {
  for (const char* text : {"int", "int(1..)", "int(..5)", "float(0..1)", "float(>0..)", "int[]",
                           "int[2]", "str(\"relu\", \"gelu\")?", "dtype", "module", "Tensor[]?",
                           "number", "any", "duration", "float(1e-05..0.5)[2]"}) {
    CHECK(ArgType::parse(text).text() == text);
  }
  CHECK(ArgType::parse("float(>0)").text() == "float(>0..)");
  CHECK_THROWS_WITH_AS(ArgType::parse("Int"), "unknown type `Int`", Error);
  for (const char* text :
       {"int(", "int(1)", "int(3..1)", "bool(1..)", "int[0]", "int]", "str(1)"}) {
    CHECK_THROWS_AS(ArgType::parse(text), Error);
  }
}

TEST_CASE("signature: conversion") {
  CHECK(ArgType::parse("float").convert(1).is(Value::Kind::real));
  CHECK(ArgType::parse("number").convert(1).is(Value::Kind::integer));
  CHECK(ArgType::parse("int[2]").convert(3).repr() == "3");
  CHECK(ArgType::parse("int[2]").convert(Value::list({3, 5})).repr() == "(3, 5)");
  CHECK(ArgType::parse("int[1]").convert(Value::list({3})).repr() == "(3,)");
  CHECK(ArgType::parse("float[]").convert(Value::tuple({1, 2})).repr() == "[1.0, 2.0]");
  CHECK(ArgType::parse("int?").convert(Value()).is_none());
  CHECK(ArgType::parse("any").convert(Value()).is_none());

  CHECK(convert_error("int", "x") == "expected int, got \"x\"");
  CHECK(convert_error("int", 3.0) == "expected int, got 3.0");
  CHECK(convert_error("int", true) == "expected int, got true");
  CHECK(convert_error("bool", 3) == "expected bool, got 3");
  CHECK(convert_error("float", false) == "expected float, got false");
  CHECK(convert_error("int", Value()) == "expected int, got none");
  CHECK(convert_error("int[]", 3) == "converted: [3]");
  CHECK(convert_error("float[]", 3) == "expected float[], got 3");
  CHECK(convert_error("int[2]", "x") == "expected int or a tuple of 2, got \"x\"");
  CHECK(convert_error("int[2]", Value::list({1, 2, 3})) == "expected 2 values, got 3 in [1, 2, 3]");
  CHECK(convert_error("int(1..)", 0) == "must be at least 1, got 0");
  CHECK(convert_error("float(>0)", 0) == "must be greater than 0, got 0");
  CHECK(convert_error("float(0..1)", 1.5) == "must be at most 1, got 1.5");
  CHECK(convert_error("float(0..1)", parse_literal("nan")) == "must be at least 0, got nan");
  CHECK(convert_error("int(0..)[]", Value::list({1, -2})) == "must be at least 0, got -2");
  CHECK(convert_error("str(\"a\", \"b\")", "c") == "must be one of \"a\", \"b\", got \"c\"");
}

TEST_CASE("signature: binding puts arguments in the order of the parameters") {
  const Values v = linear().bind({{3}, {{"bias", false}, {"out_features", 4}}});
  CHECK(Value::list(v).repr() == "[3, 4, False, None]");
  CHECK(linear().text() == "Linear(in_features, out_features, bias=true, *, dtype=none)");
  CHECK(linear().text(false) == "Linear(in_features, out_features, bias=True, *, dtype=None)");
}

TEST_CASE("signature: binding errors name the argument and the way out") {
  const auto error = [](Args args) { return bind_error([&] { linear().bind(args); }); };
  CHECK(error({{1, 2}, {{"biass", false}}}) ==
        "Linear has no argument `biass` / did you mean `bias`?");
  CHECK(error({{1, 2}, {{"zzz", 1}}}) == "Linear has no argument `zzz`");
  CHECK(error({{1}, {}}) == "Linear: missing argument `out_features`");
  CHECK(error({{1, 2, true, 4}, {}}) == "Linear takes at most 3 positional arguments, got 4");
  CHECK(error({{1, 2}, {{"in_features", 1}}}) == "Linear: argument `in_features` is given twice");
  CHECK(error({{0, 2}, {}}) == "Linear: `in_features`: must be at least 1, got 0");
  CHECK(error({{1, "x"}, {}}) == "Linear: `out_features`: expected int, got \"x\"");
  try {
    linear().bind({{1, "x"}, {}});
    FAIL("bound a string as an int");
  } catch (const BindError& e) {
    CHECK(e.position == 1);
    CHECK(e.name == "out_features");
  }
  CHECK(bind_error([] {
          Signature::parse("f()").bind({{1}, {}});
        }) == "f takes no arguments, got 1");
}

TEST_CASE("signature: variadic and keyword-only parameters") {
  const Signature s = Signature::parse("f(x: int, *dims: int, keep: bool = false)");
  CHECK(Value::list(s.bind({{1, 2, 3}, {{"keep", true}}})).repr() == "[1, (2, 3), True]");
  CHECK(Value::list(s.bind({{1}, {}})).repr() == "[1, (), False]");
  CHECK(bind_error([&] { s.bind({{1, "a"}, {}}); }) == "f: `dims`: expected int, got \"a\"");
  CHECK(Value::list(s.bind({{1}, {{"dims", 3}}})).repr() == "[1, (3,), False]");
  CHECK(Value::list(s.bind({{1}, {{"dims", Value::list({3, 4})}}})).repr() == "[1, (3, 4), False]");
  CHECK(bind_error([&] {
          s.bind({{1, 2}, {{"dims", 3}}});
        }) == "f: argument `dims` is given twice");
  CHECK(s.text() == "f(x, *dims, keep=false)");
}

TEST_CASE("signature: defaults are literals") {
  const Signature s = Signature::parse(
      "g(a: float = 1e-5, b: int[] = [1, 2], c: str = 'x, y', d: float = -inf, e: int = -1, "
      "f: dtype = f32, h: int[2] = (1, 2), i: float? = none)");
  CHECK(s.text() == "g(a=1e-05, b=[1, 2], c=\"x, y\", d=-inf, e=-1, f=f32, h=(1, 2), i=none)");
  for (const char* text : {"g(", "g(a", "g(a: int = )", "g(a: int = 'x')", "g(a, a)", "g(a: int b)",
                           "g(a) b", "g(a: int = foo)"}) {
    CHECK_THROWS_AS(Signature::parse(text), Error);
  }
}

TEST_CASE("signature: literals") {
  CHECK(parse_literal("-9223372036854775808").integer() == std::numeric_limits<int64_t>::min());
  CHECK(parse_literal("(1,)").repr() == "(1,)");
  CHECK(parse_literal("(1)").repr() == "1");
  CHECK(parse_literal("torch.bfloat16").dtype() == DType::bf16);
  CHECK(parse_literal("\"a\\\"b\"").string() == "a\"b");
  CHECK_THROWS_AS(parse_literal("9223372036854775808"), Error);
  CHECK(parse_literal("'\\x1b\\r\\n\\t\\\\\\''").string() == "\x1b\r\n\t\\'");
  CHECK_THROWS_AS(parse_literal("'\\q'"), Error);
  CHECK_THROWS_AS(parse_literal("'\\x1"), Error);
  CHECK_THROWS_AS(parse_literal("1 2"), Error);
  CHECK_THROWS_AS(parse_literal("'open"), Error);
  CHECK_THROWS_AS(parse_literal("1.2.3"), Error);
  CHECK_THROWS_AS(parse_literal(std::string(1000000, '[')), Error);
  CHECK(parse_literal("[[], [[1]], (), ((2, 3))]").repr() == "[[], [[1]], (), (2, 3)]");
}

TEST_CASE("signature: nearest finds slips, not other words") {
  const std::vector<std::string> names = {"Linear", "Conv2d", "ConvTranspose2d", "LayerNorm"};
  CHECK(nearest("linear", names) == "Linear");
  CHECK(nearest("Conv2D", names) == "Conv2d");
  CHECK(nearest("Lienar", names) == "Linear");
  CHECK(nearest("LayerNrom", names) == "LayerNorm");
  CHECK(nearest("Dropout", names) == "");
  // As near but for the case: what has more of it, then what comes first.
  CHECK(nearest("blk7", {"Blk", "blk0", "blk1"}) == "blk0");
  CHECK(nearest("Relu", {"relu6", "ReLU", "relu"}) == "relu");
  CHECK(edit_distance("ab", "ba") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

namespace {
struct ConvOptions {
  int64_t channels = 0;
  IntTuple<2> kernel_size = 0;
  IntTuple<2> stride = 1;
  std::optional<double> momentum = 0.1;
  std::string mode = "zeros";
  std::vector<int64_t> dims = {1};
};
}  // namespace

TEST_CASE("signature: a spec reads bound values back into its options") {
  using Options = ConvOptions;
  const Spec<Options> spec = Spec<Options>("Conv", "")
                                 .req(NNM_ARG(channels), "", at_least(1))
                                 .req(NNM_ARG(kernel_size), "", above(0))
                                 .opt(NNM_ARG(stride), "")
                                 .opt(NNM_ARG(momentum), "")
                                 .opt(NNM_ARG(mode), "", one_of({"zeros", "reflect"}))
                                 .opt(NNM_ARG(dims), "");
  const Signature s = spec.signature();
  CHECK(s.text() ==
        "Conv(channels, kernel_size, stride=1, momentum=0.1, mode=\"zeros\", dims=[1])");
  const Options o = spec.read(s.bind(
      {{8}, {{"kernel_size", Value::tuple({3, 5})}, {"momentum", nullptr}, {"mode", "reflect"}}}));
  CHECK(o.channels == 8);
  CHECK(o.kernel_size[1] == 5);
  CHECK_FALSE(o.kernel_size.scalar);
  CHECK(o.stride.scalar);
  CHECK_FALSE(o.momentum.has_value());
  CHECK(o.mode == "reflect");
  CHECK(bind_error([&] {
          s.bind({{8, 0}, {}});
        }) == "Conv: `kernel_size`: must be greater than 0, got 0");
}

TEST_CASE("signature: other keywords") {
  const Signature s = Signature::parse("f(x: any, pattern: str, **sizes: int)");
  CHECK(s.text() == "f(x, pattern, **sizes)");
  CHECK(s.bind({{1, "a"}, {}})[2].entries().empty());
  const Values v = s.bind({{1}, {{"h", 3}, {"pattern", "a"}, {"n", 2}}});
  CHECK(v[1].string() == "a");
  CHECK(v[2].repr() == "{'h': 3, 'n': 2}");
  CHECK(bind_error([&] {
          s.bind({{1, "a"}, {{"h", 1.5}}});
        }) == "f: `sizes`: expected int, got 1.5");
  CHECK(bind_error([&] {
          s.bind({{1, "a"}, {{"h", 1}, {"h", 2}}});
        }) == "f: argument `h` is given twice");
  CHECK(bind_error([&] {
          s.bind({{1, "a", 2}, {}});
        }) == "f takes at most 2 positional arguments, got 3");
}
