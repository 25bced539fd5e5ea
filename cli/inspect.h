// What nnm inspect says of each kind of file.
#pragma once

#include <string>

namespace nnm::cli {

struct InspectOptions {
  std::string file, select, format;
  bool config = false;
};

/// The whole answer. Throws Error(input_file) for files that cannot be read.
std::string inspect_file(const InspectOptions& o);

}  // namespace nnm::cli
