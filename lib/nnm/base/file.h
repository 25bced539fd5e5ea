// Files: whole reads, whole writes, checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nnm {

/// The bytes of a file. Throws Error(input_file) with the reason, also if it is larger than `most`.
std::string read_file(const std::string& path, size_t most);
/// Writes a file beside `path`, syncs it and renames it over `path`: whole or absent. Throws
/// Error(output) with path and reason; the old file is then as it was.
void write_file_atomic(const std::string& path, std::string_view bytes);

/// CRC-32C (Castagnoli), as iSCSI and HDF5 tools compute it; `crc` continues an earlier one.
uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0);

}  // namespace nnm
