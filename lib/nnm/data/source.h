// Sources: arrays in files, whatever the format, found by content and read whole.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// What a file holds, told from its first bytes.
enum class Format { idx, hdf5, npy, csv };

/// Throws Error(input_file) if the file cannot be read or is none of them.
Format detect_format(const std::string& path);

/// An array's type and shape, without its data.
struct ArrayInfo {
  DType dtype = DType::f32;
  Shape shape;
  Format format = Format::csv;
};

/// One array. `source` is a file, `file.h5:/group/dataset`, or `file.csv:column`. idx files (gzipped
/// or not) of u8 images (N, H, W) become (N, 1, H, W), as torchvision's MNIST. A CSV column is i64 if
/// every entry is an integer, else f32. f64 arrays stay f64.
/// Throws Error(input_file) naming the file: missing, unreadable, corrupt, no such dataset or column
/// (with the nearest name), several arrays where one is meant.
Tensor read_array(const std::string& source);
/// The same, reading headers only (a CSV file is read whole).
ArrayInfo peek_array(const std::string& source);

using Named = std::vector<std::pair<std::string, Tensor>>;
/// All arrays of a file, in its order: every top-level dataset of an HDF5 file, every column of a
/// CSV, one array named "0" for idx and npy.
Named read_all(const std::string& path);
/// Their names, types and shapes.
std::vector<std::pair<std::string, ArrayInfo>> peek_all(const std::string& path);

/// Writes a .npy file, or a CSV with a header: for `predict -o`. Throws Error(output).
void write_npy(const std::string& path, const Tensor& x);
void write_csv(const std::string& path, const std::vector<std::string>& columns, const Tensor& x);

}  // namespace nnm::data
