// What training needs to go on, for whoever writes the loop.
#pragma once

#include <string>

#include "nnm/nn/module.h"
#include "nnm/optim/optimizer.h"

namespace nnm {

/// A checkpoint of a model and its optimizer, whole or absent. Throws Error(output),
/// Error(not_implemented) for extra state.
///   save(model, optimizer, "run.h5");
///   model.load_state_dict(load("run.h5"));
///   optimizer.load_state_dict(load_optimizer("run.h5"));
void save(Module& model, optim::Optimizer& optimizer, const std::string& path);

/// The optimizer's state in such a file, or in a checkpoint of a run. Throws Error(input_file).
optim::OptimizerState load_optimizer(const std::string& path);

}  // namespace nnm
