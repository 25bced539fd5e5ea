// Checkpoints: they come back whole, they look as PyTorch users expect, and no fault is silent.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <iostream>

#include "nnm/io/checkpoint.h"
#include "nnm/io/tree.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

static bool in_child = false;
/// Asked by the leak checker at exit, which waits for ever in a child of a program with threads.
extern "C" int __lsan_is_turned_off() { return in_child; }

namespace {

Checkpoint small() {
  Checkpoint c;
  c.nnm_version = "0.1.0";
  c.created_utc = "2026-01-01T00:00:00Z";
  c.run_id = "r1";
  c.global_step = 12;
  c.epoch = 3;
  c.config = "model: Linear(3, 2)\n";
  c.modules = {{"", "Net", "", 8, ""}, {"fc", "Linear", "", 8, ""}};
  c.state_dict = {{"fc.weight", numbered(DType::f32, {2, 3}), true, true, ""},
                  {"fc.bias", numbered(DType::f32, {2}), true, false, ""}};
  c.rng = {{"seed", 7}, {"offset", int64_t{1} << 40}};
  return c;
}

Checkpoint full() {
  Checkpoint c = small();
  c.kind = "training";
  c.git_commit = "abc";
  c.device = "cpu";
  c.torch_semantics = "2.13";
  c.parent_run_id = "r0";
  c.config_resolved = "model:\n  type: Linear\n";
  c.hooks = "[]";
  c.modules.push_back({"tied", "Linear", "", 8, "fc"});
  c.state_dict.push_back({"bn.num_batches_tracked", numbered(DType::i64, {}), false, false, ""});
  c.state_dict.push_back({"tied.weight", c.state_dict[0].tensor, true, true, "fc.weight"});
  c.state_dict.push_back({"mask", numbered(DType::b8, {4}), false, false, ""});
  c.state_dict.push_back({"half", numbered(DType::bf16, {2, 2}), true, true, ""});
  OptimizerState o;
  o.type = "AdamW";
  o.defaults = {
      {"lr", 1e-3}, {"betas", Value::tuple({0.9, 0.999})}, {"fused", Value()}, {"amsgrad", false}};
  o.param_groups = {{{{"lr", 1e-3}, {"weight_decay", 0.01}}, {"fc.weight"}},
                    {{{"lr", 1e-4}}, {"fc.bias"}}};
  o.state = {{"fc.weight", {{"step", 12}, {"exp_avg", numbered(DType::f32, {2, 3})}}},
             {"fc.bias", {{"step", numbered(DType::f32, {})}}}};
  c.optimizer = o;
  c.ema = {{"fc.weight", numbered(DType::f32, {2, 3})}};
  c.scheduler = {{"last_epoch", 5},
                 {"parts", Value::list({Value::dict({{"gamma", 0.1}}),
                                        Value::dict({{"milestones", Value::tuple({30, 60})}})})}};
  c.amp = {{"dtype", "bf16"}};
  c.data = {
      {"epoch", 3}, {"batch", 17}, {"order", numbered(DType::i64, {5})}, {"fingerprint", "f00"}};
  c.provenance = {{"argv", Value::list({"nnm", "train", "a.yaml"})}, {"threads", 4}};
  c.metrics = {{"step", std::vector<int64_t>{1, 2}},
               {"loss", std::vector<double>{0.5, NAN}},
               {"event", std::vector<std::string>{"step", "eval"}}};
  c.best = {{"val.acc", 0.75}};
  return c;
}

// Everything of a checkpoint as text, tensors by their bytes: equal texts are equal checkpoints.
void describe(std::string& out, const Value& v);
void describe(std::string& out, const Tensor& t) {
  out += std::string(info(t.dtype()).name) + t.shape().str();
  out.append(t.data<char>(), t.numel() * item_size(t.dtype()));
}
void describe(std::string& out, Items items) {
  std::sort(items.begin(), items.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [key, value] : items) {
    out += key + "=";
    describe(out, value);
    out += ";";
  }
}
void describe(std::string& out, const Value& v) {
  if (v.is(Value::Kind::tensor)) describe(out, v.as<Tensor>());
  else if (v.is(Value::Kind::dict)) describe(out, v.entries());
  else if (v.is_sequence())
    for (const Value& x : v.items()) describe(out, x);
  else out += v.repr();
}

std::string text_of(const Checkpoint& c) {
  std::string s = fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|", c.kind, c.nnm_version, c.git_commit,
                              c.created_utc, c.device, c.torch_semantics, c.run_id, c.parent_run_id,
                              c.global_step, c.epoch);
  s += c.config + "|" + c.config_resolved + "|" + c.hooks + "|";
  for (const ModuleRow& m : c.modules) {
    s += fmt::format("{},{},{},{},{};", m.name, m.type, m.parent, m.parameters, m.alias_of);
  }
  for (const StateEntry& e : c.state_dict) {
    s += fmt::format("{},{},{},{}:", e.name, e.parameter, e.requires_grad, e.alias_of);
    describe(s, e.tensor);
  }
  if (c.optimizer) {
    s += c.optimizer->type;
    describe(s, c.optimizer->defaults);
    for (const ParamGroup& g : c.optimizer->param_groups) {
      describe(s, g.options);
      for (const std::string& p : g.params) s += p + ",";
    }
    for (const auto& [name, state] : c.optimizer->state) {
      s += name;
      describe(s, state);
    }
  }
  for (const NamedTensor& t : c.ema) {
    s += t.name;
    describe(s, t.tensor);
  }
  for (const Items* items : {&c.scheduler, &c.amp, &c.rng, &c.data, &c.provenance, &c.best})
    describe(s, *items);
  for (const Column& m : c.metrics) {
    s += m.name;
    if (const auto* d = std::get_if<std::vector<double>>(&m.values))
      for (double x : *d) s += fmt::format("{},", x);
    if (const auto* i = std::get_if<std::vector<int64_t>>(&m.values))
      for (int64_t x : *i) s += fmt::format("{},", x);
    if (const auto* t = std::get_if<std::vector<std::string>>(&m.values))
      for (const auto& x : *t) s += x + ",";
  }
  return s;
}

}  // namespace

