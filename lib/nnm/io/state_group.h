// The group of named tensors that checkpoints and files of weights share. Private to lib/nnm/io.
#pragma once

#include <functional>

#include "nnm/io/checkpoint.h"

namespace nnm::io {

/// "<group><key>", of a key that must be one link: groups and their keys are what h5py sees. Throws
/// Error(output) for a key that cannot be one.
std::string key_path(const H5Writer& file, const std::string& group, const std::string& key);

/// Writes tensors to /state_dict, those with `alias_of` as hard links. `written` is told of each
/// dataset with the CRC32C of its bytes.
void write_state_dict(H5Writer& file, const std::vector<StateEntry>& entries,
                      const std::function<void(const std::string& path, const StateEntry&,
                                               uint32_t crc)>& written = {});

}  // namespace nnm::io
