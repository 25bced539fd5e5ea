// Captures of a config, side by side in one file.
#include "nnm/trace/captures.h"

#include <algorithm>
#include <numeric>

#include "nnm/trace/sinks.h"
#include "nnm/trace/targets.h"

namespace nnm::tracing {
namespace {

std::string key_of(const std::string& a, const std::string& b, const std::string& c, int64_t call) {
  return fmt::format("{}\n{}\n{}\n{}", a, b, c, call);
}

}  // namespace

template <class... A>
bool Captures::first(const A&... key) {
  // One recorder tells nothing twice.
  if (parts_.size() < 2) return true;
  return told_.insert((fmt::format("{}\n", key) + ...)).second;
}

/// A recorder, and the sink that it tells.
class Captures::Part final : public Sink {
 public:
  /// Without `when` it is of a command line: in every step.
  Part(Captures& all, Module& root, const CaptureOptions& options, std::optional<When> when)
      : options(options), when(when), all(all), recorder(root, options, *this, &all.statistics_) {}

  bool due(int64_t step, bool training, bool outside) const {
    if (!when) return true;
    if (outside && when->training != false) return false;
    return when->holds(step, training);
  }

  /// Whether it records some arguments alone, which a call may not have.
  bool picks() const { return options.arg != "all"; }

  int64_t site(const io::TraceSite& s) override { return all.site(s); }
  void stats(int64_t site, std::span<const double> values,
             std::span<const uint32_t> histogram) override {
    fired += picks();
    all.writer_->stats(site, values, histogram, columns);
  }
  void tensors(const std::string& module, const std::string& what, int64_t call,
               std::span<const io::TraceArg> args) override {
    fired += picks();
    std::string names;
    for (const io::TraceArg& a : args) names += a.name + "\n";
    if (all.first("tensors", module, what, call, names))
      all.writer_->record(module, what, call, args);
  }
  void call(HookKind kind, const std::string& module, int64_t call,
            const std::string& tensor) override {
    fired += !picks();
    if (all.first("call", module, name_of(kind), call, tensor))
      all.writer_->call(name_of(kind), module, call);
  }
  void timing(HookKind kind, const std::string& module, int64_t call, int64_t start_ns,
              int64_t ns) override {
    if (all.first("timing", module, name_of(kind), call))
      all.writer_->timing(name_of(kind), module, call, start_ns, ns);
  }
  void flops(const std::string& module, int64_t flops) override {
    if (all.flops_.insert(module).second) all.writer_->flops(module, flops);
  }

  CaptureOptions options;
  std::optional<When> when;
  // Of the file, for each of its statistics, where these are not the file's own, in their order.
  std::optional<std::vector<size_t>> columns;
  int64_t fired = 0;
  bool recording = false;
  Captures& all;
  Recorder recorder;
};

Captures::Captures(Module& root) : root_(root) {}
Captures::~Captures() = default;

void Captures::add(const CaptureHook& hook, Diagnostics& d) {
  try {
    parts_.push_back(std::make_unique<Part>(*this, root_, hook.capture, hook.when));
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) throw;
    report_hook(d, kUnmatchedHook, hook, e);
  }
}

void Captures::add(const CaptureOptions& options) {
  parts_.push_back(std::make_unique<Part>(*this, root_, options, std::nullopt));
}

bool Captures::needs_backward() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const auto& p) { return p->options.needs_backward(); });
}

void Captures::describe(io::TraceHeader& header) const {
  CaptureOptions all;
  all.reduce.clear();
  for (const auto& p : parts_)
    for (const std::string& s : p->options.reduce)
      if (std::find(all.reduce.begin(), all.reduce.end(), s) == all.reduce.end())
        all.reduce.push_back(s);
  tracing::describe(all, root_, header);
}

