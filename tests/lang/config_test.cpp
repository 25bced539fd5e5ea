// Configs: examples load, vars, overrides, resolved text, errors of structure.
#include "nnm/lang/config.h"

#include <doctest/doctest.h>

#include "nnm/lang/structure.h"
#include "nnm/nn/module.h"

using namespace nnm;
using namespace nnm::lang;

namespace {

const char* const kHead = "nnm: 1\nmodel: Linear(10, 20)\n";

Config load(const std::string& text, std::vector<std::string> set = {}) {
  return Config::from_text(text, "dir/c.yaml", {std::move(set)});
}

/// "E0211 3:1 message / help" of every error, one a line.
std::string errors(const std::string& text, std::vector<std::string> set = {}) {
  try {
    load(text, std::move(set));
  } catch (const DiagnosticError& e) {
    std::string out;
    for (const Diagnostic& d : e.diagnostics.all()) {
      out +=
          fmt::format("{} {}:{} {} / {}\n", d.code, d.span.line, d.span.column, d.message, d.help);
    }
    return out;
  }
  return "no error";
}

void errors_start(const std::string& text, const std::string& expected,
                  std::vector<std::string> set = {}) {
  CAPTURE(text);
  CHECK(errors(text, std::move(set)).substr(0, expected.size()) == expected);
}

std::string var(const std::string& vars, const std::string& name,
                std::vector<std::string> set = {}) {
  const Config c = load(kHead + vars, std::move(set));
  const Value* v = c.vars().find(name);
  return v ? v->config_text() : "absent";
}

}  // namespace

TEST_CASE("config: vars have the types of YAML's core schema, and may use one another") {
  const std::string text =
      "vars:\n  a: 3\n  b: -1e-4\n  c: true\n  d: word\n  e: '3'\n  f: [1, 2.5, x]\n"
      "  g: {k: 1, l: [2]}\n  h: ~\n  i: 10 epochs\n  j: 11_689_512\n  k: .inf\n  l: 1.e3\n"
      "  m: ${vars.n * 2}\n  n: ${vars.a + 1}\n  o: d=${vars.a} of $${x}\n  p: \"${vars.a}\"\n"
      "  q: 3d-conv\n  r: ${[vars.a, len(vars.f)]}\n  s: ${vars.g.k + vars.f[0]}\n  t: no\n"
      "  u: 2 h\n  v: ${5 // 2}\n";
  const auto is = [&](const char* name, const char* value) {
    CAPTURE(name);
    CHECK(var(text, name) == value);
  };
  is("a", "3");
  is("b", "-0.0001");
  is("c", "true");
  is("d", "\"word\"");
  is("e", "\"3\"");
  is("f", "[1, 2.5, \"x\"]");
  is("h", "none");
  is("i", "10 epochs");
  is("j", "11689512");
  is("k", "inf");
  is("l", "1000.0");
  is("m", "8");
  is("n", "4");
  is("o", "\"d=3 of ${x}\"");
  is("p", "3");
  is("q", "\"3d-conv\"");
  is("r", "[3, 3]");
  is("s", "2");
  is("t", "\"no\"");
  is("u", "2 h");
  is("v", "2");
}

TEST_CASE("config: errors of vars") {
  const std::string head = kHead;
  errors_start(head + "vars: {a: \"${vars.b}\", b: \"${vars.c}\", c: \"${vars.a}\"}\n",
               "E0307 3:12 vars.a needs itself: a → b → c → a");
  errors_start(head + "vars: {dim: 1, a: \"${vars.din + 1}\"}\n", "E0301 3:27");
  errors_start(head + "vars: {a: \"${1 / 0}\"}\n", "E0401 3:");
  errors_start(head + "vars: {a: \"${1 +}\"}\n", "E0201 3:17");
  errors_start(head + "vars: [1, 2]\n", "E0213 3:7 `vars:` is a mapping");
  errors_start(head + "vars: {my-var: 1}\n", "E0213 3:8 `my-var` cannot be the name");
}

