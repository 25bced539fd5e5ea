// Which results of a sliding window meet its input.
#pragma once

#include <algorithm>
#include <cstdint>

namespace nnm::detail {

/// Results begin, begin + 1 … below end; none where those are equal.
struct Meeting {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

/// Of `results`, those at which a tap meets one of `pixels`: it is at position `first` for result
/// 0, and goes on by `step`.
inline Meeting meeting(int64_t results, int64_t pixels, int64_t first, int64_t step) {
  const int64_t begin = first < 0 ? (step - 1 - first) / step : 0;
  const int64_t end = pixels > first ? (pixels - first + step - 1) / step : 0;
  return {begin, std::max(begin, std::min(end, results))};
}

}  // namespace nnm::detail
