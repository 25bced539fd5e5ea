// Dictionaries of values as HDF5 groups: how options, scheduler and data state are kept.
#pragma once

#include "nnm/io/manifest.h"

namespace nnm::io {

/// Writes a group with one entry per item: numbers, strings, none and plain sequences of them as
/// attributes, tensors as datasets, dicts and other sequences as groups of their own. Throws
/// Error(output) for values of other kinds and for keys with a slash.
void write_items(H5Writer& file, const std::string& path, const Items& items);

/// What write_items wrote, attributes (by name) first; sequences come back as tuples. Tensors are
/// checked against the manifest.
Items read_items(const H5Reader& file, const Manifest& manifest, const H5Node& group);

/// The entry of that key, or null.
const Value* find_item(const Items& items, std::string_view key);
/// The entry of that key in what a checkpoint holds. Throws Error(input_file) where there is none.
const Value& item_at(const Items& items, std::string_view key);

}  // namespace nnm::io
