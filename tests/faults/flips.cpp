// nnm_flips FILE [STEP [FIRST]]: flips every bit of a checkpoint or trace (every STEPth, from FIRST
// on), one at a time. Verifying finds each, and reading gives what was there before, or an error;
// prints the bits for which it is not so, and ends with 1 where there is one.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "nnm/base/file.h"
#include "nnm/base/log.h"
#include "nnm/io/trace_file.h"
#include "nnm/ops/ops.h"

using namespace nnm;

namespace {

constexpr unsigned kPatience = 20;  // seconds that one flip may take

/// Everything that a reader gives of a file, as one text.
class Dump {
 public:
  std::string take() { return std::move(text_); }

  void text(std::string_view s) { text_ += fmt::format("{}:{};", s.size(), s); }
  void number(int64_t n) { text_ += fmt::format("{};", n); }
  void real(double d) { bytes(&d, sizeof d); }
  void bytes(const void* data, size_t n) { text({static_cast<const char*>(data), n}); }
  void tensor(const Tensor& t) {
    if (!t.defined()) return text("none");
    text(info(t.dtype()).name);
    text(t.shape().str());
    const Tensor dense = contiguous(t);
    bytes(dense.data(), static_cast<size_t>(t.numel()) * item_size(t.dtype()));
  }
  void value(const Value& v) {
    number(static_cast<int64_t>(v.kind()));
    if (v.is(Value::Kind::tensor)) tensor(v.as<Tensor>());
    else if (v.is(Value::Kind::dict)) items(v.entries());
    else if (v.is_sequence())
      for (const Value& e : v.items()) value(e);
    else if (v.is(Value::Kind::real)) real(v.real());
    else text(v.str());
  }
  void items(const Items& all) {
    for (const auto& [name, v] : all) {
      text(name);
      value(v);
    }
  }
  void module(const io::ModuleRow& m) {
    for (const std::string* s : {&m.name, &m.type, &m.parent, &m.alias_of}) text(*s);
    number(m.parameters);
  }

 private:
  std::string text_;
};

std::string checkpoint(const std::string& path, const io::H5Limits& limits) {
  const io::Checkpoint c = io::load_checkpoint(path, {.limits = limits});
  Dump d;
  for (const std::string* s :
       {&c.kind, &c.nnm_version, &c.git_commit, &c.created_utc, &c.device, &c.torch_semantics,
        &c.run_id, &c.parent_run_id, &c.config, &c.config_resolved, &c.hooks})
    d.text(*s);
  d.number(c.global_step);
  d.number(c.epoch);
  for (const io::ModuleRow& m : c.modules) d.module(m);
  for (const io::StateEntry& e : c.state_dict) {
    d.text(e.name + "/" + e.alias_of);
    d.number(e.parameter);
    d.number(e.requires_grad);
    d.tensor(e.tensor);
  }
  if (c.optimizer) {
    d.text(c.optimizer->type);
    d.items(c.optimizer->defaults);
    for (const io::ParamGroup& g : c.optimizer->param_groups) {
      d.items(g.options);
      for (const std::string& p : g.params) d.text(p);
    }
    for (const auto& [name, state] : c.optimizer->state) {
      d.text(name);
      d.items(state);
    }
  }
  for (const io::NamedTensor& t : c.ema) {
    d.text(t.name);
    d.tensor(t.tensor);
  }
  for (const Items* i : {&c.scheduler, &c.amp, &c.rng, &c.data, &c.provenance, &c.best})
    d.items(*i);
  for (const io::Column& column : c.metrics) {
    d.text(column.name);
    if (const auto* reals = std::get_if<std::vector<double>>(&column.values))
      for (const double v : *reals) d.real(v);
    if (const auto* numbers = std::get_if<std::vector<int64_t>>(&column.values))
      for (const int64_t v : *numbers) d.number(v);
    if (const auto* texts = std::get_if<std::vector<std::string>>(&column.values))
      for (const std::string& v : *texts) d.text(v);
  }
  return d.take();
}

std::string trace(const std::string& path, const io::H5Limits& limits) {
  const io::TraceReader t(path, false, limits);
  Dump d;
  d.text(t.config());
  d.text(t.hooks());
  for (const io::ModuleRow& m : t.modules()) d.module(m);
  for (const io::TraceStep& s : t.steps()) {
    for (const int64_t n : {s.step, s.epoch, s.micro, s.wall_ns}) d.number(n);
    d.text(s.mode);
  }
  for (const io::TraceSite& s : t.sites()) {
    for (const std::string* n : {&s.module, &s.what, &s.arg, &s.hook}) d.text(*n);
    d.number(s.call);
    d.number(static_cast<int64_t>(s.dtype));
    for (const int64_t n : s.shape) d.number(n);
  }
  for (const io::TraceStat& s : t.stats()) d.text(s.name + "/" + s.unit);
  for (const double e : t.bin_edges()) d.real(e);
  d.tensor(t.values());
  d.tensor(t.histograms());
  for (const io::TraceRecords& r : t.records())
    for (const std::string& arg : r.args)
      for (size_t i = 0; i < r.step.size(); ++i) {
        d.number(r.step[i]);
        d.number(r.call[i]);
        d.text(r.module + "/" + r.what + "/" + arg);
        d.tensor(t.tensor(r, arg, static_cast<int64_t>(i)));
      }
  for (const io::TraceReader::Call& c : t.calls()) {
    for (const int64_t n : {c.seq, c.step, c.call}) d.number(n);
    d.text(c.hook + "/" + c.module);
  }
  return d.take();
}

/// A copy of the file, to be damaged.
class Original {
 public:
  explicit Original(const std::string& path)
      : bytes_(read_file(path, size_t{1} << 30)),
        name_((std::filesystem::temp_directory_path() / "nnm-flips-XXXXXX").string()),
        fd_(::mkstemp(name_.data())) {
    NNM_CHECK(fd_ >= 0, output, "cannot write {}", name_);
    restore();
    read_ = io::verify(name_).format == "nnm-trace" ? trace : checkpoint;
    truth_ = read_(name_, {});
  }
  ~Original() { ::unlink(name_.c_str()); }
  Original(const Original&) = delete;
  Original& operator=(const Original&) = delete;
  size_t bits() const { return bytes_.size() * 8; }
  /// Undoes what a worker that died had done.
  void restore() const {
    if (::pwrite(fd_, bytes_.data(), bytes_.size(), 0) != static_cast<ssize_t>(bytes_.size()))
      std::abort();
  }

