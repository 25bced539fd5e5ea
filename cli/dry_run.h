// What verbs that write say in a dry run.
#pragma once

#include <string>

namespace nnm::cli {

/// The file that would be written, as `--format` asks.
void print_planned(const std::string& path, const std::string& format);

}  // namespace nnm::cli
