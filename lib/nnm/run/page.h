// What `nnm report` writes: a run as one page.
#pragma once

#include <string>

namespace nnm::run {

/// One HTML page, whole in itself, about the run that a checkpoint is of: what became of it, curves
/// of losses, metrics and rates, the module tree, the numbers of each tensor with their histogram,
/// what the traces in the run's folder hold, and the config. A checkpoint in no run has no traces.
/// Throws Error(input_file) for a checkpoint that cannot be read.
std::string html_page(const std::string& checkpoint);

}  // namespace nnm::run
