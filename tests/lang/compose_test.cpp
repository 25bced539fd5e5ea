// Composition: extends, import, profiles, and what a resolved config holds.
#include <doctest/doctest.h>

#include <filesystem>

#include "io/temp.h"
#include "nnm/base/file.h"
#include "nnm/lang/compose.h"
#include "nnm/lang/describe.h"
#include "nnm/lang/model.h"

using namespace nnm;
using namespace nnm::lang;

namespace {

/// Files of a config, and what is made of them.
struct Files {
  io::testing::TempDir folder;
  std::string path(const std::string& name) const { return folder / name; }
  Files& add(const std::string& name, const std::string& text) {
    make_folders(folder_of(path(name)));
    write_file_atomic(path(name), text);
    return *this;
  }
  Config load(const std::string& name, LoadOptions options = {}) const {
    return Config::load(path(name), options);
  }
  /// "E0101 name:3:10 message / help" of every error, one a line.
  std::string errors(const std::string& name, LoadOptions options = {}) const {
    try {
      const Config c = load(name, std::move(options));
      build_model(c, {.device = {DeviceType::meta, 0}});
    } catch (const DiagnosticError& e) {
      std::string out;
      for (const Diagnostic& d : e.diagnostics.all()) {
        const std::string file = d.span ? d.span.file->path : "";
        out += fmt::format("{} {}:{}:{} {} / {}\n", d.code, short_path(file), d.span.line,
                           d.span.column, short_path(d.message), d.help);
      }
      return out;
    }
    return "no error";
  }
  std::string short_path(std::string text) const {
    const std::string root = folder.path() + "/";
    for (size_t at = text.find(root); at != text.npos; at = text.find(root))
      text.erase(at, root.size());
    return text;
  }
};

std::string at(const Config& c, const char* path) {
  const Tree* t = c.find(path);
  if (!t) return "absent";
  return t->is_scalar() ? t->text() : write_flow(*t);
}

void text_starts(const std::string& text, const std::string& expected) {
  CHECK(text.substr(0, expected.size()) == expected);
}

const char* const kBase =
    "nnm: 1\nvars: {d: 4, p: 0.1}\nmodel: Linear(vars.d, 2)\n"
    "train:\n  max: 10 epochs\n  optimizer: SGD(lr=0.1)\n  checkpoint: {every: 1 epoch, keep: 2}\n"
    "  metrics: {acc: accuracy(out, y)}\ndata: {train: a.h5, val: {split: 0.1}, transform: "
    "[scale(2), clamp(0, 1)]}\n";

const char* const kLibrary =
    "nnm: 1\ndefine:\n"
    "  Block: {args: {d: int}, modules: {fc: \"Linear(d, d)\"}}\n"
    "  Net:\n    args: {d: int, block: module = Block}\n"
    "    modules: {a: block(d), b: Block(d)}\n"
    "    inputs: {x: \"f32[B, d]\"}\n    forward: [\"return x |> a |> b\"]\n";

}  // namespace

TEST_CASE("extends: mappings merge, all else replaces, chains and lists in order") {
  Files f;
  f.add("base.yaml", kBase);
  f.add("mid.yaml", "extends: base.yaml\ntrain: {max: 5 epochs, checkpoint: {keep: 7}}\n");
  f.add("over.yaml", "data: {transform: [scale(3)]}\nvars: {p: 0.5, q: 1}\n");
  f.add("c.yaml", "extends: [mid.yaml, over.yaml]\nvars: {d: 8}\ntrain:\nhooks: []\n");
  const Config c = f.load("c.yaml");
  CHECK(at(c, "train.max") == "5 epochs");
  CHECK(at(c, "train.checkpoint") == "{\"every\": \"1 epoch\", \"keep\": 7}");
  CHECK(at(c, "train.optimizer") == "SGD(lr=0.1)");
  CHECK(at(c, "data.transform") == "[\"scale(3)\"]");
  CHECK(at(c, "vars") == "{\"d\": 8, \"p\": 0.5, \"q\": 1}");
  CHECK(at(c, "extends") == "absent");
  CHECK(c.files().size() == 3);
  CHECK(f.short_path(c.find("train.optimizer")->span.file->path) == "base.yaml");
  CHECK(c.find("train.optimizer")->span.line == 6);
}

