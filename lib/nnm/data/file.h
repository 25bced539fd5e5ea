// Data files: arrays by name, whatever the format, which is found by content.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// What a file holds, told from its first bytes.
enum class Format : uint8_t { idx, npy, npz, hdf5, csv, picture };
const char* format_name(Format f);
/// Throws Error(input_file) if the file cannot be read or is none of them.
Format detect_format(const std::string& path);
/// Whether files hold raw samples that `data.transform` is meant for (idx, CSV, PNG), as opposed to
/// arrays that are taken as they are (HDF5, npy, npz).
bool is_raw(Format f);

/// An array's name, type and shape, without its data.
struct ArrayInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

/// A data file whose headers have been read. All errors are Error(input_file) and name the file:
/// missing, corrupt, truncated, no such array (with the nearest name).
class DataFile : public Object {
 public:
  /// Reads the headers; a CSV file is read whole.
  static Ref<DataFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  Format format() const { return format_; }
  /// Every top-level dataset of numbers (HDF5), every column (CSV), every array (npz), in file
  /// order; one array without a name (idx, npy; a picture is one of (1, C, H, W)).
  const std::vector<ArrayInfo>& arrays() const { return arrays_; }
  /// About one array: a name of arrays(), or an HDF5 path; "" means the only one. idx files of u8
  /// images (N, H, W) count as (N, 1, H, W), as torchvision's MNIST gives them.
  ArrayInfo peek(const std::string& name) const;
  /// The array. CSV columns are i64 if all entries are integers, else f64.
  virtual Tensor read(const std::string& name) const = 0;

 protected:
  DataFile(std::string path, Format format) : path_(std::move(path)), format_(format) {}
  /// Index in arrays(); throws with the names that are there.
  size_t find(const std::string& name) const;
  /// For names that are not in arrays().
  virtual ArrayInfo peek_inside(const std::string& name) const;

  std::string path_;
  Format format_;
  std::vector<ArrayInfo> arrays_;
};

Ref<DataFile> open_idx(const std::string& path);
Ref<DataFile> open_npy(const std::string& path);
Ref<DataFile> open_npz(const std::string& path);
Ref<DataFile> open_hdf5(const std::string& path);
Ref<DataFile> open_csv(const std::string& path);
Ref<DataFile> open_picture(const std::string& path);

/// Splits `file.h5:/group/dataset` and `file.csv:column`; a file whose own name has the colon wins.
std::pair<std::string, std::string> split_source(const std::string& source);
/// Throws unless the shape is one of a tensor that memory could hold.
void check_extents(const std::string& path, const std::vector<int64_t>& shape);

/// Writes x as .npy (bf16 as float32), or as CSV: a header line, then a row for each entry of the
/// first axis; for `predict -o`. Whole or absent. Throws Error(output).
void write_npy(const std::string& path, const Tensor& x);
/// `name` heads the columns: `name`, or `name_0, name_1 …` where a row has several numbers.
void write_csv(const std::string& path, const std::string& name, const Tensor& x);

}  // namespace nnm::data
