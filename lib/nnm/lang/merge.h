// Merging: one config laid over another.
#pragma once

#include "nnm/lang/tree.h"

namespace nnm::lang {

/// Lays one config over another, as `extends` does: mappings are merged key by key, new keys come
/// last; everything else replaces what is there. A key without a value (`train:`) changes nothing,
/// `train: null` empties it. A layer in mapping form of another type, and the classes of an import,
/// replace as a whole.
void merge_config(Tree& base, Tree over);

}  // namespace nnm::lang
