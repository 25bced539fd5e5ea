// Ticks beside steady_clock.
#include "nnm/base/ticks.h"

#include <doctest/doctest.h>

using nnm::Ticks;
using Clock = std::chrono::steady_clock;

TEST_CASE("ticks tell the time that passes") {
  const Ticks ticks;
  const Clock::time_point before = Clock::now();
  const int64_t begin = ticks.now();
  const Clock::time_point after = Clock::now();
  while (Clock::now() - after < std::chrono::milliseconds(20)) {
  }
  const Clock::time_point still = Clock::now();
  const int64_t ns = ticks.ns(ticks.now() - begin);
  const Clock::time_point last = Clock::now();
  // Between the spans within and around it, whatever else the machine does.
  CHECK(ns >= 0.998 * static_cast<double>(std::chrono::nanoseconds(still - after).count()));
  CHECK(ns <= 1.002 * static_cast<double>(std::chrono::nanoseconds(last - before).count()));
  CHECK(ticks.ns(0) == 0);
}
