// Not unless it is allowed.
#include "kernels/tf32.h"

#include <atomic>

namespace nnm {

namespace {

std::atomic<bool> tf32 = false;

}  // namespace

bool tf32_allowed() { return tf32.load(std::memory_order_relaxed); }
void allow_tf32(bool on) { tf32.store(on, std::memory_order_relaxed); }

}  // namespace nnm
