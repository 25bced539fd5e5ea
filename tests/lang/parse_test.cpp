// Syntax: canonical spelling of expressions, places of errors and what they say.
#include <doctest/doctest.h>

#include "nnm/lang/parser.h"

using namespace nnm;
using namespace nnm::lang;

namespace {

Located located(const std::string& text) {
  return {text, std::make_shared<SourceFile>("t.yaml", text), 0};
}

/// The canonical spelling, or "column: message / help" of the error.
std::string spell(const std::string& text) {
  Diagnostics d;
  const ExprRef e = parse_expr(located(text), d);
  if (e) return expr_text(*e);
  const Diagnostic& first = d.all().front();
  return fmt::format("{}-{}: {} / {}", first.span.column, first.span.end_column, first.message,
                     first.help);
}

std::string statement_error(const std::string& text) {
  const Located l = located(text);
  try {
    Parser(l).statement();
  } catch (const SyntaxError& e) {
    return fmt::format("{}-{}: {} / {}", e.diagnostic.span.column, e.diagnostic.span.end_column,
                       e.diagnostic.message, e.diagnostic.help);
  }
  return "no error";
}

Statement statement(const std::string& text) {
  const Located l = located(text);
  return Parser(l).statement();
}

}  // namespace

TEST_CASE("parse: expressions are spelled again as they were written") {
  for (const char* text : {"1 + 2 * 3",
                           "(1 + 2) * 3",
                           "-a ** -2",
                           "(-a) ** 2",
                           "2 ** 3 ** 2",
                           "(2 ** 3) ** 2",
                           "a - (b - c)",
                           "a - b - c",
                           "a / (b * c)",
                           "a // b % c @ d",
                           "not a and b or c",
                           "not (a and b)",
                           "1 < x <= 5 != y",
                           "x is none",
                           "x is not none",
                           "a in b",
                           "a not in [1]",
                           "a if b else c if d else e",
                           "(a if b else c) if d else e",
                           "x |> relu |> f(1, k=2)",
                           "(x |> lstm(h0))[0]",
                           "f(x |> g)",
                           "[x for x in xs if x > 1]",
                           "[(a, b) for i, (a, b) in enumerate(pairs(xs))]",
                           "x[1:3]",
                           "x[..., none, ::2]",
                           "x[:, -1]",
                           "x[1,]",
                           "()",
                           "(a,)",
                           "(a, b)",
                           "[]",
                           "linear_${i}(x)",
                           "layer${s + 1}.conv${i}.weight",
                           "transformer.h.0.attn(x).sum()",
                           "self.fc1(x)",
                           "f()(x)[0].y",
                           "\"d=${d} of ${n}\"",
                           "\"a\\\"b\"",
                           "Conv2d(3, 8, kernel_size=(3, 3), bias=false)",
                           "10 epochs",
                           "1 epoch",
                           "2 h",
                           "90 s",
                           "1 batch",
                           "f32",
                           "-x.y",
                           "1e-05",
                           "0.1",
                           "inf",
                           "a == b and c",
                           "${i}(x)",
                           "h.${i}",
                           "x.return"}) {
    CHECK(spell(text) == text);
  }
}

TEST_CASE("parse: other spellings mean the same") {
  CHECK(spell("11_689_512") == "11689512");
  CHECK(spell("True and None") == "true and none");
  CHECK(spell("'it''") == "5-6: this string does not end / ");
  CHECK(spell("'a\"b'") == "\"a\\\"b\"");
  CHECK(spell("torch.float32") == "f32");
  CHECK(spell("x|>lstm(h0)[0]") == "(x |> lstm(h0))[0]");
  CHECK(spell("x |> layers[0](y)") == "x |> layers[0](y)");
  CHECK(spell("10epochs") == "10 epochs");
  CHECK(spell("2h + 30 min") == "2 h + 30 min");
  CHECK(spell("f(a,\n  b)") == "f(a, b)");
  CHECK(spell("\"$${x}\"") == "\"$${x}\"");
  CHECK(spell(".5 + 1.") == "0.5 + 1.0");
  CHECK(spell("\"\\u00e4\\x41\\n\"") == "\"\u00e4A\\n\"");
  CHECK(spell("bool(x)") == "bool(x)");
}

