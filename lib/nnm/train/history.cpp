// Rows to text and to columns.
#include "nnm/train/history.h"

#include <algorithm>
#include <limits>

namespace nnm::train {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class T>
const std::vector<T>& column(const std::vector<io::Column>& columns, std::string_view name,
                             size_t rows) {
  for (const io::Column& c : columns) {
    if (c.name != name) continue;
    const auto* values = std::get_if<std::vector<T>>(&c.values);
    if (values && values->size() == rows) return *values;
  }
  fail(ErrorKind::input_file, "the checkpoint's metrics have no column `{}` of {} rows", name,
       rows);
}

}  // namespace

bool History::reserves(std::string_view name) {
  const auto has = [name](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  // The group of what is best stands among the columns.
  return has(kColumns) || has(EvalEvent::kFields) || name == "best";
}

History::Row History::row(const StepEvent& e) const {
  return {.step = e.step, .epoch = e.epoch, .loss = e.loss, .lr = e.lr};
}

History::Row History::row(const EvalEvent& e) const {
  Row r{.eval = true, .step = e.step, .epoch = e.epoch, .split = e.split, .loss = e.loss};
  for (const auto& [name, value] : e.metrics) r.metrics.push_back(value);
  return r;
}

std::string History::csv_header() const {
  std::string out = fmt::format("{}", fmt::join(kColumns, ","));
  for (const std::string& name : names_) out += "," + name;
  return out + "\n";
}

std::string History::csv(const Row& row, size_t metrics) {
  std::string out =
      fmt::format("{},{},{},{},{},{}", row.eval ? "eval" : "step", row.step, row.epoch, row.split,
                  python_float(row.loss), row.eval ? "" : python_float(row.lr));
  for (size_t i = 0; i < metrics; ++i) out += row.eval ? "," + python_float(row.metrics[i]) : ",";
  return out + "\n";
}

std::vector<io::Column> History::columns() const {
  std::vector<std::string> event, split;
  std::vector<int64_t> step, epoch;
  std::vector<double> loss, lr;
  std::vector<std::vector<double>> metrics(names_.size());
  for (const Row& r : rows_) {
    event.push_back(r.eval ? "eval" : "step");
    split.push_back(r.split);
    step.push_back(r.step);
    epoch.push_back(r.epoch);
    loss.push_back(r.loss);
    lr.push_back(r.eval ? kNan : r.lr);
    for (size_t i = 0; i < metrics.size(); ++i) metrics[i].push_back(r.eval ? r.metrics[i] : kNan);
  }
  std::vector<io::Column> out = {{"event", std::move(event)}, {"step", std::move(step)},
                                 {"epoch", std::move(epoch)}, {"split", std::move(split)},
                                 {"loss", std::move(loss)},   {"lr", std::move(lr)}};
  for (size_t i = 0; i < names_.size(); ++i) out.push_back({names_[i], std::move(metrics[i])});
  return out;
}

void History::restore(const std::vector<io::Column>& columns) {
  rows_.clear();
  if (columns.empty()) return;
  size_t n = 0;
  for (const io::Column& c : columns)
    n = std::visit([](const auto& values) { return values.size(); }, c.values);
  const auto& event = column<std::string>(columns, "event", n);
  const auto& split = column<std::string>(columns, "split", n);
  const auto& step = column<int64_t>(columns, "step", n);
  const auto& epoch = column<int64_t>(columns, "epoch", n);
  const auto& loss = column<double>(columns, "loss", n);
  const auto& lr = column<double>(columns, "lr", n);
  for (size_t i = 0; i < n; ++i) {
    const bool eval = event[i] == "eval";
    rows_.push_back({eval, step[i], epoch[i], split[i], loss[i], eval ? 0 : lr[i],
                     std::vector<double>(eval ? names_.size() : 0, kNan)});
  }
  for (size_t m = 0; m < names_.size(); ++m) {
    for (const io::Column& c : columns) {
      const auto* values = std::get_if<std::vector<double>>(&c.values);
      if (c.name != names_[m] || !values || values->size() != n) continue;
      for (size_t i = 0; i < n; ++i)
        if (rows_[i].eval) rows_[i].metrics[m] = (*values)[i];
    }
  }
}

Value History::ending() const {
  Values numbers;
  for (size_t i = 0; i < rows_.size(); ++i)
    if (rows_[i].ending) numbers.push_back(static_cast<int64_t>(i));
  return Value::list(std::move(numbers));
}

void History::restore_ending(const Value& numbers, bool goes_on) {
  if (!numbers.is_sequence()) return;
  for (const Value& v : numbers.items()) {
    const auto i = static_cast<size_t>(v.integer());
    NNM_CHECK(i < rows_.size(), input_file, "the checkpoint's metrics have no row {}", v.integer());
    rows_[i].ending = true;
  }
  if (goes_on) std::erase_if(rows_, [](const Row& r) { return r.ending; });
}

}  // namespace nnm::train
