// What torch.save writes of a state_dict, for PyTorch to read.
#pragma once

#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"

namespace nnm::io {

/// Writes a file that torch.load gives back as an OrderedDict of tensors on the CPU, also with
/// weights_only=True; tensors that share memory share a storage. Whole or absent. Throws
/// Error(output), also for more than 4 GiB, which the kind of zip archive cannot hold.
void write_torch(const std::string& path, const std::vector<NamedTensor>& tensors);

}  // namespace nnm::io
