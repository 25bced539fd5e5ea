// A config in a folder of its own, and runs of it.
#pragma once

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/temp.h"
#include "nnm/base/log.h"
#include "nnm/run/proof.h"
#include "nnm/run/train.h"

namespace nnm::run::testing {

using io::testing::contains;
using io::testing::slurp;
using io::testing::spill;
using io::testing::TempDir;

/// Calls a function after each step of a run.
class AfterStep : public train::Watcher {
 public:
  explicit AfterStep(std::function<bool(int64_t)> f) : f_(std::move(f)) {}
  void step_done(const At& at, double) override { stopped_ = !f_(at.step + 1); }
  std::optional<Stop> stop() const override {
    return stopped_ ? std::optional(Stop{}) : std::nullopt;
  }

 private:
  std::function<bool(int64_t)> f_;
  bool stopped_ = false;
};

class Project {
 public:
  explicit Project(const std::string& config) {
    set_log_level(LogLevel::quiet);
    spill(file("c.yaml"), config);
  }
  ~Project() { set_log_level(LogLevel::normal); }

  std::string file(const std::string& name) const { return dir_ / name; }
  /// Options of a run in the folder `run` of the project.
  TrainOptions options(const std::string& run, const std::vector<std::string>& set = {}) const {
    TrainOptions o;
    o.source = open_source(file("c.yaml"), {set});
    o.run = file(run);
    o.progress = ProgressStyle::none;
    return o;
  }
  TrainResult train(const std::string& run, const std::vector<std::string>& set = {}) const {
    return run::train(options(run, set));
  }
  /// A run that gets a signal in a step.
  TrainResult train_until(const std::string& run, int64_t step, int signal,
                          const std::vector<std::string>& set = {}) const {
    return run::train(interrupted(options(run, set), step, signal));
  }
  TrainResult resume(const std::string& run, const std::vector<std::string>& set = {}) const {
    TrainOptions o = options(run, set);
    o.resume = true;
    return run::train(o);
  }
  static TrainOptions interrupted(TrainOptions o, int64_t step, int signal) {
    o.attach = [step, signal](Session&, const std::string&) {
      TrainOptions::Attached a;
      a.watchers.push_back(std::make_unique<AfterStep>([step, signal](int64_t done) {
        if (done == step) std::raise(signal);
        return true;
      }));
      return a;
    };
    return o;
  }

  std::string text(const std::string& run, const std::string& name) const {
    return slurp(file(run) + "/" + name);
  }
  io::Checkpoint last(const std::string& run) const {
    return io::load_checkpoint(file(run) + "/checkpoints/last.h5");
  }

 private:
  TempDir dir_;
};

inline std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    out.push_back(text.substr(begin, end - begin));
  }
  return out;
}

/// The lines of events.jsonl of one kind.
inline std::vector<std::string> events(const std::string& log, const std::string& kind) {
  std::vector<std::string> out;
  for (const std::string& line : lines(log))
    if (line.starts_with("{\"event\": \"" + kind + "\"")) out.push_back(line);
  return out;
}

/// What a key of a line of JSON stands before, up to the comma.
inline std::string value_of(const std::string& line, const std::string& key) {
  const size_t at = line.find("\"" + key + "\": ");
  if (at == std::string::npos) return {};
  const size_t begin = at + key.size() + 4;
  return line.substr(begin, line.find_first_of(",}", begin) - begin);
}

/// The errors of what throws them, as a compiler shows them; "" where it throws none.
template <class F>
std::string diagnosed(F&& f) {
  try {
    f();
  } catch (const DiagnosticError& e) {
    return e.diagnostics.render();
  } catch (const Error& e) {
    return std::string(e.what()) + "\n" + e.hint();
  }
  return {};
}

}  // namespace nnm::run::testing