TEST_CASE("checkpoint: everything comes back") {
  TempDir dir;
  for (const Checkpoint& c : {small(), full(), Checkpoint()}) {
    const int64_t bytes = save_checkpoint(c, dir / "a.h5");
    CHECK(bytes == static_cast<int64_t>(std::filesystem::file_size(dir / "a.h5")));
    CHECK(text_of(load_checkpoint(dir / "a.h5")) == text_of(c));
    CHECK(dir.names() == std::vector<std::string>{"a.h5"});
    CHECK(verify(dir / "a.h5").ok());
  }
}

TEST_CASE("checkpoint: aliases share one dataset and one tensor") {
  TempDir dir;
  save_checkpoint(full(), dir / "a.h5");
  const H5Reader r(dir / "a.h5");
  CHECK(r.at("state_dict/tied.weight").address == r.at("state_dict/fc.weight").address);
  CHECK(r.texts(r.at("model/aliases/alias")) == std::vector<std::string>{"tied.weight"});
  CHECK(r.texts(r.at("model/aliases/canonical")) == std::vector<std::string>{"fc.weight"});
  const Checkpoint c = load_checkpoint(dir / "a.h5");
  CHECK(c.state_dict[3].tensor.is_same(c.state_dict[0].tensor));
}

TEST_CASE("checkpoint: the layout is the documented one") {
  TempDir dir;
  save_checkpoint(full(), dir / "a.h5");
  const H5Reader r(dir / "a.h5");
  const H5Node& root = r.root();
  CHECK(r.attribute(root, "format").string() == "nnm-checkpoint");
  CHECK(r.attribute(root, "complete").integer() == 1);
  CHECK(r.attribute(root, "global_step").integer() == 12);
  std::vector<std::string> keys;
  for (const H5Node& n : r.at("state_dict").children) {
    keys.push_back(n.name);
    CHECK_FALSE(n.group);
    CHECK_FALSE(n.chunked);
    CHECK(r.attribute(n, "dtype").string() == n.element.name);
    CHECK(r.attribute(n, "crc32c").is(Value::Kind::integer));
  }
  CHECK(keys == std::vector<std::string>{"fc.weight", "fc.bias", "bn.num_batches_tracked",
                                         "tied.weight", "mask", "half"});
  CHECK(r.at("state_dict/bn.num_batches_tracked").shape.empty());
  CHECK(r.attribute(r.at("state_dict/mask"), "kind").string() == "buffer");
  CHECK(r.attribute(r.at("state_dict/fc.bias"), "requires_grad").repr() == "False");
  for (const char* path :
       {"config", "config_resolved", "hooks", "model/modules/name", "optimizer/defaults",
        "optimizer/param_groups/1/params", "optimizer/state/fc.weight/exp_avg", "ema/fc.weight",
        "metrics/loss", "rng", "data/order", "manifest/path", "manifest/crc32c"}) {
    CHECK_MESSAGE(r.find(path) != nullptr, path);
  }
  CHECK(r.attribute(r.at("optimizer"), "type").string() == "AdamW");
  CHECK(r.at("manifest/crc32c").element.name == "u32");
}

