// The statistics of a trace, read a few steps at a time.
#pragma once

#include <optional>
#include <vector>

#include "nnm/io/h5.h"

namespace nnm::io {

/// /stats/values or /stats/histogram of a trace: numbers by step, site and statistic. Empty where
/// the file has none. The file must outlive it. Throws Error(input_file).
class TraceCube {
 public:
  TraceCube(const H5Reader& file, const char* path);

  int64_t steps() const { return node_ ? node_->shape[0] : 0; }
  int64_t width() const { return node_ ? node_->shape[2] : 0; }
  /// Of a site in an entry of the step axis; none where nothing was written.
  std::optional<std::vector<double>> row(int64_t entry, int64_t site);

 private:
  void load(int64_t entry);

  const H5Reader& file_;
  const H5Node* node_;
  int64_t first_ = 0, count_ = 0;  // entries in memory
  std::vector<double> data_;
};

}  // namespace nnm::io
