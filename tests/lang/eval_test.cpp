// Constant expressions: Python's numbers, sequences, functions, and what their errors say.
#include "nnm/lang/eval.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace nnm;
using namespace nnm::lang;

namespace {

class TestEnv final : public Env {
 public:
  std::optional<Value> find(const std::string& path) const override {
    for (const auto& [name, value] : values) {
      if (name == path) return value;
    }
    return std::nullopt;
  }
  void names(std::vector<std::string>& out) const override {
    for (const auto& [name, value] : values) out.push_back(name);
  }
  Items values;
};

Value eval(const std::string& text, Items values = {}) {
  const auto file = std::make_shared<SourceFile>("t", text);
  Diagnostics d;
  const ExprRef e = parse_expr(Located(text, file, 0), d);
  d.throw_if_errors();
  TestEnv env;
  env.values = std::move(values);
  return evaluate(*e, env);
}

std::string text_of(const std::string& text, Items values = {}) {
  return eval(text, std::move(values)).config_text();
}

/// "E0301 1:5: message / help".
std::string fault_of(const std::string& text, Items values = {}) {
  try {
    return "value " + text_of(text, std::move(values));
  } catch (const Fault& f) {
    const Diagnostic& d = f.diagnostic;
    return fmt::format("{} {}-{}: {}{}", d.code, d.span.column, d.span.end_column, d.message,
                       d.help.empty() ? "" : " / " + d.help);
  }
}

}  // namespace

TEST_SUITE_BEGIN("lang");

