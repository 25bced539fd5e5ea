// The rate of the processor's counter.
#include "nnm/base/ticks.h"

#include <fstream>
#include <ratio>
#include <string>
#include <type_traits>

namespace nnm {
namespace {

static_assert(std::is_same_v<std::chrono::steady_clock::period, std::nano>);

bool linux_keeps_time_by_the_counter() {
#if defined(__x86_64__)
  std::ifstream in("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string source;
  return in >> source && source == "tsc";
#else
  return false;
#endif
}

// 0 where the counter is not to be used.
double measured_ns_per_tick() {
#if defined(__x86_64__)
  if (!linux_keeps_time_by_the_counter()) return 0;
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const uint64_t first = __rdtsc();
  Clock::time_point end = begin;
  while (end - begin < std::chrono::microseconds(200)) end = Clock::now();
  const uint64_t last = __rdtsc();
  if (last > first)
    return static_cast<double>(std::chrono::nanoseconds(end - begin).count()) /
           static_cast<double>(last - first);
#endif
  return 0;
}

}  // namespace

Ticks::Ticks() {
  static const double kMeasured = measured_ns_per_tick();
  if (kMeasured <= 0) return;
  counter_ = true;
  ns_per_tick_ = kMeasured;
}

}  // namespace nnm
