// The module tree of a model as rows: what /model/modules of checkpoints and traces holds.
#pragma once

#include "nnm/io/checkpoint.h"
#include "nnm/nn/module.h"

namespace nnm::io {

/// In the order of named_modules, a shared module under each of its names; `parameters` counts
/// those below, too, each once.
std::vector<ModuleRow> module_rows(Module& root);

}  // namespace nnm::io
