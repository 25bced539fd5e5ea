// Where results go: what is never written over.
#pragma once

#include <initializer_list>
#include <string>

namespace nnm {

/// Throws Error(config) where the file to write is one of those that are read.
void refuse_inputs(const std::string& output, std::initializer_list<std::string> inputs);
/// The file that is written where `path` is asked for: the one behind it where it is a link, which
/// stays one. Throws Error(output) for a device or a pipe, which no new file must replace;
/// write_file_atomic writes into those.
std::string replaceable(const std::string& path);

}  // namespace nnm
