// The checksum of HDF5's Fletcher32 filter.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nnm::io {

/// What HDF5 stores behind a chunk of so many bytes (there: H5_checksum_fletcher32, big-endian
/// 16-bit words, an odd last byte counting as the high one of its word).
uint32_t fletcher32(const void* data, size_t bytes);

}  // namespace nnm::io
