// The .safetensors format: a JSON header and raw tensors after it.
#pragma once

#include <string>
#include <vector>

#include "nnm/io/checkpoint.h"

namespace nnm::io {

/// All tensors in file order. Strict: the header is at most 100 MB, names are unique, every
/// tensor's bytes fit its dtype and shape, and the tensors fill the file without gaps or overlaps.
/// u16 becomes i32, u32 and u64 become i64 (values beyond it are an error). Throws
/// Error(input_file).
std::vector<NamedTensor> read_safetensors(const std::string& path);

/// Writes row-major tensors in the given order, whole or not at all, with `metadata` (text to
/// text). Throws Error(output).
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata = {});

}  // namespace nnm::io
