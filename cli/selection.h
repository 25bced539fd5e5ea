// What a `--select` means in a file: selectors over the names that it holds.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"

namespace nnm::cli {

/// Tensors of a checkpoint by their keys; a module stands for all the tensors in it and below. Of
/// files without modules (none given), slashes and dots of a path part its segments. Throws
/// Error(config) where nothing matches, with the nearest name.
std::set<std::string> select_tensors(const std::vector<io::ModuleRow>& modules,
                                     const std::vector<std::string>& names,
                                     const std::string& select);
/// Modules of a trace by the names of its sites, where the root goes by its class.
std::set<std::string> select_modules(const std::vector<io::ModuleRow>& modules,
                                     const std::string& select);

}  // namespace nnm::cli
