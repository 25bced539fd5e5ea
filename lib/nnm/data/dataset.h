// Datasets: named fields whose first axis counts samples.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// One named part of every sample: shape is of one sample, without the batch axis.
struct FieldInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

/// A finite set of samples. Thread-safe for reading.
class Dataset : public Object {
 public:
  virtual int64_t size() const = 0;
  virtual const std::vector<FieldInfo>& fields() const = 0;
  /// A batch of the samples at `indices`, one tensor (batch, …) per field.
  virtual Tensors gather(std::span<const int64_t> indices) const = 0;
  /// The samples [begin, end) in order; a view where the data lies so.
  virtual Tensors range(int64_t begin, int64_t end) const;
  /// True where an epoch's samples are random windows drawn anew (text in training): then index k of
  /// an epoch means the window that `epoch_indices` drew.
  virtual bool windowed() const { return false; }
  /// Starting positions of an epoch's random windows; only if windowed().
  virtual std::vector<int64_t> epoch_indices(uint64_t seed, int64_t epoch) const;
  /// Identifies the contents cheaply (sizes, types, a checksum of a sample of bytes).
  virtual uint64_t fingerprint() const = 0;
};

/// Arrays in memory. Throws Error(input_file) naming both fields if their lengths differ.
Ref<Dataset> make_arrays(std::vector<std::pair<std::string, Tensor>> fields);
/// The samples of `base` at `indices`.
Ref<Dataset> make_subset(Ref<Dataset> base, std::vector<int64_t> indices);
/// Text as ids and targets (ids shifted by one): consecutive windows of `context`, or random ones
/// (numel / context of them an epoch).
Ref<Dataset> make_text(Tensor ids, int64_t context, bool random_windows);
/// Synthetic: "f32[1000, 20]" standard normal, "i64[1000] < 3" uniform below the bound. Throws
/// Error(config) for a text it does not understand.
Ref<Dataset> make_random(const std::vector<std::pair<std::string, std::string>>& fields, uint64_t seed);

/// The first floor(n * share) (or `count`, if share > 1 means samples) of a permutation of n by the
/// seed, and the rest in ascending order.
struct SplitIndices {
  std::vector<int64_t> taken, rest;
};
SplitIndices split_indices(int64_t n, double share_or_count, uint64_t seed);

/// A tokenizer of text: `char` (sorted distinct code points of the text) or `byte`.
struct Tokenizer {
  std::string kind;                  ///< "char" or "byte"
  std::vector<std::string> symbols;  ///< text of each id
  int64_t vocab() const { return static_cast<int64_t>(symbols.size()); }
};
/// Tokenizer and ids (i64, 1-d) of a text file. Throws Error(input_file).
std::pair<Tokenizer, Tensor> read_text(const std::string& path, const std::string& tokenizer);

}  // namespace nnm::data
