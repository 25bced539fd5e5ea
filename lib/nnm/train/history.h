// History: the rows that metrics.csv and a checkpoint's /metrics hold.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nnm/io/checkpoint.h"
#include "nnm/train/events.h"

namespace nnm::train {

/// A row per step and eval event: nothing that a clock touches, so that a resumed run has the same.
class History {
 public:
  struct Row {
    bool eval = false;  ///< else a step: it has a rate and no metrics
    int64_t step = 0, epoch = 0;
    std::string split;  ///< of an evaluation
    double loss = 0, lr = 0;
    std::vector<double> metrics;  ///< of an evaluation, in the order of names()
    bool ending = false;          ///< only there because the run ended: none of a longer run's
  };

  /// The columns of every row, before those of its metrics.
  static constexpr std::array kColumns = {"event", "step", "epoch", "split", "loss", "lr"};
  /// Whether a metric cannot have the name: rows, events or what a checkpoint keeps beside its rows
  /// have it.
  static bool reserves(std::string_view name);

  History() = default;
  explicit History(std::vector<std::string> metrics) : names_(std::move(metrics)) {}

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<Row>& rows() const { return rows_; }
  Row row(const StepEvent& e) const;
  Row row(const EvalEvent& e) const;
  void add(Row row) { rows_.push_back(std::move(row)); }

  /// "event,step,epoch,split,loss,lr,<metric>…" and its rows, each with a newline.
  std::string csv_header() const;
  static std::string csv(const Row& row, size_t metrics);

  /// As columns of a checkpoint, and back: metrics it did not have are NaN there. Throws
  /// Error(input_file) for columns that are none of its own.
  std::vector<io::Column> columns() const;
  void restore(const std::vector<io::Column>& columns);
  /// The numbers of the rows that are `ending`, and back; these are dropped where the run goes on.
  Value ending() const;
  void restore_ending(const Value& numbers, bool goes_on);

 private:
  std::vector<std::string> names_;
  std::vector<Row> rows_;
};

}  // namespace nnm::train
