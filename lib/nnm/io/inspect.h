// Looking into files: the tree of any HDF5 file, and what its numbers look like.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/statistics.h"
#include "nnm/io/h5.h"

namespace nnm::io {

/// Of the elements of a tensor, in f64. Moments and extremes are over the finite ones, and NaN
/// where there are none; std divides by n - 1 as torch.std does.
struct Statistics {
  int64_t numel = 0, nan = 0, inf = 0, zero = 0;
  double mean = 0, std = 0, min = 0, max = 0, norm = 0;
  /// The kernels' histogram (kernels/statistics.h), of tensors in files.
  std::vector<int64_t> bins;
};

/// Of what the kernels have summed up.
Statistics statistics(const TensorStatistics& sums);
/// Of a CPU tensor of any dtype and layout.
Statistics statistics(const Tensor& tensor);

/// The root attribute `format` of an HDF5 file: "nnm-checkpoint", "nnm-trace", or "". Throws
/// Error(input_file).
std::string format_of(const std::string& path);

/// An object of a file with what is in it.
struct Description {
  std::string name, path;
  bool group = false;
  std::string dtype;  ///< as in the file: "f32", "u16", "string[12]", "compound"
  std::vector<int64_t> shape;
  std::vector<std::pair<std::string, std::string>> attributes;  ///< values as Python prints them
  std::optional<Statistics> stats;                              ///< of a dataset of numbers
  std::optional<std::string> text;                              ///< the beginning of a scalar text
  std::string problem;                                          ///< why the data could not be read
  std::vector<Description> children;
};

struct DescribeOptions {
  bool statistics = true;  ///< false reads no data
  size_t text_bytes = 4096;
  /// Which datasets, by path without the first slash; none: all. Groups go where nothing is left.
  std::function<bool(const std::string&)> select;
};

/// The tree of an HDF5 file. Large datasets are read in pieces. Throws Error(input_file) for files
/// that cannot be opened; what is wrong with one dataset stands in its description.
Description describe(const std::string& path, const DescribeOptions& options = {});

}  // namespace nnm::io
