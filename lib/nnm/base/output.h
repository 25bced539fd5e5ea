// Where results go: what is never written over.
#pragma once

#include <string>

namespace nnm {

/// Throws Error(config) where the file to write is one that is read.
void refuse_input(const std::string& output, const std::string& input);
/// The file that is written where `path` is asked for: the one behind it where it is a link, which
/// stays one. Throws Error(output) for a device or a pipe, which no new file must replace;
/// write_file_atomic writes into those.
std::string replaceable(const std::string& path);

}  // namespace nnm
