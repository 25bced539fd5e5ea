// Python's slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace nnm {

/// The positions that slice(start, stop, step) picks of n. Throws Error(value) where step is 0.
std::vector<size_t> slice_positions(std::optional<int64_t> start, std::optional<int64_t> stop,
                                    int64_t step, size_t n);

}  // namespace nnm
