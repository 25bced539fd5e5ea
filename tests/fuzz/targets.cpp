// The readers, and what each may answer.
#include "fuzz/targets.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "nnm/data/file.h"
#include "nnm/data/text.h"
#include "nnm/io/safetensors.h"
#include "nnm/io/trace_file.h"
#include "nnm/lang/expression.h"
#include "nnm/ops/ops.h"
#include "nnm/run/check.h"

namespace nnm::fuzz {

namespace {

/// A file that holds some bytes.
class Scratch {
 public:
  explicit Scratch(std::string_view bytes)
      : path_((std::filesystem::temp_directory_path() / "nnm-fuzz-XXXXXX").string()) {
    const int fd = ::mkstemp(path_.data());
    const bool written =
        fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (fd >= 0) ::close(fd);
    NNM_CHECK(written, internal, "{} cannot be written", path_);
  }
  ~Scratch() { ::unlink(path_.c_str()); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs f; an error of one of these kinds is an answer, whatever else it throws is a find.
template <class F>
void answered(std::initializer_list<ErrorKind> kinds, const F& f) {
  try {
    f();
  } catch (const Error& e) {
    if (std::find(kinds.begin(), kinds.end(), e.kind()) == kinds.end()) throw;
    if (const auto* d = dynamic_cast<const DiagnosticError*>(&e)) (void)d->diagnostics.render();
  }
}

/// f gets the path of a file with the bytes, of which only Error(input_file) may be said.
template <class F>
void read_as_file(std::string_view bytes, const F& f) {
  const Scratch scratch(bytes);
  answered({ErrorKind::input_file}, [&] { f(scratch.path()); });
}

constexpr auto kConfigErrors = {ErrorKind::config, ErrorKind::input_file};

void config(std::string_view bytes) {
  answered(kConfigErrors, [&] {
    const auto c = lang::Config::from_text(std::string(bytes), "fuzz.yaml");
    (void)lang::Config::from_text(c.resolved(), "resolved.yaml");
    (void)run::check(c).diagnostics.render();
  });
}

constexpr const char* kConfig = R"(nnm: 1
vars: {widths: [8, 4], p: 0.1, name: "net"}
model:
  Sequential:
    - Linear(6, vars.widths[0])
    - ReLU()
    - Linear(vars.widths[0], 3)
inputs: {x: "f32[B, 6]"}
data:
  train: {random: {x: "f32[90, 6]", y: "i64[90] < 3"}}
  batch: 8
train:
  max: 2 epochs
  loss: cross_entropy(out, y)
  optimizer: Adam(lr=1e-2)
  groups: {"**.bias": {weight_decay: 0}}
hooks:
  - {name: watch, on: forward, at: "*", output: output * 2}
)";

/// A line each.
void overrides(std::string_view bytes) {
  std::vector<std::string> set;
  for (size_t begin = 0, end = 0; begin < bytes.size() && set.size() < 8; begin = end + 1) {
    end = std::min(bytes.find('\n', begin), bytes.size());
    set.emplace_back(bytes.substr(begin, end - begin));
  }
  answered(kConfigErrors, [&] {
    const auto c = lang::Config::from_text(kConfig, "base.yaml", {set});
    (void)c.resolved();
    (void)run::check(c).diagnostics.render();
  });
}

void expression(std::string_view bytes) {
  static const std::vector<std::string> names = {"x", "y", "out", "n", "vars"};
  static const Values values = {reshape(arange(6.0), {2, 3}), tensor({0, 2}), ones({2, 3}), 3,
                                Value::dict({{"a", 1}, {"b", Value::list({1.5, "s"})}})};
  answered(kConfigErrors, [&] {
    (void)lang::Expression::compile(std::string(bytes), "--assert", names).run(values);
  });
}

/// Any format: the corpora differ.
void data_file(std::string_view bytes) {
  read_as_file(bytes, [](const std::string& path) {
    const Ref<data::DataFile> file = data::DataFile::open(path);
    for (const data::ArrayInfo& a : file->arrays()) {
      (void)file->peek(a.name);
      (void)file->read(a.name);
    }
  });
}

void text(std::string_view bytes) {
  answered({ErrorKind::input_file}, [&] {
    const data::Tokenizer tokenizer("char", bytes, "fuzz.txt");
    (void)tokenizer.encode(bytes, "fuzz.txt");
  });
}

/// Merges, a zero byte, and a text.
void bpe(std::string_view bytes) {
  const size_t zero = std::min(bytes.find('\0'), bytes.size());
  answered({ErrorKind::input_file}, [&] {
    const data::Bpe bpe(bytes.substr(0, zero), "merges.txt");
    (void)bpe.encode(bytes.substr(std::min(zero + 1, bytes.size())));
  });
}

void checkpoint(std::string_view bytes) {
  read_as_file(bytes, [](const std::string& path) { (void)io::verify(path); });
  read_as_file(bytes, [](const std::string& path) { (void)io::load_checkpoint(path); });
  read_as_file(bytes, [](const std::string& path) { (void)io::load_weights(path); });
}

void trace(std::string_view bytes) {
  read_as_file(bytes, [](const std::string& path) { (void)io::verify(path); });
  read_as_file(bytes, [](const std::string& path) {
    const io::TraceReader t(path, true);
    (void)t.modules();
    (void)t.steps();
    (void)t.sites();
    (void)t.stats();
    (void)t.values();
    (void)t.histograms();
    (void)t.calls();
    for (const io::TraceRecords& r : t.records())
      for (const std::string& arg : r.args)
        for (size_t i = 0; i < r.step.size(); ++i) (void)t.tensor(r, arg, static_cast<int64_t>(i));
  });
}

void safetensors(std::string_view bytes) {
  read_as_file(bytes, [](const std::string& path) { (void)io::read_safetensors(path); });
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> table = {{"config", config},
                                            {"overrides", overrides},
                                            {"expression", expression},
                                            {"idx", data_file},
                                            {"csv", data_file},
                                            {"npy", data_file},
                                            {"npz", data_file},
                                            {"hdf5", data_file},
                                            {"picture", data_file},
                                            {"text", text},
                                            {"bpe", bpe},
                                            {"checkpoint", checkpoint},
                                            {"trace", trace},
                                            {"safetensors", safetensors}};
  return table;
}

const Target* find_target(std::string_view name) {
  for (const Target& t : targets())
    if (name == t.name) return &t;
  return nullptr;
}

}  // namespace nnm::fuzz