TEST_CASE("parse: errors point at the place and say what to write") {
  const auto starts = [](const std::string& text, const char* message) {
    CAPTURE(text);
    CHECK(spell(text).substr(0, std::string(message).size()) == message);
  };
  starts("f(x", "2-3: `(` is never closed");
  starts("f(x, dim: 1)", "9-10: expected `,` or `)`, got `:` / keyword arguments");
  starts("f(a=1, 2)", "8-9: positional argument follows keyword argument");
  starts("f(a=1, a=2)", "8-9: keyword argument repeated: a");
  starts("a |> f if c else d", "8-10: `|>` binds more loosely");
  starts("x |> 3", "6-7: `|>` needs a function");
  starts("x |> f(1)(2)", "10-11: a pipe goes into one call");
  starts("a if b", "7-7: expected `else`, got the end");
  starts("a && b", "3-5: `&&` is not an operator / write `and`");
  starts("a = b", "3-4: unexpected `=` / a comparison is written `==`");
  starts("f(*xs)", "3-4: arguments cannot be unpacked");
  starts("x is 3", "6-7: `is` compares with none only / write `==`");
  starts("3x", "1-3: `3x` is not a number");
  starts("99999999999999999999", "1-21: this integer does not fit");
  starts("1e999", "1-6: this number is out of range");
  starts("f\"a{i}\"", "1-3: strings have no prefix `f`");
  starts("\"${\"", "2-4: `${` without `}`");
  starts("\"${}\"", "2-5: `${}` holds no expression");
  starts("\"ab${1 +}\"", "9-9: expected a value, got the end");
  starts("a b", "3-4: unexpected `b` / an operator or a comma");
  starts("x[]", "3-4: expected a subscript");
  starts("for", "1-4: `for` is a reserved word");
  starts("f(x for x in y)", "5-8: expected `,` or `)`, got `for` / put the comprehension");
  starts("[x for x in a for y in b]", "15-18: a comprehension has one `for`");
  starts("ä", "1-2: unexpected character `ä` / names are made of ASCII");
  starts("\"äö\" + ß", "8-9: unexpected character");
  starts("{a: 1}", "1-2: `{` is not an operator / there are no dictionaries");
  starts("x ? a : b", "3-4: `?` is not an operator / write `a if");
  starts("lambda x: x", "8-9: unexpected `x`");
  starts("", "1-1: expected an expression");
  starts("\"\\q\"", "2-4: unknown escape");
}

TEST_CASE("parse: nesting and length are bounded") {
  CHECK(spell(std::string(50, '(') + "1" + std::string(50, ')')) == "1");
  CHECK(spell(std::string(5000, '(')).find("code nested too deeply") != std::string::npos);
  CHECK(spell(std::string(60000, '-') + "1").find("code nested too deeply") != std::string::npos);
  std::string sum = "1", nots, powers = "1", calls = "f", inserts = "x";
  for (int i = 0; i < 9000; ++i) sum += "+1", nots += "not ", powers += "**1", calls += "()";
  for (int i = 0; i < 20; ++i) inserts = "\"${" + inserts + "}\"";
  CHECK(spell(sum).find("too long") != std::string::npos);
  CHECK(spell(nots + "1").find("nested too deeply") != std::string::npos);
  CHECK(spell(powers).find("nested too deeply") != std::string::npos);
  CHECK(spell(calls).find("too long") != std::string::npos);
  CHECK(spell(inserts).find("nested too deeply") != std::string::npos);
}

TEST_CASE("parse: statements") {
  Statement s = statement("q, k, v = f(x)");
  CHECK(s.kind == Statement::Kind::assign);
  CHECK(s.targets.size() == 3);
  CHECK(s.targets[2].name.plain() == "v");
  s = statement("y, (h, c) = lstm(x)");
  CHECK(s.targets[1].kind == Target::Kind::tuple);
  CHECK(s.targets[1].items[1].name.plain() == "c");
  s = statement("self.count = count + 1");
  CHECK(s.targets[0].kind == Target::Kind::self);
  s = statement("s${i} = a, b");
  CHECK(s.values[0]->kind == Expr::Kind::tuple);
  s = statement("(x,) = y");
  CHECK(s.targets[0].kind == Target::Kind::tuple);
  s = statement("x, = y");
  CHECK(s.targets[0].kind == Target::Kind::tuple);
  s = statement("x += y");
  CHECK(s.kind == Statement::Kind::augment);
  s = statement("return logits=logits, loss=f(x)");
  CHECK(s.names == std::vector<std::string>{"logits", "loss"});
  s = statement("return y, (h, c)");
  CHECK(s.values.size() == 2);
  s = statement("require d % n == 0, \"d=${d}\"");
  CHECK(s.kind == Statement::Kind::require);
  CHECK(template_text(*s.text) == "d=${d}");
}

TEST_CASE("parse: errors of statements") {
  const auto starts = [](const std::string& text, const char* message) {
    CAPTURE(text);
    CHECK(statement_error(text).substr(0, std::string(message).size()) == message);
  };
  starts("relu(x)", "1-8: this statement does nothing");
  starts("x[0] = 1", "1-5: this cannot be assigned to / tensors are not written into");
  starts("f(x) = 1", "1-5: this cannot be assigned to");
  starts("a = b = c", "7-8: one assignment a statement");
  starts("x -= 1", "3-5: `-=` is not an operator / write `x = x - …`");
  starts("return", "7-7: `return` needs a value");
  starts("return a, b=c", "11-12: named and unnamed outputs are mixed");
  starts("return a=b, a=c", "13-14: output `a` is returned twice");
  starts("for i in x", "1-4: `for` has no block");
  starts("true = 3", "1-5: this cannot be assigned to / this word has");
  starts("x y = 3", "3-4: unexpected `y`");
}