TEST_CASE("extends: a null empties a key, a key without a value changes nothing") {
  Files f;
  f.add("base.yaml", kBase);
  f.add("c.yaml", "extends: base.yaml\ntrain:\n  metrics:\n  max: null\ndata: {val: ~}\n");
  const Config c = f.load("c.yaml");
  CHECK(at(c, "train.metrics.acc") == "accuracy(out, y)");
  CHECK(c.find("train.max")->is_null());
  CHECK(c.find("data.val")->is_null());
}

TEST_CASE("extends: a layer of another type replaces, arguments of the same type merge") {
  Files f;
  f.add(
      "base.yaml",
      "nnm: 1\ndefine:\n  A:\n    modules:\n      l: {Linear: {in_features: 2, out_features: 3}}\n"
      "      s: {Sequential: {a: ReLU(), b: {Linear: {in_features: 2, out_features: 3}}}}\n"
      "model: {Linear: {in_features: 2, out_features: 3}}\n");
  f.add("same.yaml", "extends: base.yaml\nmodel: {Linear: {bias: false}}\n");
  f.add("other.yaml",
        "extends: base.yaml\nmodel: {ReLU: {}}\ndefine:\n  B: {modules: {x: ReLU()}}\n"
        "  A: {modules: {l: {Tanh: {}}, s: {Sequential: {b: {Tanh: {}}, c: ELU()}}}}\n");
  CHECK(at(f.load("same.yaml"), "model.Linear") ==
        "{\"in_features\": 2, \"out_features\": 3, \"bias\": false}");
  const Config c = f.load("other.yaml");
  CHECK(at(c, "model") == "{\"ReLU\": {}}");
  CHECK(at(c, "define.A.modules.l") == "{\"Tanh\": {}}");
  CHECK(at(c, "define.A.modules.s.Sequential") ==
        "{\"a\": \"ReLU()\", \"b\": {\"Tanh\": {}}, \"c\": \"ELU()\"}");
  CHECK(at(c, "define.B.modules.x") == "ReLU()");
}

TEST_CASE("extends: paths are relative to the file in which they stand") {
  Files f;
  f.add("lib/base.yaml", "extends: ../deep/root.yaml\ndata: {train: b.h5}\n");
  f.add("deep/root.yaml", "nnm: 1\nmodel: Linear(1, 2)\ndata: {val: r.h5, test: /abs.h5}\n");
  f.add("c.yaml", "extends: lib/base.yaml\ndata: {more: {x: c.h5}}\n");
  const Config c = f.load("c.yaml", {.set = {"data.last=s.h5"}});
  CHECK(c.resolve_path(*c.find("data.train")) == f.path("lib/b.h5"));
  CHECK(c.resolve_path(*c.find("data.val")) == f.path("deep/r.h5"));
  CHECK(c.resolve_path(*c.find("data.more.x")) == f.path("c.h5"));
  CHECK(c.resolve_path(*c.find("data.test")) == "/abs.h5");
  CHECK(c.resolve_path(*c.find("data.last")) == "s.h5");
}

