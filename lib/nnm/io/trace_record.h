// One argument of a recorded group, entry by entry, checked. Private to lib/nnm/io.
#pragma once

#include <optional>

#include "nnm/io/stored.h"

namespace nnm::io {

/// The entries of /tensors/<module>/<what>/<arg> with their rows of @crc32c and @shape, whose
/// columns stand in the order of the arguments' names. Throws Error(input_file).
class RecordColumn {
 public:
  /// `arg` is a link of `what`. `unfinished`: entries without such rows were being written when the
  /// process died, and do not count.
  RecordColumn(const H5Reader& file, const H5Node& what, const std::string& arg,
               bool unfinished = false);

  int64_t count() const { return count_; }
  /// Entry i with its true shape; undefined where it is absent.
  Tensor read(const H5Reader& file, int64_t i) const;
  /// The same without reading it (a scalar apart), and without a look at its padding.
  std::optional<StoredTensor> stored(const H5Reader& file, int64_t i) const;

 private:
  std::optional<std::vector<int64_t>> shape_of(const H5Reader& file, int64_t i) const;

  const H5Node* node_ = nullptr;
  int64_t count_ = 0;
  std::vector<int64_t> padded_;  // extents of an entry in the dataset
  std::vector<int64_t> sums_;    // one per entry
  std::vector<int64_t> shapes_;  // a rank's worth per entry; empty where all are alike
};

}  // namespace nnm::io
