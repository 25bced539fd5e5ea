// What torch.save writes of a state_dict: written for PyTorch to read, and read.
#pragma once

#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"

namespace nnm::io {

/// Writes a file that torch.load gives back as an OrderedDict of tensors on the CPU, also with
/// weights_only=True; tensors that share memory share a storage. Whole or absent. Throws
/// Error(output), also for more than 4 GiB, which the kind of zip archive cannot hold.
void write_torch(const std::string& path, const std::vector<NamedTensor>& tensors);

/// The tensors of a state_dict that torch.save wrote, by their names and in its order; also of one
/// that lies as `state_dict`, `model_state_dict` or `model` beside other values. Tensors that share
/// a view of a storage are one. Calls nothing that the file names. Throws Error(input_file) for
/// anything else, and for what is damaged.
std::vector<NamedTensor> read_torch(const std::string& path);

}  // namespace nnm::io