TEST_CASE("extends: what is wrong is said where it stands") {
  Files f;
  f.add("a.yaml", "nnm: 1\nextends: b.yaml\nmodel: ReLU()\n");
  f.add("b.yaml", "extends: c.yaml\n");
  f.add("c.yaml", "\nextends: a.yaml\n");
  text_starts(f.errors("a.yaml"),
              "E0115 c.yaml:2:10 a.yaml needs itself: a.yaml → b.yaml → c.yaml → a.yaml / ");
  f.add("self.yaml", "extends: ./self.yaml\n");
  text_starts(f.errors("self.yaml"),
              "E0115 self.yaml:1:10 self.yaml needs itself: self.yaml → self.yaml");
  f.add("d.yaml", "extends: [absent.yaml, gone.yaml]\n");
  text_starts(f.errors("d.yaml"),
              "E0101 d.yaml:1:11 cannot open absent.yaml: No such file or directory / a path is");
  CHECK(f.errors("d.yaml").find("E0101 d.yaml:1:24 cannot open gone.yaml") != std::string::npos);
  f.add("e.yaml", "extends: broken.yaml\n");
  f.add("broken.yaml", "nnm: 1\nmodel: [Linear(2, 3)\n");
  text_starts(f.errors("e.yaml"), "E0104 broken.yaml:2:8");
  f.add("g.yaml", "extends: typo.yaml\nnnm: 1\nmodel: ReLU()\n");
  f.add("typo.yaml", "trian: {}\ntrain: {epochs: 3}\n");
  CHECK(f.errors("g.yaml") ==
        "E0211 typo.yaml:1:1 unknown key `trian` in a config / did you mean `train`?\n"
        "E0211 typo.yaml:2:9 unknown key `epochs` in `train:` / write `max: 10 epochs`\n");
  f.add("h.yaml", "extends: old.yaml\nnnm: 1\nmodel: ReLU()\n");
  f.add("old.yaml", "nnm: 2\n");
  text_starts(f.errors("h.yaml"), "E0215 old.yaml:1:6");
  f.add("i.yaml", "extends: {a: b}\n");
  text_starts(f.errors("i.yaml"), "E0213 i.yaml:1:10 `extends:` is a path, or a list of paths");
  f.add("j.yaml", "extends: \"${vars.x}.yaml\"\n");
  text_starts(f.errors("j.yaml"), "E0213 j.yaml:1:11 this path is read before there are variables");
  f.add("k.yaml", "extends: list.yaml\n");
  f.add("list.yaml", "- a\n");
  text_starts(f.errors("k.yaml"), "E0213 list.yaml:1:3 list.yaml is no config");
}

TEST_CASE("extends: files have limits") {
  Files f;
  for (int i = 0; i < 30; ++i)
    f.add(fmt::format("n{}.yaml", i), fmt::format("extends: n{}.yaml\n", i + 1));
  text_starts(f.errors("n0.yaml"), "E0107 n15.yaml:1:10 a chain of more than 16 files");
  // Two at every level: many more uses than files.
  for (int i = 0; i < 12; ++i)
    f.add(fmt::format("t{}.yaml", i), fmt::format("extends: [t{0}.yaml, t{0}.yaml]\n", i + 1));
  f.add("t12.yaml", "x: 1\n");
  CHECK(f.errors("t0.yaml").find("more than 64 files in one config") != std::string::npos);
  const std::string half = "x: [" + std::string(600 << 10, ' ') + "]\n";
  f.add("big.yaml", half).add("c.yaml", "extends: big.yaml\n" + half);
  text_starts(f.errors("c.yaml"),
              "E0107 c.yaml:1:10 with the files that it extends and imports the config is "
              "larger than 1.0 MiB");
}

TEST_CASE("import: classes by the name of their file, each with the names of its own") {
  Files f;
  f.add("lib/net.yaml", kLibrary);
  f.add("c.yaml",
        "nnm: 1\nimport: {n: lib/net.yaml}\ndefine:\n"
        "  Block: {args: {d: int}, modules: {act: ReLU()}}\n"
        "  Top:\n    args: {d: int, block: module = n.Block}\n"
        "    modules:\n      one: n.Net(d, block=Block)\n      two: {n.Net: {d: d, block: block}}\n"
        "      three: {Sequential: [{n.Block: {d: d}}, n.Block(d)]}\n"
        "    init: {n.Block.fc.weight: zeros, \"n.Net.**.bias\": ones}\n"
        "    inputs: {x: \"f32[B, d]\"}\n    forward: [\"return x |> one |> two |> three\"]\n"
        "model: Top(3)\n");
  const Config c = f.load("c.yaml");
  const Model m = build_model(c, {});
  CHECK(m.module->repr() ==
        "Top(\n  (one): Net(\n    (a): Block(\n      (act): ReLU()\n    )\n    (b): Block(\n"
        "      (fc): Linear(in_features=3, out_features=3, bias=True)\n    )\n  )\n"
        "  (two): Net(\n    (a): Block(\n      (fc): Linear(in_features=3, out_features=3, "
        "bias=True)\n"
        "    )\n    (b): Block(\n      (fc): Linear(in_features=3, out_features=3, bias=True)\n    "
        ")\n"
        "  )\n  (three): Sequential(\n    (0): Block(\n"
        "      (fc): Linear(in_features=3, out_features=3, bias=True)\n    )\n    (1): Block(\n"
        "      (fc): Linear(in_features=3, out_features=3, bias=True)\n    )\n  )\n)");
  for (const auto& [name, p] : m.module->named_parameters()) {
    CAPTURE(name);
    const bool weight = name.ends_with("weight");
    const bool set = weight || !name.starts_with("three");
    if (set)
      CHECK(p.to_vector<float>() ==
            std::vector<float>(static_cast<size_t>(p.numel()), weight ? 0.0F : 1.0F));
  }
  const Model meta = build_model(c, {.device = {DeviceType::meta, 0}});
  CHECK_NOTHROW(check_shapes(c, meta));
}

