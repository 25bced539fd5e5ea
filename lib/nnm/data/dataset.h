// Datasets: named fields of samples that lie in memory.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// One named part of every sample.
struct FieldInfo {
  std::string name;
  /// What a batch holds unless the model or a transform asks for another type: f32 for floats, i64
  /// for integers and for single bytes (labels), u8 for arrays of bytes (images), bool.
  DType dtype = DType::f32;
  Shape shape;                ///< of one sample, without the batch axis
  DType stored = DType::f32;  ///< in memory
  std::string source;         ///< the file it comes from, with dataset or column; "" if made up
};
/// The field of an array whose first axis counts samples. Throws Error(input_file) for a scalar.
FieldInfo field_of(const std::string& name, DType stored, const Shape& array,
                   const std::string& source);

/// A finite set of samples. A sample is named by a key: what `order` lists. Safe to read from any
/// thread.
class Dataset : public Object {
 public:
  const std::vector<FieldInfo>& fields() const { return fields_; }
  /// Samples of an epoch. In training a text has numel / context random windows, elsewhere
  /// consecutive ones.
  virtual int64_t size(bool training) const = 0;
  int64_t size() const { return size(false); }
  /// The keys of an epoch in order: as in the file, or a permutation drawn from (seed, epoch)
  /// alone.
  virtual std::vector<int64_t> order(bool training, bool shuffle, uint64_t seed,
                                     int64_t epoch) const;
  /// A field of a sample, row-major, as fields()[field].stored. Valid as long as the dataset.
  virtual const void* sample(int field, int64_t key) const = 0;
  /// Whether a field's samples are made when asked for, by `decode` instead of `sample`.
  virtual bool decodes(int field) const {
    (void)field;
    return false;
  }
  /// A sample of such a field; its shape may differ from that in fields().
  virtual Shape decode(int field, int64_t key, std::vector<char>& bytes) const;
  /// What error messages call a sample where it has a name of its own, else "".
  virtual std::string name_of(int64_t key) const {
    (void)key;
    return {};
  }
  /// The number of the sample in its file, from 0 (of a text: of its first token).
  virtual int64_t origin(int64_t key) const { return key; }

  /// `count` samples taken out (for `val: {split: …}`) and what is left: by a permutation of the
  /// seed, the rest in file order; a text is cut, its end taken, so that no token is in both.
  virtual std::pair<Ref<Dataset>, Ref<Dataset>> split(int64_t count, uint64_t seed) const;
  /// The first `count` samples, or all if there are fewer.
  virtual Ref<Dataset> head(int64_t count) const;

 protected:
  explicit Dataset(std::vector<FieldInfo> fields) : fields_(std::move(fields)) {}

 private:
  std::vector<FieldInfo> fields_;
};

/// An array of a dataset to be: its first axis counts samples.
struct Field {
  std::string name;
  Tensor array;
  std::string source;
};
/// Arrays in memory. Throws Error(input_file) naming both fields where their lengths differ.
Ref<Dataset> make_arrays(std::vector<Field> fields);
/// The error of fields whose lengths differ, for those who know lengths before arrays.
void check_lengths(const std::vector<std::pair<std::string, int64_t>>& lengths);

/// What tells data apart from other data: eight hexadecimal digits of the fields' names, types and
/// shapes, of how many samples there are, and of what they hold. Of more than 256 MiB some samples,
/// evenly spaced; of pictures the names of their files, wherever these lie.
std::string fingerprint(const Dataset& data);

/// Numbers of samples in an order drawn from (seed, purpose) alone.
std::vector<int64_t> permutation(int64_t n, uint64_t seed, const std::string& purpose);
/// floor(n * share), safe against shares such as 0.29 that binary floats miss.
int64_t share_of(int64_t n, double share);

/// "f32[1000, 20]" or "i64[1000] < 3".
struct RandomSpec {
  DType dtype = DType::f32;
  Shape shape;
  int64_t bound = 2;
};
/// Throws Error(config) for a text it does not understand.
RandomSpec parse_random(const std::string& field, const std::string& text);
/// Synthetic data: floats are standard normal, integers uniform below the bound, both a function of
/// (seed, field) alone.
Tensor make_random(const std::string& field, const RandomSpec& spec, uint64_t seed);

}  // namespace nnm::data
