// torch.save and torch.load of state dicts, as plain HDF5.
#pragma once

#include <string>

#include "nnm/nn/state_dict.h"

namespace nnm {

/// Writes the tensors to `/state_dict/<key>`, one dataset a key, those that share memory as hard
/// links. The file is whole or absent. Throws Error(output), Error(not_implemented) for extra
/// state.
///   save(model.state_dict(), "model.h5");
void save(const StateDict& state_dict, const std::string& path);

/// The tensors of a file of `save`, a checkpoint, any HDF5 file with a dataset per key, or a
/// .safetensors file. Throws Error(input_file).
///   model.load_state_dict(load("model.h5"));
StateDict load(const std::string& path);

}  // namespace nnm
