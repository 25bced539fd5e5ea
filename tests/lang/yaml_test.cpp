// Reading YAML: the tree, the place of every byte, budgets, and the traps with what they say.
#include <doctest/doctest.h>

#include "nnm/lang/tree.h"

using namespace nnm;
using namespace nnm::lang;

namespace {

Tree read(const std::string& text) {
  return read_yaml(std::make_shared<SourceFile>("t.yaml", text));
}

/// "E0105 2:1 message / help" of the first error.
std::string first_error(const std::string& text) {
  try {
    read(text);
  } catch (const DiagnosticError& e) {
    const Diagnostic& d = e.diagnostics.all().front();
    return fmt::format("{} {}:{} {} / {}", d.code, d.span.line, d.span.column, d.message, d.help);
  }
  return "no error";
}

std::string place(const Located& l, size_t begin, size_t end) {
  const Span s = l.span(begin, end);
  return fmt::format("{}:{}-{}", s.line, s.column, s.end_column);
}

/// The place of `part` in the scalar at `path`.
std::string place_of(const std::string& text, const char* path, const std::string& part) {
  const Tree tree = read(text);
  const Tree* t = tree.at(path);
  REQUIRE(t);
  const size_t at = t->text().find(part);
  REQUIRE(at != std::string::npos);
  return place(t->scalar, at, at + part.size());
}

void error_starts(const std::string& text, const std::string& expected) {
  CAPTURE(text);
  CHECK(first_error(text).substr(0, expected.size()) == expected);
}

}  // namespace

TEST_CASE("yaml: trees and paths") {
  const Tree t = read("a: {b: [1, x, [2, 3]], 'c.d': y}\nc:\n  - k: v\n  -\nn: null\nm:\n");
  CHECK(t.is_map());
  CHECK(t.at("a.b[1]")->text() == "x");
  CHECK(t.at("a.b[-1][0]")->text() == "2");
  CHECK(t.at("a.c.d")->text() == "y");
  CHECK(t.at("c[0].k")->text() == "v");
  CHECK(t.at("c[1]")->is_null());
  CHECK(t.at("n")->is_null());
  CHECK(t.at("m")->is_null());
  CHECK(t.at("a.b[7]") == nullptr);
  CHECK(t.at("a.x") == nullptr);
  CHECK(t.at("a.b[x]") == nullptr);
  CHECK(read("").is_null());
  CHECK(read("# only a comment\n").is_null());
}

TEST_CASE("yaml: every byte knows its place") {
  CHECK(place_of("a: f(x, yy)\n", "a", "yy") == "1:9-11");
  CHECK(place_of("ä: f(é, yy)\n", "ä", "yy") == "1:9-11");
  CHECK(place_of("a: &q f(x, yy)\nb: *q\n", "b", "yy") == "1:12-14");
  CHECK(place_of("a: &q\n  # note\n  'f(x, yy)'\n", "a", "yy") == "3:9-11");
  CHECK(place_of("a: 'it''s yy'\n", "a", "yy") == "1:11-13");
  CHECK(place_of("a: \"\\u00e9\\n\\\"yy\"\n", "a", "yy") == "1:15-17");
  CHECK(place_of("a: \"one\n  two\\\n   yy\"\n", "a", "yy") == "3:4-6");
  CHECK(place_of("a: one\n  two\n\n  yy\n", "a", "yy") == "4:3-5");
  CHECK(place_of("a: 'one\n\n\n  yy'\n", "a", "yy") == "4:3-5");
  CHECK(place_of("a: |\n  one\n   two\n\n  yy\n", "a", "yy") == "5:3-5");
  CHECK(place_of("a: >\n  one\n  two\n\n  yy\n", "a", "yy") == "5:3-5");
  CHECK(place_of("a: >-  # note\n  one\n    two\n  yy\n", "a", "yy") == "4:3-5");
  CHECK(place_of("a:\n  - |\n    one\n    yy\n", "a[0]", "yy") == "4:5-7");
  CHECK(place_of("a: 1\r\nb: f(\r\n  x, yy)\r\n", "b", "yy") == "3:6-8");
  CHECK(place_of("\xef\xbb\xbf"
                 "a: yy\n",
                 "a", "yy") == "1:4-6");
  CHECK(place_of("- [f(x), g(a,  yy)]\n", "[0][1]", "yy") == "1:16-18");
  // A span ends with its first line.
  CHECK(place_of("a: one\n  yy zz\n", "a", "one yy") == "1:4-7");
}