TEST_CASE("import: an imported file imports, and needs no model; its other sections do not count") {
  Files f;
  f.add("lib/net.yaml", kLibrary);
  f.add("lib/more.yaml",
        "nnm: 1\nimport: {n: net.yaml}\nvars: {d: 9}\ntrain: {max: 3 steps}\ndefine:\n"
        "  Pair:\n    args: {d: int}\n    modules: {l: n.Block(d), r: n.Block(d)}\n");
  f.add("c.yaml",
        "nnm: 1\nimport: {more: lib/more.yaml}\n"
        "model: {Sequential: [more.Pair(2), more.n.Block(3)]}\n");
  const Config c = f.load("c.yaml");
  CHECK(at(c, "train.max") == "absent");
  const Model m = build_model(c, {.device = {DeviceType::meta, 0}});
  CHECK(m.module->named_parameters().size() == 6);
  CHECK(selector_type(*m.module->child("1")) == "more.n.Block");
  CHECK(m.module->child("1")->type_name() == "Block");
}

TEST_CASE("import: names that are wrong are told what there is") {
  Files f;
  f.add("net.yaml", kLibrary);
  const std::string head = "nnm: 1\nimport: {n: net.yaml}\n";
  f.add("a.yaml", head + "model: n.Nett(3)\n");
  CHECK(f.errors("a.yaml") == "E0302 a.yaml:3:8 unknown layer `n.Nett` / did you mean `n.Net`?\n");
  f.add("b.yaml", head + "model: n.Zzzzzzz(3)\n");
  CHECK(f.errors("b.yaml") == "E0302 b.yaml:3:8 unknown layer `n.Zzzzzzz` / `n` has Block, Net\n");
  f.add("c.yaml", head + "model: {n.Nett: {d: 3}}\n");
  text_starts(f.errors("c.yaml"),
              "E0207 c.yaml:3:9 `n.Nett` is no type of layer / did you mean `n.Net`?");
  f.add("d.yaml", head + "model: n.Net(3, n)\n");
  text_starts(f.errors("d.yaml"), "E0301 d.yaml:3:17 unknown name `n` / `n` is an import");
  f.add("e.yaml", head + "model: Net(3)\n");
  text_starts(f.errors("e.yaml"), "E0302 e.yaml:3:8 unknown layer `Net` / did you mean `n.Net`?");
  f.add("g.yaml", "nnm: 1\nimport: net.yaml\nmodel: ReLU()\n");
  text_starts(f.errors("g.yaml"), "E0213 g.yaml:2:9 `import:` is a mapping of names to files");
  f.add("h.yaml", "nnm: 1\nimport: {a-b: net.yaml}\nmodel: ReLU()\n");
  text_starts(f.errors("h.yaml"), "E0218 h.yaml:2:10 `a-b` cannot be the name of an import");
  f.add("i.yaml", "nnm: 1\nimport: {b: bad.yaml}\nmodel: b.A()\n");
  f.add("bad.yaml", "define:\n  A: {modules: {x: \"Linear(1, 2, 3, 4, 5, 6)\"}}\ntrian: 3\n");
  text_starts(f.errors("i.yaml"), "E0211 bad.yaml:3:1 unknown key `trian`");
  f.add("bad.yaml", "define:\n  A: {modules: {x: \"Linear(1, 2, biass=3)\"}}\n");
  text_starts(f.errors("i.yaml"), "E0303 bad.yaml:2:34 Linear has no argument `biass`");
  f.add("j.yaml", "nnm: 1\nimport: {k: k.yaml}\nmodel: k.A()\n");
  f.add("k.yaml", "import: {j: j.yaml}\n");
  text_starts(f.errors("j.yaml"),
              "E0115 k.yaml:1:13 j.yaml needs itself: j.yaml → k.yaml → j.yaml");
}

