// The process-wide counter of hook ids.
#include "nnm/base/handle.h"

namespace nnm {

uint64_t HookListBase::next_id() {
  static std::atomic<uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace nnm
