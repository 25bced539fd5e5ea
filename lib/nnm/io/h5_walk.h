// The walk over a file's tree that checks everything before any data are read.
// Private to lib/nnm/io.
#pragma once

#include "nnm/io/h5_handle.h"

namespace nnm::io {

/// The tree under the root of an open file. Throws Error(input_file), naming the file and object.
H5Node walk(hid_t file, const std::string& path, const H5Limits& limits);

}  // namespace nnm::io
