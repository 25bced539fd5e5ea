// What a checkpoint keeps of models, optimizers and schedules, and back.
#pragma once

#include "nnm/io/checkpoint.h"
#include "nnm/nn/module.h"
#include "nnm/optim/optimizer.h"

namespace nnm::train {

/// The module tree and state_dict of a model, tensors shared.
void put_model(Module& model, io::Checkpoint& into);
/// Copies a checkpoint's state_dict into the model, strictly. Throws Error(input_file) with
/// PyTorch's report where they do not fit; `from` names the file.
void take_model(const io::Checkpoint& checkpoint, Module& model, const std::string& from);

io::OptimizerState to_io(optim::OptimizerState state);
optim::OptimizerState from_io(const io::OptimizerState& state);

}  // namespace nnm::train
