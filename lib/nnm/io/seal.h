// The seal of a finished file: a checksum of every byte that no other checksum is sure to cover.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nnm/io/h5.h"

namespace nnm::io {

class Manifest;

/// Appends the seal to a closed HDF5 file. It covers all bytes but those in `guarded`, which have a
/// checksum of their own. HDF5 takes no notice of what follows its end, and cuts it off when it
/// changes the file: a file that another program changed has no seal, rather than a broken one.
/// Throws Error(output).
void write_seal(const std::string& path, std::vector<Extent> guarded);

/// The seal of a file, if it has one. Throws Error(input_file) where something else follows the
/// end of its data.
std::optional<uint32_t> read_seal(const H5Reader& file);

/// Whether the seal, if there is one, is that of the bytes that the manifest does not list.
bool seal_holds(const H5Reader& file, const Manifest& manifest);

}  // namespace nnm::io
