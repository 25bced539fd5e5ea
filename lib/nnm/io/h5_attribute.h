// Attributes of an open object. Private to lib/nnm/io.
#pragma once

#include "nnm/io/h5_handle.h"

namespace nnm::io {

/// A fixed-length text without its padding.
std::string unpadded(const char* data, size_t size, H5T_str_t pad);
/// Sorted. Throws Error(input_file) that begins with `where`, as all here.
std::vector<std::string> attribute_names(hid_t object, const std::string& where);
/// An attribute that exists: a number, a text, a tuple of those, or none for a null extent.
Value read_attribute(hid_t object, const std::string& name, const std::string& where);

}  // namespace nnm::io