TEST_CASE("config: overrides are read by the type of what is there") {
  const std::string text =
      "vars: {d: 3, p: 0.5, s: word, q: '7', l: [1, 2], b: true, e: \"${vars.d + 1}\", m: {k: 1}, "
      "t: 5 epochs}\n";
  CHECK(var(text, "d", {"vars.d=1e-4"}) == "0.0001");
  CHECK(var(text, "e", {"vars.d=10"}) == "11");
  CHECK(var(text, "s", {"vars.s=epoch=6.h5"}) == "\"epoch=6.h5\"");
  CHECK(var(text, "s", {"vars.s=12"}) == "\"12\"");
  CHECK(var(text, "q", {"vars.q=8"}) == "\"8\"");
  CHECK(var(text, "l", {"vars.l=3,4,6,3"}) == "[3, 4, 6, 3]");
  CHECK(var(text, "l", {"vars.l=[3, 4]"}) == "[3, 4]");
  CHECK(var(text, "l", {"vars.l="}) == "[]");
  CHECK(var(text, "l", {"vars.l[-1]=9"}) == "[1, 9]");
  CHECK(var(text, "l", {"vars.l+=9", "vars.l+=10"}) == "[1, 2, 9, 10]");
  CHECK(var(text, "m", {"vars.m.k=4"}) == "{k: 4}");
  CHECK(var(text, "d", {"vars.d=${vars.l[1]}"}) == "2");
  CHECK(var(text, "b", {"vars.b=false"}) == "false");
  CHECK(var(text, "d", {"vars.d=4", "vars.d=5"}) == "5");
  const std::string all = kHead + text;
  errors_start(all, "E0214 1:8 vars.d is a number, not `abc`", {"vars.d=abc"});
  errors_start(all, "E0214 1:8 vars.b is true or false", {"vars.b=1"});
  errors_start(all, "E0214 1:6 unknown path `vars.dd` / did you mean `vars.d`?", {"vars.dd=1"});
  errors_start(all, "E0214 1:1 unknown path `var` / did you mean `vars`?", {"var.d=1"});
  errors_start(all, "E0214 1:7 vars.l has 2 items", {"vars.l[2]=1"});
  errors_start(all, "E0214 1:1 an override is `path=value`", {"vars.d"});
  errors_start(all, "E0214 1:1 `+=` appends to a list, and vars.d is not one", {"vars.d+=1"});
}

TEST_CASE("config: an override gives the model in any form") {
  for (const char* text :
       {"nnm: 1\n", "nnm: 1\nmodel: Linear(2, 2)\n", "nnm: 1\nmodel: [Linear(2, 2), ReLU()]\n",
        "nnm: 1\nmodel:\n  Sequential:\n    fc: Linear(2, 2)\n"}) {
    CHECK(load(text, {"model=Linear(3, 5)"}).find("model")->text() == "Linear(3, 5)");
    CHECK(load(text, {"model=[Linear(3, 5), ReLU()]"}).find("model")->items.size() == 2);
    CHECK(
        load(text, {"model={Linear: {in_features: 3, out_features: 5}}"}).find("model")->is_map());
  }
  const std::string profile = "nnm: 1\nprofiles: {wide: {model: \"Linear(9, 9)\"}}\n";
  CHECK(Config::from_text(profile, "c.yaml", {.profiles = {"wide"}}).find("model")->text() ==
        "Linear(9, 9)");
  errors_start("nnm: 1\n", "E0214 1:1 the file has no `vars`", {"vars.d=1"});
}