TEST_CASE("checkpoint: the same contents give the same bytes") {
  TempDir dir;
  save_checkpoint(full(), dir / "a.h5");
  save_checkpoint(full(), dir / "b.h5");
  CHECK(slurp(dir / "a.h5") == slurp(dir / "b.h5"));
}

TEST_CASE("checkpoint: a flipped bit is found or harmless") {
  TempDir dir;
  save_checkpoint(small(), dir / "a.h5");
  const std::string want = text_of(load_checkpoint(dir / "a.h5"));
  std::string bytes = slurp(dir / "a.h5");
  LoadOptions no_probe;  // the checksums are on trial here
  no_probe.limits.probe = false;
  size_t found = 0, harmless = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 7) {
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    spill(dir / "b.h5", bytes);
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    try {
      const std::string got = text_of(load_checkpoint(dir / "b.h5", no_probe));
      REQUIRE_MESSAGE(got == want,
                      fmt::format("bit {} of byte {} is silently wrong", bit % 8, bit / 8));
      ++harmless;
    } catch (const Error& e) {
      REQUIRE(e.kind() == ErrorKind::input_file);
      REQUIRE(contains(e.what(), dir / "b.h5"));
      ++found;
    }
  }
  CHECK(found > harmless);
}

TEST_CASE("checkpoint: a flipped bit in a tensor is reported by name") {
  TempDir dir;
  Checkpoint c = full();
  REQUIRE(c.state_dict.back().name == "half");
  const std::string_view mark = "findable";
  mark.copy(c.state_dict.back().tensor.data<char>(), mark.size());
  save_checkpoint(c, dir / "a.h5");
  std::string bytes = slurp(dir / "a.h5");
  const size_t at = bytes.find(mark);
  REQUIRE(at != std::string::npos);
  bytes[at + 3] ^= 16;
  spill(dir / "a.h5", bytes);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { load_checkpoint(dir / "a.h5"); }),
                 "/state_dict/half: the data do not have their checksum"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { load_weights(dir / "a.h5"); }),
                 "/state_dict/half"));
  const VerifyReport report = verify(dir / "a.h5");
  CHECK_FALSE(report.ok());
  CHECK(report.format == "nnm-checkpoint");
  for (const VerifyLine& line : report.lines)
    CHECK((line.problem == "") == (line.dataset != "/state_dict/half"));
}

TEST_CASE("checkpoint: a file cut anywhere is an error") {
  TempDir dir;
  save_checkpoint(small(), dir / "a.h5");
  const std::string bytes = slurp(dir / "a.h5");
  for (size_t n = 0; n < bytes.size(); n += 131) {
    spill(dir / "b.h5", std::string_view(bytes).substr(0, n));
    CHECK_MESSAGE(error_of(ErrorKind::input_file, [&] { load_checkpoint(dir / "b.h5"); }) != "", n);
    if (n >= 8) CHECK_FALSE(verify(dir / "b.h5").ok());
  }
  CHECK(contains(error_of(ErrorKind::input_file, [&] { load_checkpoint(dir / "b.h5"); }),
                 "truncated"));
}