TEST_CASE("eval: numbers are Python's") {
  const std::pair<const char*, const char*> cases[] = {
      {"7 / 2", "3.5"},
      {"6 / 2", "3.0"},
      {"7 // 2", "3"},
      {"-7 // 2", "-4"},
      {"-7 % 3", "2"},
      {"7 % -3", "-2"},
      {"-7.5 % 2", "0.5"},
      {"7.5 // 2", "3.0"},
      {"2 ** 10", "1024"},
      {"2 ** -1", "0.5"},
      {"-2 ** 2", "-4"},
      {"2 ** 3 ** 2", "512"},
      {"1_000 + 1", "1001"},
      {"1e-4", "0.0001"},
      {"true + true", "2"},
      {"3 - 5 * 2", "-7"},
      {"(3 - 5) * 2", "-4"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775807 - 1", "-9223372036854775808"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"[-9223372036854775808 + 1, 1]", "[-9223372036854775807, 1]"},
      {"(-9223372036854775807 - 1) % -1", "0"},
      {"0.1 + 0.2", "0.30000000000000004"},
      {"round(2.5)", "2"},
      {"round(2.675, 2)", "2.67"},
      {"round(-0.5)", "0"},
      {"int(-3.9)", "-3"},
      {"floor(-3.1)", "-4"},
      {"ceil(3.1)", "4"},
      {"sqrt(16)", "4.0"},
      {"abs(-3)", "3"},
      {"log(8, 2)", "3.0"},
      {"0.02 / sqrt(2 * 12)", "0.004082482904638631"},
      {"float(3)", "3.0"},
      {"float(\"1e3\")", "1000.0"},
      {"inf > 1e308", "true"},
      {"max(3, 1, 2) + min([4, 2])", "5"},
  };
  for (const auto& [in, out] : cases) {
    CAPTURE(in);
    CHECK(text_of(in) == out);
  }
}

TEST_CASE("eval: comparisons chain and logic is short") {
  const std::pair<const char*, const char*> cases[] = {
      {"1 < 2 < 3", "true"},
      {"1 < 3 < 2", "false"},
      {"3 == 3.0", "true"},
      {"9007199254740993 == 9007199254740992.0", "false"},
      {"9007199254740993 > 9007199254740992.0", "true"},
      {"\"a\" < \"b\"", "true"},
      {"[1, 2] < [1, 3]", "true"},
      {"2 in [1, 2]", "true"},
      {"2 not in (1, 2)", "false"},
      {"\"el\" in \"hello\"", "true"},
      {"none is none", "true"},
      {"0 is not none", "true"},
      {"true and 3", "3"},
      {"0 or \"x\"", "\"x\""},
      {"false and 1 / 0", "false"},
      {"true or 1 / 0", "true"},
      {"1 if true else 1 / 0", "1"},
      {"not 1 == 2", "true"},
      {"nan == nan", "false"},
  };
  for (const auto& [in, out] : cases) {
    CAPTURE(in);
    CHECK(text_of(in) == out);
  }
}

TEST_CASE("eval: sequences, slices, comprehensions, functions of lists") {
  const std::pair<const char*, const char*> cases[] = {
      {"[1, 2] + [3]", "[1, 2, 3]"},
      {"(1, 2) * 2", "(1, 2, 1, 2)"},
      {"\"ab\" * 2 + \"c\"", "\"ababc\""},
      {"[1, 2, 3][-1]", "3"},
      {"[1, 2, 3, 4][1:3]", "[2, 3]"},
      {"[1, 2, 3, 4][::-1]", "[4, 3, 2, 1]"},
      {"[1, 2, 3, 4][-2:]", "[3, 4]"},
      {"[1, 2, 3, 4][::2]", "[1, 3]"},
      {"[1, 2, 3][5:]", "[]"},
      {"\"hello\"[1:3]", "\"el\""},
      {"(1, 2, 3)[0:2]", "(1, 2)"},
      {"[i * i for i in range(4)]", "[0, 1, 4, 9]"},
      {"[a + b for a, b in zip([1, 2], [10, 20])]", "[11, 22]"},
      {"[i for i in range(10) if i % 3 == 0]", "[0, 3, 6, 9]"},
      {"[[i, j] for i, j in enumerate([7, 8])]", "[[0, 7], [1, 8]]"},
      {"pairs([784, 512, 256])", "[(784, 512), (512, 256)]"},
      {"list(enumerate(\"ab\", 1))", "[(1, \"a\"), (2, \"b\")]"},
      {"range(5, 0, -2)", "[5, 3, 1]"},
      {"range(0)", "[]"},
      {"len(range(10)) + len(\"abc\")", "13"},
      {"sum([1, 2.5])", "3.5"},
      {"sum([[1], [2]], [])", "[1, 2]"},
      {"prod([2, 3, 4])", "24"},
      {"sorted([3, 1, 2], reverse=true)", "[3, 2, 1]"},
      {"reversed([1, 2])", "[2, 1]"},
      {"any([0, 1]) and all([1, 1])", "true"},
      {"tuple([1])", "(1,)"},
      {"\"n=${1 + 1}, x=${0.5}, ${[1, \"a\"]}\"", "\"n=2, x=0.5, [1, \\\"a\\\"]\""},
      {"10 epochs", "10 epochs"},
      {"2 * 5 steps + 1 step", "11 steps"},
      {"f32", "f32"},
      {"str(3) + \"x\"", "\"3x\""},
      {"[x.d for x in xs]", "[1, 2]"},
  };
  const Value xs = Value::list({Value::dict({{"d", 1}}), Value::dict({{"d", 2}})});
  for (const auto& [in, out] : cases) {
    CAPTURE(in);
    CHECK(text_of(in, {{"xs", xs}}) == out);
  }
}

TEST_CASE("eval: errors point at what is wrong") {
  const Items names = {
      {"widths", Value::list({1, 2})}, {"depth", 3}, {"v", Value::dict({{"d", 1}})}};
  const std::pair<const char*, const char*> cases[] = {
      {"1 + widht", "E0301 5-10: unknown name `widht` / did you mean `widths`?"},
      {"depht + 1", "E0301 1-6: unknown name `depht` / did you mean `depth`?"},
      {"v.dd", "E0301 3-5: there is no `dd` / did you mean `d`?"},
      {"len", "E0301 1-4: unknown name `len` / `len` is a function: write `len(…)`"},
      {"rang(3)", "E0302 1-5: unknown function `rang` / did you mean `range`?"},
      {"1 // 0", "E0401 3-5: division by zero: 1 // 0"},
      {"1 / 0", "E0401 3-4: division by zero: 1 / 0"},
      {"9223372036854775807 + 1",
       "E0401 21-22: integer overflow in 9223372036854775807 + 1: integers have 64 bits"},
      {"3 ** 41", "E0401 3-5: integer overflow in 3 ** 41: integers have 64 bits"},
      {"widths[2]", "E0401 7-10: list index 2 is out of range for length 2"},
      {"1 + \"a\"", "E0401 3-4: unsupported operands of `+`: int and str"},
      {"[1] * 10000000", "E0401 5-6: a length of 10000000 is more than the 1000000 allowed"},
      {"range(2000000)",
       "E0401 1-6: `range`: a range of 2000000 items is more than the 1000000 allowed"},
      {"round(1, digit=2)", "E0303 10-15: round has no argument `digit` / did you mean `digits`?"},
      {"sqrt(\"a\")", "E0304 6-9: sqrt: `x`: expected number, got \"a\""},
      {"sqrt()", "E0303 1-5: sqrt: missing argument `x`"},
      {"log(1, 2, 3)", "E0303 11-12: log takes at most 2 arguments, got 3"},
      {"sqrt(-1)", "E0401 1-5: `sqrt`: sqrt of the negative -1"},
      {"1 @ 2", "E0401 3-4: `@` needs tensors, got int and int"},
      {"[a for a, b in [1]]", "E0401 8-12: int is not a list: nothing to go through"},
  };
  for (const auto& [in, out] : cases) {
    CAPTURE(in);
    CHECK(fault_of(in, names) == out);
  }
}

TEST_CASE("eval: nothing keeps it busy for ever") {
  CHECK(fault_of("sum([sum([j for j in range(10000)]) for i in range(10000)])").substr(0, 5) !=
        "value");
  CHECK(fault_of("len([x for x in [[y for y in range(100000)] for z in range(100000)]])")
            .find("too long") != std::string::npos);
}

TEST_SUITE_END();