TEST_CASE("config: overrides may set what the schema knows and the file has not") {
  const auto at = [](const std::string& text, const char* path, std::vector<std::string> set) {
    const Config c = load(text, std::move(set));
    const Tree* t = c.find(path);
    return t ? t->is_scalar() ? t->text()
               : t->is_list() ? fmt::format("list of {}", t->items.size())
               : t->is_null() ? "null"
                              : "map"
             : "absent";
  };
  CHECK(at(kHead, "train.optimizer", {"train.optimizer=AdamW(lr=3e-4, weight_decay=0.1)"}) ==
        "AdamW(lr=3e-4, weight_decay=0.1)");
  CHECK(at(kHead, "train.max", {"train.max=10 epochs,2 h"}) == "list of 2");
  CHECK(at(kHead, "train.checkpoint.keep", {"train.checkpoint.keep=3"}) == "3");
  CHECK(at(kHead, "data.train.images", {"data.train={images: a.gz, labels: b.gz}"}) == "a.gz");
  CHECK(at(kHead, "data.train.file", {"data.train.file=epoch=6.h5"}) == "epoch=6.h5");
  CHECK(at(kHead, "data.transform", {"data.transform=[scale(1 / 255), normalize(0.1, 0.3)]"}) ==
        "list of 2");
  CHECK(at(kHead, "data.transform", {"data.transform=normalize(0.1, 0.3)"}) ==
        "normalize(0.1, 0.3)");
  CHECK(at(kHead, "train.groups", {"train.groups={\"**.bias\": {weight_decay: 0}}"}) == "map");
  CHECK(at(kHead, "train.clip", {"train.clip=none"}) == "null");
  CHECK(at(kHead, "model", {"model=Linear(3, 4)"}) == "Linear(3, 4)");
  CHECK(at(kHead, "tests", {"tests+=1 == 1"}) == "list of 1");
  const std::string hooks = std::string(kHead) +
                            "hooks:\n  - {name: a, on: forward, at: x, output: output}\n"
                            "  - {name: b, on: forward, at: y, output: output}\n";
  CHECK(at(hooks, "hooks[1].enabled", {"hooks.b.enabled=false"}) == "false");
  CHECK(at(hooks, "hooks[0].at", {"hooks[0].at=z"}) == "z");
  errors_start(hooks, "E0214 1:7 unknown path `hooks.c` / ", {"hooks.c.enabled=false"});
  errors_start(kHead, "E0214 1:7 unknown path `train.optimiser` / did you mean `train.optimizer`?",
               {"train.optimiser=SGD(lr=1)"});
  errors_start(
      kHead, "E0213 1:17 train.precision is one of f32, tf32, bf16, f64, not `bf17` / did you mean",
      {"train.precision=bf17"});
  // Notes are free, wherever there are keys.
  CHECK(at(kHead, "x-note", {"x-note=3"}) == "3");
  CHECK(at(kHead, "train.x-note", {"train.x-note={a: 1}"}) == "map");
  CHECK(at(kHead, "data.x-note", {"data.x-note=why"}) == "why");
  errors_start(kHead, "E0214 1:1 unknown path `y-note` / ", {"y-note=3"});
  const Config c = load(std::string(kHead) + "data: {train: a.h5}\n", {"data.val=b.h5"});
  CHECK(c.resolve_path(*c.find("data.train")) == "dir/a.h5");
  CHECK(c.resolve_path(*c.find("data.val")) == "b.h5");
}

TEST_CASE("config: resolved text reads back to the same tree") {
  const std::string text =
      "nnm: 1\nvars: {a: '1', b: \"x\\n y\", c: [], d: {}, e: ~, f: [[1, 2], [{k: v}]], g: 'null', "
      "h: '- x', i: 'a: b', j: 'a #b', k: ' a', l: '', m: \"\\e\"}\n"
      "x:\n  \"**.w, Linear.*\": 1\n  '<<': 2\n  'a: b': 3\n  '-': 4\n  'true': 5\n"
      "data:\n  transform: [scale(1 / 255), normalize(0.1307,\n    0.3081)]\n"
      "model:\n  Sequential:\n    - Linear(10, 20)\n    - for i in range(3):\n"
      "        - add_module: [\"linear_${i}\", Linear(20, 20)]\n        - ReLU()\n";
  const Config c = load(text);
  const std::string once = c.resolved();
  const Config again = load(once);
  CHECK(again.resolved() == once);
  CHECK(again.vars().config_text() == c.vars().config_text());
  CHECK(again.find("data.transform[1]")->text() == c.find("data.transform[1]")->text());
  CHECK(load(text, {"vars.a=5"}).resolved().find("a: \"5\"") != std::string::npos);
}

