// What a `--select` means in a file: selectors over the names that it holds.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "nnm/io/trace_file.h"

namespace nnm::cli {

/// The paths of all datasets in and below a node, without the first slash.
std::vector<std::string> dataset_names(const io::H5Node& node);
/// Tensors of a checkpoint by their keys; a module stands for all the tensors in it and below. Of
/// files without modules (none given), slashes and dots of a path part its segments. Throws
/// Error(config) where nothing matches, with the nearest name.
std::set<std::string> select_tensors(const std::vector<io::ModuleRow>& modules,
                                     const std::vector<std::string>& names,
                                     const std::string& select);
/// Sites of a trace, as "module/what/arg": those of the modules selected, and those selected as
/// tensors of their module, such as `fc1.output`, `Conv2d.grad_input` or the parameter
/// `fc1.weight`. Throws Error(config) where nothing matches.
std::set<std::string> select_sites(const std::vector<io::ModuleRow>& modules,
                                   const std::vector<io::TraceSite>& sites,
                                   const std::string& select);

}  // namespace nnm::cli