TEST_CASE("yaml: pieces of calls in flow collections are joined") {
  Tree t = read("t: [scale(1 / 255), normalize(0.1307, 0.3081), f((a, b), (c, d)), plain]\n");
  REQUIRE(t.at("t")->items.size() == 4);
  CHECK(t.at("t[1]")->text() == "normalize(0.1307, 0.3081)");
  CHECK(t.at("t[2]")->text() == "f((a, b), (c, d))");
  t = read("m: {acc: accuracy(out, y), top: f(a, k=1, b), z: 3}\n");
  REQUIRE(t.at("m")->entries.size() == 3);
  CHECK(t.at("m.acc")->text() == "accuracy(out, y)");
  CHECK(t.at("m.top")->text() == "f(a, k=1, b)");
  t = read("m: {opt: AdamW(lr=3e-4,\n   weight_decay=0.1)}\n");
  CHECK(t.at("m.opt")->text() == "AdamW(lr=3e-4,\n   weight_decay=0.1)");
  t = read("a: [\"linear_${i}\", Linear(20, 20)]\n");
  CHECK(t.at("a[1]")->text() == "Linear(20, 20)");
}

TEST_CASE("yaml: anchors and merge keys") {
  const Tree t = read(
      "base: &b {k: 1, m: 2}\nmore: &c {z: 3, k: 4}\none:\n  <<: *b\n  m: 5\n  n: 6\n"
      "two: {<<: [*b, *c], k: 7}\nthree: {k: 8, <<: *b}\nquoted: {'<<': 1}\n");
  const auto keys = [&](const char* path) {
    std::string out;
    for (const Tree::Entry& e : t.at(path)->entries) out += e.key.text() + e.value.text() + " ";
    return out;
  };
  CHECK(keys("one") == "k1 m5 n6 ");
  CHECK(keys("two") == "k7 m2 z3 ");
  CHECK(keys("three") == "k8 m2 ");
  CHECK(keys("quoted") == "<<1 ");
  CHECK(t.at("one.k")->span.line == 1);  // at the anchor's text
  CHECK(t.at("one.k")->span.column == 14);
  error_starts("a: {<<: 3}\n", "E0114 1:5 `<<` merges mappings");
}

TEST_CASE("yaml: duplicate keys are refused with both places") {
  error_starts("a: 1\nb: 2\na: 3\n", "E0105 3:1 the key `a` stands twice / leave one");
  error_starts("m: {a: 1, b: 2, a: 3}\n", "E0105 1:17 the key `a` stands twice");
  error_starts("m:\n  for i in x:\n    a: 1\n  for i in x:\n    b: 1\n",
               "E0105 4:3 the key `for i in x` stands twice / in one mapping a header stands once");
  try {
    read("a: 1\nb: 2\na: 3\nb: 4\n");
    FAIL("accepted");
  } catch (const DiagnosticError& e) {
    REQUIRE(e.diagnostics.all().size() == 2);
    CHECK(e.diagnostics.all()[1].notes[0].span.line == 2);
  }
}