  enum class Found : uint8_t { error, unnoticed, wrong };
  /// What becomes of the file with one bit turned.
  Found with(size_t bit, bool probe) const {
    flip(bit);
    io::H5Limits limits;
    limits.probe = probe;
    bool sound = false, same = false, read = false;
    try {
      sound = io::verify(name_, limits).ok();
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::input_file) throw;
    }
    try {
      same = read_(name_, limits) == truth_;
      read = true;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::input_file) throw;
    }
    flip(bit);
    if (read && !same) return Found::wrong;
    return sound ? Found::unnoticed : Found::error;
  }

 private:
  void flip(size_t bit) const {
    char c = 0;
    const auto at = static_cast<off_t>(bit / 8);
    if (::pread(fd_, &c, 1, at) != 1) std::abort();
    c = static_cast<char>(c ^ 1 << bit % 8);
    if (::pwrite(fd_, &c, 1, at) != 1) std::abort();
  }

  std::string bytes_, name_;
  int fd_;
  std::string (*read_)(const std::string&, const io::H5Limits&);
  std::string truth_;
};

/// What a worker tells of its work, and where it is.
struct Progress {
  size_t bit, errors, unnoticed, wrong;
};

void say(const char* what, size_t bit) {
  std::printf("%s: bit %zu of byte %zu\n", what, bit % 8, bit / 8);
  std::fflush(stdout);
}

// Libhdf5 may crash on what it reads: the program looks at files in a process of its own first,
// which costs most of the time, and is asked here only where this worker dies.
void work(const Original& original, Progress& p, size_t step, size_t end, bool probe) {
  for (; p.bit < end; p.bit += step) {
    ::alarm(kPatience);
    switch (original.with(p.bit, probe)) {
      case Original::Found::error: ++p.errors; break;
      case Original::Found::unnoticed:
        ++p.unnoticed;
        say("unnoticed", p.bit);
        break;
      case Original::Found::wrong:
        ++p.wrong;
        say("WRONG", p.bit);
        break;
    }
  }
}

/// In a child; false where it died.
bool survived(const Original& original, Progress& p, size_t step, size_t end, bool probe) {
  original.restore();
  const pid_t child = ::fork();
  if (child == 0) {
    work(original, p, step, end, probe);
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: nnm_flips FILE [STEP [FIRST]]\n", stderr), 2;
  set_log_level(LogLevel::quiet);
  const Original original(argv[1]);
  const size_t step = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  auto* p = static_cast<Progress*>(
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  p->bit = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0;
  size_t probed = 0;
  while (!survived(original, *p, step, original.bits(), false)) {
    ++probed;
    const size_t bit = p->bit;
    if (!survived(original, *p, step, bit + 1, true)) {
      ++p->wrong;
      say("CRASH", bit);
      p->bit = bit + step;
    }
  }
  std::printf(
      "%zu flips of %s: %zu errors (%zu of them where libhdf5 crashes), %zu unnoticed, %zu wrong\n",
      p->errors + p->unnoticed + p->wrong, argv[1], p->errors, probed, p->unnoticed, p->wrong);
  return p->wrong + p->unnoticed > 0 ? 1 : 0;
}
