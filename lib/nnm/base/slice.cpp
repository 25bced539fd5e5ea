// Python's slices.
#include "nnm/base/slice.h"

#include <algorithm>

#include "nnm/base/error.h"

namespace nnm {

std::vector<size_t> slice_positions(std::optional<int64_t> start, std::optional<int64_t> stop,
                                    int64_t step, size_t n) {
  NNM_CHECK(step != 0, value, "slice step cannot be zero");
  const auto length = static_cast<int64_t>(n);
  const auto bound = [&](const std::optional<int64_t>& given, int64_t absent) {
    if (!given) return absent;
    const int64_t i = *given >= 0 ? *given : *given < -length ? -1 : *given + length;
    return step > 0 ? std::clamp<int64_t>(i, 0, length) : std::clamp<int64_t>(i, -1, length - 1);
  };
  const int64_t first = bound(start, step > 0 ? 0 : length - 1);
  const int64_t end = bound(stop, step > 0 ? length : -1);
  std::vector<size_t> out;
  // |step| may be huge: the distance, not a running sum, says when to stop.
  for (int64_t i = first; step > 0 ? i < end : i > end; i += step) {
    out.push_back(static_cast<size_t>(i));
    if (step > 0 ? step >= end - i : step <= end - i) break;
  }
  return out;
}

}  // namespace nnm
