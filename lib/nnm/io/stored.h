// Tensors that stay in their file: read a piece at a time, checked as they are read.
#pragma once

#include "kernels/difference.h"
#include "nnm/io/inspect.h"
#include "nnm/io/manifest.h"

namespace nnm::io {

/// Elements that are in memory of one tensor at a time, a few MB of any dtype.
constexpr int64_t kPieceElements = int64_t{1} << 18;

/// A dense run of numbers, as the kernels see it; they do not write to it.
View dense_view(DType dtype, const void* data, int64_t count);

/// A row-major array cut into dense blocks of at most so many elements (one at least), in order.
class Pieces {
 public:
  explicit Pieces(std::span<const int64_t> shape, int64_t most = kPieceElements);

  /// Goes to the next block, at first to the first one; false where there is none.
  bool next();
  const std::vector<int64_t>& start() const { return start_; }
  const std::vector<int64_t>& extents() const { return extents_; }
  int64_t numel() const { return numel_; }

 private:
  std::vector<int64_t> shape_, start_, extents_;
  size_t axis_ = 0;    // the one that is cut; those before it go one by one
  int64_t rows_ = 0;   // of that axis in a block
  int64_t inner_ = 1;  // elements of one of its rows
  int64_t numel_ = 0;
  bool begun_ = false, empty_ = false;
};

/// A dataset of numbers, or one record's block of it, with the checksum that its bytes must have.
class StoredTensor {
 public:
  /// A whole dataset, checked against the manifest if there is one. Throws Error(input_file) for
  /// what does not hold numbers.
  StoredTensor(const H5Reader& file, const H5Node& node, const Manifest* manifest = nullptr);
  /// The block of this shape at the origin of entry `entry`; axes of the dataset that it lacks at
  /// the end have one element.
  StoredTensor(const H5Reader& file, const H5Node& node, int64_t entry, std::vector<int64_t> shape,
               uint32_t crc);

  DType dtype() const { return node_->element.dtype; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t numel() const { return numel_; }
  const H5Node& node() const { return *node_; }

  /// The next piece, dense, into `buffer`. Throws Error(input_file), after the last one also where
  /// the bytes read do not have their checksum. Of u64 it gives the bits.
  void read(const Pieces& piece, std::vector<char>& buffer);

 private:
  void check() const;

  const H5Reader* file_;
  const H5Node* node_;
  const Manifest* manifest_ = nullptr;
  std::vector<int64_t> shape_;
  int64_t numel_ = 1, done_ = 0, entry_ = -1;
  uint32_t want_ = 0, crc_ = 0;
};

/// Reads t to its end.
Statistics statistics(StoredTensor t);
/// How b differs from a, of the same shape; reads both to their ends.
TensorDifference difference(StoredTensor a, StoredTensor b, const Tolerance& tolerance);

}  // namespace nnm::io