TEST_CASE("import: what a base imports is replaced as a whole") {
  Files f;
  f.add("one.yaml", "define: {A: {modules: {x: ReLU()}}, B: {modules: {x: ReLU()}}}\n");
  f.add("two.yaml", "define: {A: {modules: {y: Tanh()}}}\n");
  f.add("base.yaml", "nnm: 1\nimport: {m: one.yaml}\nmodel: m.A()\n");
  f.add("c.yaml", "extends: base.yaml\nimport: {m: two.yaml}\n");
  CHECK(at(f.load("c.yaml"), "import.m") ==
        "{\"define\": {\"A\": {\"modules\": {\"y\": \"Tanh()\"}}}}");
  CHECK(build_model(f.load("c.yaml"), {}).module->repr() == "A(\n  (y): Tanh()\n)");
}

TEST_CASE("profiles: dotted keys and mappings, in order, before overrides") {
  Files f;
  f.add("c.yaml", std::string(kBase) +
                      "hooks: [{name: h, on: forward, at: \"\", output: output}]\n"
                      "profiles:\n  debug: {train.max: 20 steps, data.limit: 256, vars: {d: 2}}\n"
                      "  big:\n    vars.d: 64\n    train: {checkpoint.keep: all, ema: 0.9}\n"
                      "    hooks.h.enabled: false\n    data.val: null\n");
  const Config c = f.load("c.yaml", {.set = {"vars.p=0.3"}, .profiles = {"debug", "big"}});
  CHECK(at(c, "train.max") == "20 steps");
  CHECK(at(c, "data.limit") == "256");
  CHECK(at(c, "vars.d") == "64");
  CHECK(at(c, "train.checkpoint") == "{\"every\": \"1 epoch\", \"keep\": \"all\"}");
  CHECK(at(c, "train.ema") == "0.9");
  CHECK(at(c, "hooks[0].enabled") == "false");
  CHECK(c.find("data.val")->is_null());
  CHECK(at(f.load("c.yaml", {.profiles = {"big", "debug"}}), "vars.d") == "2");
  CHECK(at(f.load("c.yaml", {.set = {"vars.d=5"}, .profiles = {"big"}}), "vars.d") == "5");
  CHECK(origin_of(*c.find("train.max")) == "profile debug");
  CHECK(origin_of(*c.find("vars.p")) == "--set");
  CHECK(f.short_path(origin_of(*c.find("train.optimizer"))) == "c.yaml:6");
}

TEST_CASE("profiles: all are checked, and an unknown one is told what is near") {
  Files f;
  f.add("c.yaml", std::string(kBase) +
                      "profiles:\n  debug: {train.mx: 20 steps, vars.dd: 3, train: {nan: stopp}}\n"
                      "  other: {trian: {max: 3}, extends: x.yaml, data: {batch: {a: [1]}}}\n");
  CHECK(f.errors("c.yaml") ==
        "E0211 c.yaml:11:17 unknown path `train.mx` / did you mean `train.max`?\n"
        "E0211 c.yaml:11:36 unknown path `vars.dd` / did you mean `vars.d`?\n"
        "E0213 c.yaml:11:56 train.nan is one of stop, skip, ignore, not `stopp` / did you mean "
        "`stop`?\n"
        "E0211 c.yaml:12:11 unknown path `trian` / did you mean `train`?\n"
        "E0211 c.yaml:12:28 `extends:` is settled before this is read / change it in the file\n"
        "E0213 c.yaml:12:63 data.batch.a is an integer, not a list / \n");
  f.add("d.yaml", std::string(kBase) + "profiles: {debug: {train.max: 3 steps}}\n");
  CHECK(f.errors("d.yaml", {.profiles = {"debg"}}) ==
        "E0217 --profile:1:1 there is no profile `debg` / did you mean `debug`?\n");
  f.add("e.yaml", kBase);
  CHECK(f.errors("e.yaml", {.profiles = {"debug"}}) ==
        "E0217 --profile:1:1 there is no profile `debug` / the config has no `profiles:`\n");
  f.add("g.yaml", std::string(kBase) + "profiles: {debug: 3}\n");
  text_starts(f.errors("g.yaml"), "E0213 g.yaml:10:19 profiles.debug is");
}