void Captures::record_into(io::TraceWriter& writer, const io::TraceHeader& header, bool steps) {
  writer_ = &writer;
  steps_ = steps;
  for (const io::TraceSite& s : writer.sites())
    sites_.emplace(key_of(s.module, s.what, s.arg, s.call), static_cast<int64_t>(sites_.size()));
  for (const auto& p : parts_) {
    std::vector<size_t> columns;
    for (const std::string& s : p->options.statistics()) {
      const auto at = std::find_if(header.stats.begin(), header.stats.end(),
                                   [&](const io::TraceStat& stat) { return stat.name == s; });
      columns.push_back(static_cast<size_t>(at - header.stats.begin()));
    }
    p->columns.reset();
    std::vector<size_t> all(header.stats.size());
    std::iota(all.begin(), all.end(), size_t{0});
    if (columns != all) p->columns = std::move(columns);
  }
}

bool Captures::due(int64_t step, bool training, bool outside) const {
  return writer_ && std::any_of(parts_.begin(), parts_.end(),
                                [&](const auto& p) { return p->due(step, training, outside); });
}

void Captures::begin(const io::TraceStep& step, bool outside) {
  const bool training = step.mode == "train";
  if (!due(step.step, training, outside)) return;
  // A step that is begun again, since it could not be recorded on a GPU, is still one.
  const bool again = abandon() && newest_.step == step.step && newest_.micro == step.micro;
  settle();
  if (!steps_ && !again) writer_->begin_step(step);
  newest_ = step;
  told_.clear();
  statistics_.begin();
  for (const auto& p : parts_) {
    if (!p->due(step.step, training, outside)) continue;
    p->recorder.begin_step();
    p->recording = true;
  }
}

// In reverse: each counts the operations of those within.
void Captures::end() {
  bool any = false;
  for (auto p = parts_.rbegin(); p != parts_.rend(); ++p) {
    if (!std::exchange((*p)->recording, false)) continue;
    (*p)->recorder.end_step();
    any = true;
  }
  if (any) statistics_.send();
  if (!late_) settle();
}

void Captures::settle() {
  for (const auto& p : parts_) p->recorder.settle();
}

void Captures::stop() {
  settle();
  writer_ = nullptr;
}

bool Captures::abandon() {
  bool any = false;
  for (auto p = parts_.rbegin(); p != parts_.rend(); ++p) {
    if (!std::exchange((*p)->recording, false)) continue;
    (*p)->recorder.abandon_step();
    any = true;
  }
  return any;
}

std::optional<std::vector<bool>> Captures::repeats(int64_t step, bool training) const {
  std::vector<bool> out;
  for (const auto& p : parts_) {
    out.push_back(writer_ && p->due(step, training, false));
    if (out.back() && p->options.tensor.keep != TensorMode::Keep::none) return std::nullopt;
  }
  return out;
}

Captures::Script Captures::script() {
  statistics_.launch();
  Script all;
  for (const auto& p : parts_)
    all.parts.push_back(p->recording ? p->recorder.script() : Recorder::Script());
  all.asked = statistics_.asked();
  return all;
}

void Captures::repeat(const Script& script) {
  statistics_.begin(script.asked);
  for (size_t i = 0; i < parts_.size(); ++i)
    if (parts_[i]->recording) parts_[i]->recorder.repeat(script.parts[i]);
}

void Captures::ids(std::vector<uint64_t>& out) const {
  for (const auto& p : parts_) p->recorder.ids(out);
}

bool Captures::any_fired() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const auto& p) { return p->fired > 0; });
}

std::vector<int64_t> Captures::fired() const {
  std::vector<int64_t> out;
  for (const auto& p : parts_) out.push_back(p->fired);
  return out;
}

int64_t Captures::site(const io::TraceSite& s) {
  const auto [at, fresh] =
      sites_.emplace(key_of(s.module, s.what, s.arg, s.call), static_cast<int64_t>(sites_.size()));
  if (!fresh) return at->second;
  writer_->add_site(s);
  return at->second;
}

}  // namespace nnm::tracing