TEST_CASE("checkpoint: no damaged bit goes unnoticed, whether or not a value depends on it") {
  TempDir dir;
  save_checkpoint(small(), dir / "a.h5");
  const std::string bytes = slurp(dir / "a.h5");
  for (size_t n = 0; n < bytes.size(); n += 7) {
    std::string damaged = bytes;
    damaged[n] ^= static_cast<char>(1 << n % 8);
    spill(dir / "b.h5", damaged);
    bool sound = false;
    error_of(ErrorKind::input_file, [&] { sound = verify(dir / "b.h5", {.probe = false}).ok(); });
    CHECK_MESSAGE(!sound, "byte ", n);
  }
  spill(dir / "b.h5", bytes + '\0');
  CHECK_FALSE(verify(dir / "b.h5").ok());
  CHECK(error_of(ErrorKind::input_file, [&] { load_checkpoint(dir / "b.h5"); }) ==
        (dir / "b.h5") + ": /: the end of the file is not the one that nnm wrote");
}

TEST_CASE("checkpoint: unfinished, newer and foreign files are refused") {
  TempDir dir;
  const auto write = [&](int complete, int reader, const char* format) {
    std::filesystem::remove(dir / "a.h5");
    H5Writer w(dir / "a.h5");
    w.attribute("/", "format", format);
    w.attribute("/", "min_reader", reader);
    w.attribute("/", "complete", complete);
    w.attribute("/", "nnm_version", "9.9");
    w.write_manifest();
    w.close();
    return error_of(ErrorKind::input_file, [&] { load_checkpoint(dir / "a.h5"); });
  };
  CHECK(contains(write(0, 1, "nnm-checkpoint"), "was not finished"));
  CHECK_FALSE(verify(dir / "a.h5").ok());
  CHECK(contains(write(1, 2, "nnm-checkpoint"), "newer nnm (9.9)"));
  CHECK(contains(write(1, 1, "other"), "not a checkpoint of nnm"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { verify(dir / "a.h5"); }),
                 "neither a checkpoint nor a trace"));
  CHECK(
      contains(error_of(ErrorKind::input_file, [&] { verify(dir / "none.h5"); }), "No such file"));
  spill(dir / "text", "no HDF5");
  CHECK(error_of(ErrorKind::input_file, [&] { verify(dir / "text"); }) != "");
}

TEST_CASE("checkpoint: what cannot be saved leaves what was there") {
  TempDir dir;
  CHECK(contains(error_of(ErrorKind::output, [&] { save_checkpoint(small(), dir / "no/a.h5"); }),
                 "No such file"));
  save_checkpoint(small(), dir / "a.h5");
  const std::string before = slurp(dir / "a.h5");
  Checkpoint bad = full();
  bad.state_dict.push_back({"a/b", numbered(DType::f32, {1}), true, true, ""});
  CHECK(contains(error_of(ErrorKind::output, [&] { save_checkpoint(bad, dir / "a.h5"); }),
                 "'a/b' cannot be the name"));
  CHECK(slurp(dir / "a.h5") == before);
  CHECK(dir.names().size() == 1);
  std::filesystem::create_directory(dir / "folder");
  spill(dir / "folder/x", "x");
  CHECK(contains(error_of(ErrorKind::output, [&] { save_checkpoint(small(), dir / "folder"); }),
                 "cannot replace"));
  CHECK(dir.names().size() == 2);
}