TEST_CASE("profiles: those of a base are there, too") {
  Files f;
  f.add("base.yaml", std::string(kBase) + "profiles: {a: {vars.d: 1, train.max: 1 steps}}\n");
  f.add("c.yaml", "extends: base.yaml\nprofiles: {a: {vars.d: 2}, b: {vars.p: 0}}\n");
  const Config c = f.load("c.yaml", {.profiles = {"a", "b"}});
  CHECK(at(c, "vars.d") == "2");
  CHECK(at(c, "train.max") == "1 steps");
  CHECK(at(c, "vars.p") == "0");
}

TEST_CASE("overrides: a selector in a path stands in quotes") {
  Files f;
  f.add("c.yaml", "nnm: 1\nmodel: ReLU()\n");
  f.add("d.yaml",
        "nnm: 1\nmodel: ReLU()\ntrain: {groups: {\"**.bias\": {weight_decay: 1, lr: 2}}}\n");
  const std::vector<std::string> set = {"train.groups.\"**.bias\".weight_decay=0"};
  CHECK(at(f.load("c.yaml", {.set = set}), "train.groups") ==
        "{\"**.bias\": {\"weight_decay\": 0}}");
  CHECK(at(f.load("d.yaml", {.set = set}), "train.groups") ==
        "{\"**.bias\": {\"weight_decay\": 0, \"lr\": 2}}");
  text_starts(f.errors("c.yaml", {.set = {"train.lr=1"}}),
              "E0214 --set:1:7 unknown path `train.lr` / it stands in the optimizer");
}

TEST_CASE("overrides: a path below what is written in short") {
  Files f;
  f.add("c.yaml",
        "nnm: 1\nmodel: ReLU()\ndata: {train: a.h5, val: b.h5, batch: 8}\n"
        "train: {checkpoint: every 3 steps}\n");
  const Config c = f.load("c.yaml", {.set = {"data.batch.train=4", "train.checkpoint.keep=5",
                                             "data.val.x=label", "data.limit.val=3"}});
  CHECK(at(c, "data.batch") == "{\"train\": 4, \"val\": 8}");
  CHECK(at(c, "train.checkpoint") == "{\"every\": \"every 3 steps\", \"keep\": 5}");
  CHECK(at(c, "data.val") == "{\"file\": \"b.h5\", \"x\": \"label\"}");
  CHECK(at(c, "data.limit") == "{\"val\": 3}");
}

TEST_CASE("overrides: a list of numbers and texts is set to numbers and texts") {
  Files f;
  f.add(
      "c.yaml",
      "nnm: 1\nvars: {cfg: [4, M], ws: [1, 2], m: {a: 1}, pairs: [[1, 2]]}\nmodel: Linear(2, 2)\n");
  const auto after = [&](const char* set, const char* path) {
    return at(f.load("c.yaml", {.set = {set}}), path);
  };
  CHECK(after("vars.cfg=8,M,16", "vars.cfg") == "[8, \"M\", 16]");
  CHECK(after("vars.cfg+=M", "vars.cfg") == "[4, \"M\", \"M\"]");
  CHECK(after("vars.cfg+=32", "vars.cfg") == "[4, \"M\", 32]");
  CHECK(after("vars.ws+=3", "vars.ws") == "[1, 2, 3]");
  // Several at once, as a list is appended to in Python; a list is one item of a list of lists.
  CHECK(after("vars.ws+=3,4", "vars.ws") == "[1, 2, 3, 4]");
  CHECK(after("vars.ws+=[3, 4]", "vars.ws") == "[1, 2, 3, 4]");
  CHECK(after("vars.cfg+=[8, M]", "vars.cfg") == "[4, \"M\", 8, \"M\"]");
  CHECK(after("vars.pairs+=[3, 4]", "vars.pairs") == "[[1, 2], [3, 4]]");
  text_starts(f.errors("c.yaml", {.set = {"vars.ws=3,M"}}), "E0214 --set:1:11 vars.ws is a number");
  text_starts(f.errors("c.yaml", {.set = {"vars.ws+=M"}}),
              "E0214 --set:1:10 an item of vars.ws is a number, not `M` / `+=` appends an item, or "
              "a list of them");
}