TEST_CASE("yaml: the traps say what to write") {
  error_starts("- [a, b] = f(x)\n", "E0110 1:10 YAML reads a list before this");
  error_starts("- {a} = 3\n", "E0110 1:7 YAML reads a mapping before this");
  error_starts("- !x y\n", "E0109 1:3 an unquoted `!`");
  error_starts("- &x = 3\n", "E0110 1:3 an unquoted `&`");
  error_starts("at: *.attn\n",
               "E0110 1:5 an unquoted `*` at the start is a YAML alias / put the "
               "selector into quotes: \"*.attn\"");
  error_starts("a: 1\n**.weight: zeros\n", "E0110 2:1 an unquoted `*`");
  error_starts("a: &base 1\nb: *bace\n",
               "E0108 2:4 there is no anchor `&bace` / did you mean `*base`?");
  error_starts("- @x\n", "E0110 1:3 in YAML a text cannot start with `@`");
  error_starts("- `x`\n", "E0110 1:3 in YAML a text cannot start with ``");
  error_starts("- %x\n", "E0110 1:3 in YAML a text cannot start with `%`");
  error_starts("- > x\n", "E0110 1:3 in YAML `>` at the start begins a block");
  error_starts("- | x\n", "E0110 1:3 in YAML `|` at the start begins a block");
  error_starts("- |> relu\n", "E0110 1:3 a statement cannot start with `|>`");
  error_starts("a: Linear(3, bias: false)\n",
               "E0113 1:18 YAML reads a mapping here, because of `: ` / "
               "keyword arguments are written");
  error_starts("a: x[1: 3]\n",
               "E0113 1:7 YAML reads a mapping here, because of `: ` / write a slice");
  error_starts("a: f(\"a: b\")\n",
               "E0113 1:8 YAML reads a mapping here, because of `: ` / put the whole");
  error_starts("a: {x: f32[B, 3]}\n",
               "E0111 1:11 brackets inside of YAML's `{…}` / put the expression");
  error_starts("a: {x: int[]}\n", "E0111 1:11 brackets inside of YAML's `{…}`");
  error_starts("a: [f([1, 2])]\n", "E0111 1:7 brackets inside of YAML's `[…]`");
  error_starts("a: [f(x, \"mean\")]\n", "E0111 1:10 quotes inside of YAML's `[…]`");
  error_starts("a: [x_${i}, b]\n",
               "E0111 1:8 a name with `${…}` inside of YAML's `[…]` / put the name");
  error_starts("a:\n\tb: 1\n", "E0103 2:1 a tab in the indentation");
  error_starts("a:\n  b: 1\n\tc: 2\n", "E0103 3:1 a tab in the indentation");
  error_starts("a: b\n  c: d\n",
               "E0104 2:3 a key stands below a value / line 1 has a value already");
  error_starts("a:\n  b: 1\n c: 2\n",
               "E0104 3:2 the indentation does not fit / the block before it "
               "starts in column 1, this line in column 2");
  error_starts("a: 1\nb\n", "E0104 2:1 `b` has no `:`");
  error_starts("a:\n  for i in range(3)\n", "no error");  // a text, which the block reader refuses
  error_starts("b: 1\nfor i in range(3)\n",
               "E0104 2:1 `for i in range(3)` has no `:` / write `for i");
  error_starts("a: {lr, b: 2}\n", "E0104 1:5 `lr` has no `:`");
  error_starts("a: \"x\n", "E0104 1:4 this quote is never closed");
  error_starts("a: 'x\n", "E0104 1:4 this quote is never closed");
  error_starts("a: [1, 2\n", "E0104 1:4 `[` is never closed");
  error_starts("a: {b: 2\n", "E0104 1:4 `{` is never closed");
  error_starts("a: 1\n- b\n", "E0104 2:1 a list item stands among `key: value` lines");
  error_starts("a: \"b\" c\n", "E0110 1:8 the text goes on behind its closing quote");
  error_starts("a: - b\n", "E0104 1:4 a list starts on a line of its own");
  error_starts("a: ]\n", "E0104 1:4 `]` closes nothing");
  error_starts("a: b: c\n", "E0104 1:5 a second `: ` in one line");
  error_starts("? [a]\n: b\n", "E0104 1:3 a key is a text");
  error_starts("a: !!str 5\n", "E0109 1:4");
  error_starts("a: \"\\q\"\n", "E0104 1:5 unknown escape in a quoted text");
  error_starts("--- 1\n--- 2\n", "E0106 2:1 a second document");
  error_starts("a: \xff\n", "E0102 1:4 the text is not UTF-8");
  error_starts("a: \x04\n", "E0102 1:4 the control character 0x04");
}

TEST_CASE("yaml: budgets hold before anything is built") {
  error_starts(std::string(2'000'000, 'a'),
               "E0107 0:0 a config of 1.9 MiB; at most 1.0 MiB are read");
  error_starts("a: " + std::string(70'000, 'x'), "E0107 1:4 a text of more than 64.0 KiB");
  error_starts(std::string(1'000'000, '['), "E0107 1:33 nested deeper than 64 levels");
  error_starts(std::string(900'000, '{'), "E0107 1:64 nested deeper than 64 levels");
  std::string dashes, many = "[", deep;
  for (int i = 0; i < 100'000; ++i) dashes += "- ";
  for (int i = 0; i < 110'000; ++i) many += "1,";
  for (int i = 0; i < 70; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  error_starts(dashes, "E0107 1:129 nested deeper than 64 levels");
  error_starts(many + "]", "E0107 1:200002 more than 100,000 nodes");
  error_starts(deep, "E0107 65:65 nested deeper");
  error_starts("a: &a [*a]\n", "E0108 1:8 an alias inside of what it stands for");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 11; ++i) {
    bomb += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 9; ++j) bomb += fmt::format("{}*a{}", j ? ", " : "", i - 1);
    bomb += "]\n";
  }
  error_starts(bomb, "E0107");
  std::string text_bomb = "t: &t " + std::string(60'000, 'x') + "\nl:\n";
  for (int i = 0; i < 1000; ++i) text_bomb += "  - *t\n";
  error_starts(text_bomb, "E0107 20:5 the aliases expand to too much text");
  std::string nested;
  for (int i = 0; i < 60; ++i) nested += fmt::format("&a{} [", i);
  for (int i = 0; i < 5000; ++i) nested += "x,";
  error_starts(nested + std::string(60, ']'), "E0107");
}
