// Of which input elements an output element of a resampling is made, on every device.
#pragma once

#include <cmath>

#include "kernels/host_device.h"
#include "kernels/resample.h"

namespace nnm {
namespace {

constexpr int kMostTapsOfOne = 4;

/// Places in the input and their weights.
template <class C>
struct Taps {
  int count;
  int64_t at[kMostTapsOfOne];
  C weight[kMostTapsOfOne];
};

NNM_HD inline int64_t within(int64_t i, int64_t n) { return i < 0 ? 0 : i < n ? i : n - 1; }

/// Keys 1981 with a = -0.75, for distances up to 1 and up to 2.
template <class C>
NNM_HD inline C cubic_near(C d) {
  constexpr C a = C(-0.75);
  return ((a + 2) * d - (a + 3)) * d * d + 1;
}
template <class C>
NNM_HD inline C cubic_far(C d) {
  constexpr C a = C(-0.75);
  return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

/// The taps of output element o, in the order of the input. As PyTorch's CPU kernels, positions of
/// nearest elements are counted in single precision, others in the computing type.
template <class C>
NNM_HD inline Taps<C> taps_of(const Resample& r, int64_t o) {
  if (r.mode == Resampling::nearest || r.mode == Resampling::nearest_exact) {
    const float shift = r.mode == Resampling::nearest_exact ? 0.5f : 0.0f;
    const float place = (static_cast<float>(o) + shift) * static_cast<float>(r.step);
    return {1, {within(static_cast<int64_t>(std::floor(place)), r.in)}, {C(1)}};
  }
  const C step = static_cast<C>(r.step);
  C place =
      r.align_corners ? step * static_cast<C>(o) : step * (static_cast<C>(o) + C(0.5)) - C(0.5);
  if (r.mode == Resampling::linear && place < 0) place = 0;
  const C floor = std::floor(place);
  const auto low = static_cast<int64_t>(floor);
  C t = place - floor;
  if (r.mode == Resampling::linear) {
    // PyTorch's last element is its own neighbour, with what rounding left beyond it.
    const int64_t first = within(low, r.in);
    if (low > first) t = 1;
    return {2, {first, within(first + 1, r.in)}, {1 - t, t}};
  }
  return {4,
          {within(low - 1, r.in), within(low, r.in), within(low + 1, r.in), within(low + 2, r.in)},
          {cubic_far(t + 1), cubic_near(t), cubic_near(1 - t), cubic_far(2 - t)}};
}

/// Output elements [first, last), all that may have input element i among their taps.
struct Reach {
  int64_t first, last;
};

NNM_HD inline Reach reach_of(const Resample& r, int64_t i) {
  // Elements at the ends stand for all that lie beyond them.
  constexpr double kFar = 3;
  const bool low_end = i == 0 || r.step <= 0, high_end = i == r.in - 1 || r.step <= 0;
  const double shift = r.align_corners ? 0 : 0.5;
  const auto output = [&](double place) { return (place + shift) / r.step - shift; };
  const double first = low_end ? 0 : std::floor(output(static_cast<double>(i) - kFar)),
               last = high_end ? static_cast<double>(r.out)
                               : std::ceil(output(static_cast<double>(i) + kFar)) + 1;
  return {first < 0 ? 0 : static_cast<int64_t>(first),
          last < static_cast<double>(r.out) ? static_cast<int64_t>(last) : r.out};
}

}  // namespace
}  // namespace nnm
