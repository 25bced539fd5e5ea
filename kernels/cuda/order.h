// Stable sorting of integer keys: how additions to the same place are brought into one order
// without atomics on floating types.
#pragma once

#include <cstdint>

namespace nnm::cuda {

/// Sorts n keys on the current device by their lowest `bits` bits, which must tell them apart:
/// equal keys become neighbours, in their old order. sorted[i] = keys[order[i]]; `keys` may be
/// `sorted`. Method: radix sort, least digit first, 8 bits a pass.
void stable_order(int64_t* sorted, int64_t* order, const int64_t* keys, int64_t n, int bits);

}  // namespace nnm::cuda
