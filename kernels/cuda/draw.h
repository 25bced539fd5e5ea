// Where a kernel's random numbers begin: told by its arguments, or for work that is done again
// (recording.h) also by the device's memory.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace nnm::cuda {

struct Draw {
  uint64_t seed = 0, offset = 0;
  const uint64_t* base = nullptr;  ///< what `offset` counts from; null: from 0
  NNM_HD uint64_t at() const { return base ? *base + offset : offset; }
};

/// For a kernel that is launched now.
Draw draw_from(uint64_t seed, uint64_t offset);

/// From here to end_draws() offsets of draws with this seed count from one in the current device's
/// memory, which set_draws changes before such work is done again; it is `offset` for now. A draw
/// with another seed cannot be done again, and ends what is recorded.
void begin_draws(uint64_t seed, uint64_t offset);
/// Whether there were any draws.
bool end_draws();
void set_draws(uint64_t offset);

}  // namespace nnm::cuda
