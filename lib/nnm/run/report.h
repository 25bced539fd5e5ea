// Sinks of a run's events: events.jsonl, metrics.csv, status.json, `--events`.
#pragma once

#include <string>

#include "nnm/train/events.h"
#include "nnm/train/history.h"
#include "nnm/train/plan.h"

namespace nnm::run {

/// A file or descriptor that is written whole lines at a time.
class LineFile {
 public:
  /// Truncates a file unless `append`; `fd:N` is a descriptor that is already open. Throws
  /// Error(output).
  explicit LineFile(const std::string& target, bool append);
  /// Throws as that would, and leaves the file as it is.
  static void check(const std::string& target);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;
  /// Throws Error(output).
  void write(std::string_view text);
  /// Ends a file of its own; nothing may be written afterwards. Throws Error(output) where the last
  /// lines have not reached it.
  void close();

 private:
  std::string target_;
  int fd_;
  bool owned_ = true;
};

/// One JSON object a line, each written when it happens.
class EventLog : public train::Events {
 public:
  explicit EventLog(const std::string& target, bool append = false) : file_(target, append) {}
  void step(const train::StepEvent& e) override;
  void epoch(const train::Moment& m) override;
  void eval(const train::EvalEvent& e) override;
  void checkpoint(const train::CheckpointEvent& e) override;
  void other(const std::string& kind, const train::Moment& m, const Items& fields) override;
  void end(const train::EndEvent& e) override;
  void close() { file_.close(); }

  /// Cuts a log back to what was said up to a step: later events, ends, a broken last line, and
  /// steps and evaluations of which the history has no row go. Returns the time of what is then the
  /// last event; 0 where there is none.
  static double cut(const std::string& path, int64_t step, const train::History& history);

 private:
  LineFile file_;
};

/// The rows of a History as they come, after those that a resumed run brings.
class MetricsFile : public train::Events {
 public:
  /// Writes the file anew. The history outlives this.
  MetricsFile(const std::string& path, const train::History& history);
  void step(const train::StepEvent& e) override;
  void eval(const train::EvalEvent& e) override;
  void close() { file_.close(); }

 private:
  const train::History& history_;
  LineFile file_;
};

/// What a run does right now, in one small file that is replaced at most once a second.
class StatusFile : public train::Events {
 public:
  /// `target`: the metric that is called best.
  StatusFile(std::string path, train::Goal goal, train::Target target);
  /// `loss` and `best`: of what was done before, if anything was.
  void start(const train::Moment& m, std::optional<double> loss, std::optional<double> best);
  void eval(const train::EvalEvent& e) override;
  void tick(const train::Moment& m, double loss) override;
  void step(const train::StepEvent& e) override { loss_ = e.loss; }
  void end(const train::EndEvent& e) override;

 private:
  void write(const std::string& state, const train::Moment& m, const train::EndEvent* end);

  std::string path_;
  train::Goal goal_;
  train::Moment start_;  // of this process
  train::Target target_;
  std::optional<double> loss_, best_;
  double written_ = 0;  // when
};

}  // namespace nnm::run
