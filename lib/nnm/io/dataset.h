// One dataset out of any HDF5 file.
#pragma once

#include <string>

#include "nnm/tensor/tensor.h"

namespace nnm::io {

/// The dataset at a path within the file, checked against what a checkpoint or trace knows of it.
/// What a trace holds of a call, one entry per record, comes without that axis where there is one
/// record. Throws Error(input_file).
Tensor read_dataset(const std::string& path, const std::string& dataset);

}  // namespace nnm::io
