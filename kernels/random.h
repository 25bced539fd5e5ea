// Random draws: element i of a draw is a function of (seed, offset, i) alone.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

/// x contiguous and floating: uniform in [from, to), 24 bits (f64: 53).
inline constinit Kernel<void(const View& x, uint64_t seed, uint64_t offset, double from, double to)>
    random_uniform{"random_uniform"};
/// x contiguous and floating: normal, rounded once from double.
inline constinit Kernel<void(const View& x, uint64_t seed, uint64_t offset, double mean,
                             double std)>
    random_normal{"random_normal"};
/// x contiguous i64: uniform integers in [low, high).
inline constinit Kernel<void(const View& x, uint64_t seed, uint64_t offset, int64_t low,
                             int64_t high)>
    random_integers{"random_integers"};
/// y = x * (uniform >= p ? scale : 0), both contiguous and of one type: dropout. The same draw
/// gives the same mask, so backward calls it on the gradient.
inline constinit Kernel<void(const View& y, const View& x, uint64_t seed, uint64_t offset, double p,
                             double scale)>
    random_mask{"random_mask"};

}  // namespace nnm::kernels