TEST_CASE("config: errors of structure, all at once") {
  const std::string head = kHead;
  CHECK(
      errors(head + "trian: {}\ntrain: {epochs: 3, optimiser: SGD(lr=1)}\ndata: {bacth: 128}\n") ==
      "E0211 3:1 unknown key `trian` in a config / did you mean `train`?\n"
      "E0211 4:9 unknown key `epochs` in `train:` / write `max: 10 epochs`\n"
      "E0211 4:20 unknown key `optimiser` in `train:` / did you mean `optimizer`?\n"
      "E0211 5:8 unknown key `bacth` in `data:` / did you mean `batch`?\n");
  errors_start("", "E0213 1:1 the config is empty");
  errors_start("model: Linear(1, 2)\n", "E0212 1:1 the config has no `nnm` / write `nnm: 1`");
  errors_start("nnm: 1\n", "E0212 1:1 the config has no `model`");
  errors_start("nnm: 2\nmodel: Linear(1, 2)\n",
               "E0215 1:6 version `2` of the language is not known");
  errors_start("nnm:1\n", "E0213 1:1 a config is a mapping / a space is missing");
  errors_start("- a\n", "E0213 1:3 a config is a mapping");
  errors_start(head + "train: [1]\n", "E0213 3:8 train is a mapping, not a list");
  errors_start(head + "train: {max: {a: b}}\n", "E0213 3:14 train.max is `10 epochs`");
  errors_start(head + "train: {nan: stopp}\n",
               "E0213 3:14 train.nan is one of stop, skip, ignore, not");
  errors_start(head + "hooks: [{on: forward, output: output}]\n", "E0212 3:9 hooks[0] has no `at`");
  errors_start(head + "hooks: [{on: forwards, at: x, output: output}]\n",
               "E0213 3:14 hooks[0].on is one of");
  CHECK(errors(head + "hooks: [{on: fc1, at: x, output: output}]\n")
            .ends_with("not `fc1` / `on:` is when the hook fires; where is `at:`\n"));
  errors_start(head + "hooks: [{on: forward, at: x, capture: {arg: 1, reduce: [mean]}}]\n",
               "E0211 3:40 unknown key `arg` in `hooks[0].capture:` / `arg:` belongs to the hook");
  errors_start(head + "hooks: [{on: forward, at: x}]\n", "E0212 3:9 hooks[0] does nothing");
  errors_start(head + "hooks: [{on: forward, at: x, rule: nonfinite, output: output}]\n",
               "E0211 3:9 hooks[0] does several things: output, rule");
  errors_start(head + "data: {train: {text: a, contxt: 3}}\n",
               "E0211 3:25 unknown key `contxt` in `data.train:` / did you mean `context`?");
  CHECK(errors(head + "x: {anything: [goes]}\nx-notes: here\ntrain: {x-note: 3}\n") == "no error");
}

TEST_CASE("config: a file that is not there") {
  try {
    Config::load("/nowhere/c.yaml");
    FAIL("loaded");
  } catch (const DiagnosticError& e) {
    CHECK(exit_code(e.kind()) == 2);
    CHECK(e.diagnostics.all()[0].code == "E0101");
    CHECK(e.diagnostics.all()[0].span.file->path == "/nowhere/c.yaml");
  }
}

TEST_CASE("config: a class that hides a layer is a warning") {
  const Config c = load("nnm: 1\ndefine: {Linear: {modules: {a: \"ReLU()\"}}}\nmodel: Linear()\n");
  if (Registry<Module>::find("Linear")) {
    REQUIRE(c.warnings().all().size() == 1);
    CHECK(c.warnings().all()[0].code == "W0201");
  }
}

TEST_CASE("config: core types") {
  for (const char* s : {"1", "-3", "+4", "11_689", "0x1F", "0o17"})
    CHECK(core_type(s) == CoreType::integer);
  for (const char* s : {"1.", ".5", "1e3", "-1.5E-3", ".inf", "-.inf", ".nan", "inf"}) {
    CHECK(core_type(s) == CoreType::real);
  }
  for (const char* s :
       {"", "-", ".", "e3", "1e", "1.2.3", "_1", "no", "1 2", "0x", "0o8", "-0x1", "0X1", "0b1"}) {
    CHECK(core_type(s) == CoreType::text);
  }
}
