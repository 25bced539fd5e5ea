// The statistics of a trace, read a few steps at a time.
#include "nnm/io/trace_cube.h"

#include <algorithm>
#include <cmath>

#include "nnm/base/error.h"

namespace nnm::io {
namespace {

constexpr int64_t kMostNumbers = int64_t{1} << 17;

}  // namespace

TraceCube::TraceCube(const H5Reader& file, const char* path) : file_(file), node_(file.find(path)) {
  if (!node_) return;
  const bool numbers = !node_->group && node_->element.kind == Element::Kind::number &&
                       item_size(node_->element.dtype) == sizeof(double);
  if (!numbers || node_->shape.size() != 3)
    file.fail(*node_, "not a table of steps, sites and statistics");
}

std::optional<std::vector<double>> TraceCube::row(int64_t entry, int64_t site) {
  if (!node_ || entry >= node_->shape[0] || site >= node_->shape[1]) return std::nullopt;
  if (entry < first_ || entry >= first_ + count_) load(entry);
  const auto at = data_.begin() + ((entry - first_) * node_->shape[1] + site) * width();
  std::vector<double> out(at, at + width());
  // Entries that nothing was written to are NaN throughout.
  if (std::all_of(out.begin(), out.end(), [](double x) { return std::isnan(x); }))
    return std::nullopt;
  return out;
}

void TraceCube::load(int64_t entry) {
  const int64_t per_entry = node_->shape[1] * width();
  first_ = entry;
  count_ = std::clamp<int64_t>(kMostNumbers / std::max<int64_t>(per_entry, 1), 1,
                               node_->shape[0] - entry);
  data_.resize(static_cast<size_t>(count_ * per_entry));
  const size_t bytes = data_.size() * sizeof(double);
  if (node_->element.dtype == DType::f64) {
    file_.read_rows(*node_, first_, count_, data_.data(), bytes);
    return;
  }
  std::vector<int64_t> counts(data_.size());
  file_.read_rows(*node_, first_, count_, counts.data(), bytes);
  std::transform(counts.begin(), counts.end(), data_.begin(),
                 [](int64_t n) { return static_cast<double>(n); });
}

}  // namespace nnm::io