TEST_CASE("checkpoint: a disk that fills up costs nothing") {
  TempDir dir;
  Checkpoint large = full();
  large.state_dict.push_back({"big", numbered(DType::f32, {1 << 16}), true, true, ""});
  save_checkpoint(small(), dir / "a.h5");
  const std::string before = slurp(dir / "a.h5");
  for (int limit : {1, 100, 3000, 9000, 20'000, 100'000, 250'000}) {
    std::cout.flush();
    const pid_t child = fork();
    if (child == 0) {
      in_child = true;
      signal(SIGXFSZ, SIG_IGN);
      const rlimit cap{static_cast<rlim_t>(limit), static_cast<rlim_t>(limit)};
      setrlimit(RLIMIT_FSIZE, &cap);
      const std::string problem =
          error_of(ErrorKind::output, [&] { save_checkpoint(large, dir / "a.h5"); });
      // The process must also be able to end as programs do, with HDF5's own clean-up.
      std::exit(contains(problem, "File too large") ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_MESSAGE((WIFEXITED(status) && WEXITSTATUS(status) == 0), limit);
    CHECK(slurp(dir / "a.h5") == before);
    CHECK(dir.names() == std::vector<std::string>{"a.h5"});
  }
}

TEST_CASE("checkpoint: weights from HDF5 files of others") {
  TempDir dir;
  {
    H5Writer w(dir / "root.h5");
    w.tensor("/fc.weight", numbered(DType::f64, {2, 2}));
    w.tensor("/fc.bias", numbered(DType::f16, {2}));
    w.close();
  }
  {
    H5Writer w(dir / "group.h5");
    w.tensor("/state_dict/a", numbered(DType::i64, {}));
    w.tensor("/optimizer/x", numbered(DType::i64, {}));
    w.close();
  }
  {
    H5Writer w(dir / "nested.h5");
    w.tensor("/layer/weight", numbered(DType::f32, {1}));
    w.close();
  }
  { H5Writer(dir / "empty.h5").close(); }
  save_checkpoint(full(), dir / "checkpoint.h5");
  const std::vector<NamedTensor> root = load_weights(dir / "root.h5");
  REQUIRE(root.size() == 2);
  CHECK(root[0].name == "fc.weight");
  CHECK(same_bits(root[0].tensor, numbered(DType::f64, {2, 2})));
  REQUIRE(load_weights(dir / "group.h5").size() == 1);
  CHECK(load_weights(dir / "group.h5")[0].name == "a");
  CHECK(load_weights(dir / "checkpoint.h5").size() == 6);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { load_weights(dir / "nested.h5"); }),
                 "/layer: a group where a tensor"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { load_weights(dir / "empty.h5"); }),
                 "holds no tensors"));
}

TEST_CASE("checkpoint: retention keeps what it must") {
  const std::vector<CheckpointFile> files = {{"/r/1.h5", 1, 0.9},
                                             {"/r/2.h5", 2, 0.2},
                                             {"/r/3.h5", 3, 0.5},
                                             {"/r/4.h5", 4, 0.6},
                                             {"/r/5.h5", 5, NAN}};
  using Names = std::vector<std::string>;
  using Keep = Retention::Keep;
  CHECK(to_delete(files, {Keep::newest, 2, false}) == Names{"/r/1.h5", "/r/3.h5"});
  CHECK(to_delete(files, {Keep::newest, 2, true}) == Names{"/r/2.h5", "/r/3.h5"});
  CHECK(to_delete(files, {Keep::newest, 0, false}, "/r/1.h5") == Names{"/r/3.h5", "/r/4.h5"});
  CHECK(to_delete(files, {Keep::best, 2, false}) == Names{"/r/1.h5", "/r/4.h5"});
  CHECK(to_delete(files, {Keep::best, 1, true}, "/r/../r/3.h5") == Names{"/r/2.h5", "/r/4.h5"});
  CHECK(to_delete(files, {Keep::all, 1, true}).empty());
  CHECK(to_delete({{"/r/1.h5", 1, {}}}, {Keep::newest, 0, false}).empty());
  CHECK(to_delete({}, {Keep::newest, 2, false}).empty());
}

TEST_CASE("checkpoint: retiring deletes files and what crashed runs left") {
  TempDir dir;
  for (const char* name : {"1.h5", "2.h5", "3.h5", "3.h5.99-0.part", "mine.part"})
    spill(dir / name, "x");
  const std::vector<CheckpointFile> files = {
      {dir / "1.h5", 1, {}}, {dir / "2.h5", 2, {}}, {dir / "3.h5", 3, {}}};
  const std::vector<std::string> gone =
      retire_checkpoints(dir.path(), files, {Retention::Keep::newest, 1, false});
  CHECK(gone.size() == 3);
  std::vector<std::string> left = dir.names();
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::string>{"3.h5", "mine.part"});
}