TEST_CASE("overrides: an argument of a class keeps its type and gets another default") {
  Files f;
  f.add("c.yaml",
        "nnm: 1\nvars: {d: 2, e: \"${vars.d * 2}\", t: \"a ${vars.d}\"}\n"
        "define:\n  M:\n    args: {d: int = 4, act: str = \"relu\", block: module = ReLU, n: int}\n"
        "    modules: {a: \"Linear(3, d)\"}\nmodel: M(n=1)\n");
  const auto arg = [&](const char* set, const std::string& name) {
    return at(f.load("c.yaml", {.set = {set}}), ("define.M.args." + name).c_str());
  };
  CHECK(arg("define.M.args.d=5", "d") == "int = 5");
  CHECK(arg("define.M.args.d=float = 0.5", "d") == "float = 0.5");
  CHECK(arg("define.M.args.d=int(1..)", "d") == "int(1..)");
  CHECK(arg("define.M.args.act=gelu", "act") == "str = \"gelu\"");
  CHECK(arg("define.M.args.block=GELU", "block") == "module = GELU");
  CHECK(arg("define.M.args.n=3", "n") == "int = 3");
  const auto errors = [&](const char* set) { return f.errors("c.yaml", {.set = {set}}); };
  text_starts(errors("define.N.args.d=3"), "E0214 --set:1:8 unknown path `define.N` / there is M");
  text_starts(errors("define.M.args.e=3"), "E0214 --set:1:15 unknown path `define.M.args.e`");
  text_starts(errors("define.M.args.d=)"), "E0201 --set:1:17");
  // The value of an expression decides, whether or not YAML needs quotes around it.
  CHECK(at(f.load("c.yaml", {.set = {"vars.e=7"}}), "vars.e") == "7");
  CHECK(f.load("c.yaml", {.set = {"vars.e=7"}}).vars().find("e")->is_number());
  CHECK_FALSE(f.load("c.yaml", {.set = {"vars.t=7"}}).vars().find("t")->is_number());
}

TEST_CASE("overrides: a piece of code is set as a whole") {
  Files f;
  f.add("c.yaml", kBase);
  text_starts(
      f.errors("c.yaml", {.set = {"train.optimizer.lr=3"}}),
      "E0214 --set:1:17 unknown path `train.optimizer.lr` / `train.optimizer` is one piece of "
      "code");
}

TEST_CASE("overrides: --unset takes a value away") {
  Files f;
  f.add("c.yaml", std::string(kBase) + "x: {a: [1, 2, 3]}\n");
  const auto with = [&](std::vector<std::string> set) {
    return f.load("c.yaml", {.set = std::move(set)});
  };
  CHECK(at(with({"~train.checkpoint"}), "train.checkpoint") == "absent");
  CHECK(at(with({"~data.transform[0]"}), "data.transform") == "[\"clamp(0, 1)\"]");
  CHECK(at(with({"~train.clip"}), "train.clip") == "absent");
  CHECK(at(with({"~eval.metrics"}), "eval") == "absent");
  CHECK(at(with({"~train.max", "train.max=3 steps"}), "train.max") == "3 steps");
  CHECK(at(with({"train.max=3 steps", "~train.max"}), "train.max") == "absent");
  const auto errors = [&](const char* set) { return f.errors("c.yaml", {.set = {set}}); };
  CHECK(errors("~train.clp") ==
        "E0214 --unset:1:7 unknown path `train.clp` / did you mean `train.clip`?\n");
  text_starts(errors("~vars.dd"),
              "E0214 --unset:1:6 unknown path `vars.dd` / did you mean `vars.d`?");
  text_starts(errors("~"), "E0214 --unset:1:1 a path is missing");
  text_starts(errors("~model"), "E0212 c.yaml:1:1 the config has no `model`");
  text_starts(errors("extends=b.yaml"),
              "E0214 --set:1:1 `extends:` is settled before this is read");
}

