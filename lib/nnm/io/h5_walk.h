// The walk over a file's tree that checks everything before any data are read.
// Private to lib/nnm/io.
#pragma once

#include <functional>

#include "nnm/io/h5_handle.h"

namespace nnm::io {

/// Called with each object that has attributes, while it is open.
using Touch = std::function<void(hid_t object, const H5Node& node)>;

/// The tree under the root of an open file. Throws Error(input_file), naming the file and object.
H5Node walk(hid_t file, const std::string& path, const H5Limits& limits, const Touch& touch);

}  // namespace nnm::io
