// A file's tree as bytes, on its way from the process that looked at the file first.
// Private to lib/nnm/io.
#pragma once

#include "nnm/io/h5.h"

namespace nnm::io {

/// The path of a group's child.
std::string path_in(const H5Node& group, const std::string& name);
/// Fills a group's by_name.
void index_names(H5Node& group);

std::string pack_tree(const H5Node& root);
/// What pack_tree has packed, in this program. Throws Error(internal) for anything else.
H5Node unpack_tree(std::string_view bytes);

}  // namespace nnm::io
