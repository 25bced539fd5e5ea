// History: the rows that metrics.csv and a checkpoint's /metrics hold.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"
#include "nnm/train/events.h"

namespace nnm::train {

/// A row per step and eval event: nothing that a clock touches, so that a resumed run has the same.
class History {
 public:
  struct Row {
    bool eval = false;
    int64_t step = 0, epoch = 0;
    std::string split;  ///< of an evaluation
    double loss = kNone, lr = kNone;
    std::vector<double> metrics;  ///< in the order of names(), kNone where there is none
  };
  /// "No number here": a NaN of its own would be a value.
  static constexpr double kNone = -std::numeric_limits<double>::max();

  History() = default;
  explicit History(std::vector<std::string> metrics) : names_(std::move(metrics)) {}

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<Row>& rows() const { return rows_; }
  Row row(const StepEvent& e) const;
  Row row(const EvalEvent& e) const;
  void add(Row row) { rows_.push_back(std::move(row)); }

  /// "event,step,epoch,split,loss,lr,<metric>…" and its rows, each with a newline.
  std::string csv_header() const;
  std::string csv(const Row& row) const;

  /// As columns of a checkpoint, and back; metrics that are not names() any more are dropped.
  std::vector<io::Column> columns() const;
  void restore(const std::vector<io::Column>& columns);

 private:
  std::vector<std::string> names_;
  std::vector<Row> rows_;
};

}  // namespace nnm::train
