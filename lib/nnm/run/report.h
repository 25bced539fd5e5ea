// Sinks of a run's events: events.jsonl, metrics.csv, status.json, `--events`.
#pragma once

#include <string>
#include <vector>

#include "nnm/train/events.h"
#include "nnm/train/history.h"

namespace nnm::run {

/// One JSON object a line, each written whole and at once.
class EventLog : public train::Events {
 public:
  /// A file that is appended to, or `fd:N`. Throws Error(output).
  explicit EventLog(const std::string& target);
  ~EventLog() override;
  void step(const train::StepEvent& e) override;
  void epoch(const train::Moment& m) override;
  void eval(const train::EvalEvent& e) override;
  void checkpoint(const train::CheckpointEvent& e) override;
  void other(const std::string& kind, const train::Moment& m, const Items& fields) override;
  void end(const train::EndEvent& e) override;

  /// Cuts a log back to what was said up to a step: later events, ends and a broken last line go.
  static void cut(const std::string& path, int64_t step);

 private:
  void write(const std::string& line);
  std::string target_;
  int fd_ = -1;
  bool owned_ = false;
};

/// The rows of a History as they come; starts with those that a resumed run brings.
class MetricsFile : public train::Events {
 public:
  MetricsFile(std::string path, const train::History& history);
  ~MetricsFile() override;
  void step(const train::StepEvent& e) override;
  void eval(const train::EvalEvent& e) override;

 private:
  void append(const std::string& text);
  std::string path_;
  const train::History& history_;
  int fd_ = -1;
};

/// What a run does right now, in one small file that is replaced at most once a second.
class StatusFile : public train::Events {
 public:
  StatusFile(std::string path, int64_t total_steps);
  void eval(const train::EvalEvent& e) override;
  void checkpoint(const train::CheckpointEvent& e) override;
  void tick(const train::Moment& m, double loss) override;
  void end(const train::EndEvent& e) override;

 private:
  void write(const std::string& state, const train::Moment& m, const train::EndEvent* end);
  std::string path_, best_;
  int64_t total_steps_;
  double loss_ = 0, written_ = -1, began_ = 0;
  int64_t first_step_ = -1;
};

}  // namespace nnm::run