TEST_CASE("resolved: the whole in one text, with defaults, that reads back to the same") {
  Files f;
  f.add("lib/net.yaml", kLibrary);
  f.add("lib/more.yaml",
        "import: {n: net.yaml}\ndefine: {P: {args: {d: int}, modules: {l: n.Block(d)}}}\n");
  f.add("sub/base.yaml",
        std::string(kBase) +
            "import: {m: ../lib/more.yaml}\n"
            "hooks: [{on: forward, at: \"\", output: \"load('clean.h5', \\\"t\\\")\"}]\n");
  f.add("c.yaml",
        "extends: sub/base.yaml\nmodel: m.P(vars.d)\n"
        "profiles: {a: {vars.d: 2}}\nvars: {root: /data, name: c}\n"
        "data: {test: {file: t.h5, x: [a, b]}, v: \"${vars.root}/v.h5\", w: {x: "
        "\"${vars.name}.h5\"}}\n");
  const Config c = f.load("c.yaml", {.set = {"train.seed=3"}, .profiles = {"a"}});
  const std::string text = c.resolved();
  f.add("r.yaml", text);
  const Config r = f.load("r.yaml");
  CHECK(r.files().empty());
  CHECK(r.resolved() == text);
  CHECK(build_model(r, {}).module->repr() == build_model(c, {}).module->repr());
  CHECK(at(r, "vars.d") == "2");
  CHECK(at(r, "profiles") == "absent");
  CHECK(at(r, "train.seed") == "3");
  CHECK(at(r, "train.accumulate") == "1");
  CHECK(at(r, "train.log") == "every 50 steps");
  CHECK(at(r, "data.train") == "sub/a.h5");
  CHECK(at(r, "data.test") == "{\"file\": \"t.h5\", \"x\": [\"a\", \"b\"]}");
  CHECK(at(r, "data.v") == "${vars.root}/v.h5");
  CHECK(at(r, "data.w.x") == "${vars.name}.h5");
  CHECK(at(r, "hooks[0].output") == "load('sub/clean.h5', \"t\")");
  CHECK(r.resolve_path(*r.find("data.train")) == c.resolve_path(*c.find("data.train")));
  const Config away =
      Config::from_text(c.resolved(f.path("runs/1")), f.path("runs/1/resolved.yaml"));
  CHECK(at(away, "data.train") == "../../sub/a.h5");
}

TEST_CASE("resolved: files that are kept stand for those on the disk") {
  Files f;
  f.add("base.yaml", kBase).add("c.yaml", "extends: base.yaml\nvars: {d: 6}\n");
  const Config c = f.load("c.yaml");
  f.add("base.yaml", "nnm: 1\nmodel: ReLU()\n");
  CHECK(at(c.changed({.set = {"vars.p=1"}}), "model") == "Linear(vars.d, 2)");
  LoadOptions none;
  none.files.emplace();
  text_starts(f.errors("c.yaml", none),
              "E0101 c.yaml:1:10 base.yaml is not among the files that were kept");
}

TEST_CASE("describe: differences of two configs, both ways") {
  Files f;
  f.add("a.yaml", "nnm: 1\nmodel: ReLU()\nvars: {a: 1, b: 2, l: [1, 2]}\n");
  f.add("b.yaml", "nnm: 1\nmodel: ReLU()\nvars: {a: 1, b: 3, l: [1], c: {}}\n");
  const auto rows = compare(f.load("a.yaml").tree(), f.load("b.yaml").tree());
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].path == "vars.b");
  CHECK(rows[0].a.value == "2");
  CHECK(rows[0].b.value == "3");
  CHECK(f.short_path(rows[0].b.origin) == "b.yaml:3");
  CHECK(rows[1].path == "vars.l[1]");
  CHECK(rows[1].b.path == "");
  CHECK(rows[2].path == "vars.c");
  CHECK(rows[2].a.path == "");
  CHECK(rows[2].b.value == "{}");
}

TEST_CASE("hooks of a file given beside the config find what stands beside that file") {
  Files f;
  f.add("sub/h.yaml",
        "hooks: [{on: forward, at: \"\", output: 'load(path=\"c.h5\", dataset=\"d\")'}]\n");
  const auto set = hook_overrides(f.path("sub/h.yaml")).set;
  REQUIRE(set.size() == 1);
  const std::filesystem::path wanted =
      std::filesystem::path(f.path("sub/c.h5")).lexically_relative(std::filesystem::current_path());
  CHECK(set[0].find(wanted.string()) != std::string::npos);
}
