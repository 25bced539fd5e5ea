// What reductions are on every device: how totals start and combine, and which dimensions go.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/host_device.h"
#include "kernels/reduce.h"
#include "kernels/wrapping.h"

namespace nnm {
namespace {

template <class T>
constexpr bool kReal = !std::is_integral_v<T>;

/// The type totals are kept in: double for reals, so that long sums stay exact.
template <class T>
using Total = std::conditional_t<kReal<T>, double, int64_t>;

template <class T>
NNM_HD inline Total<T> start(Reduce f) {
  switch (f) {
    case Reduce::sum: return 0;
    case Reduce::prod: return 1;
    case Reduce::max:
      return kReal<T> ? Total<T>(-std::numeric_limits<double>::infinity())
                      : std::numeric_limits<Total<T>>::lowest();
    case Reduce::min:
      return kReal<T> ? Total<T>(std::numeric_limits<double>::infinity())
                      : std::numeric_limits<Total<T>>::max();
  }
  return 0;
}

template <class A>
NNM_HD inline A combine(Reduce f, A a, A b) {
  switch (f) {
    case Reduce::sum: return plus(a, b);
    case Reduce::prod: return times(a, b);
    case Reduce::max: return a != a ? a : b != b ? b : a > b ? a : b;
    case Reduce::min: return a != a ? a : b != b ? b : a < b ? a : b;
  }
  return a;
}

/// The dimensions of x split into kept and reduced ones, each folded, outermost first.
struct Split {
  struct Dims {
    int n = 0;
    int64_t size[kMaxDims], x[kMaxDims], out[kMaxDims];
    NNM_HD int64_t count() const {
      int64_t c = 1;
      for (int i = 0; i < n; ++i) c *= size[i];
      return c;
    }
    void add(int64_t s, int64_t xs, int64_t os) {
      if (s == 1) return;
      if (n > 0 && x[n - 1] == xs * s && out[n - 1] == os * s) {
        size[n - 1] *= s;
        x[n - 1] = xs;
        out[n - 1] = os;
        return;
      }
      size[n] = s;
      x[n] = xs;
      out[n++] = os;
    }
    /// Offsets of the i-th index over the first `dims` dimensions.
    NNM_HD void offsets(int64_t i, int dims, int64_t& xo, int64_t& oo) const {
      for (int d = dims - 1; d >= 0; --d) {
        const int64_t k = i % size[d];
        i /= size[d];
        xo += k * x[d];
        oo += k * out[d];
      }
    }
  } kept, reduced;

  Split(const View& out, const View& x) {
    int order[kMaxDims];
    for (int d = 0; d < x.ndim; ++d) order[d] = d;
    for (int i = 1; i < x.ndim; ++i) {
      for (int j = i; j > 0 && x.stride[order[j - 1]] < x.stride[order[j]]; --j)
        std::swap(order[j - 1], order[j]);
    }
    for (int i = 0; i < x.ndim; ++i) {
      const int d = order[i];
      if (out.size[d] == x.size[d]) {
        kept.add(x.size[d], x.stride[d], out.stride[d]);
      } else {
        reduced.add(x.size[d], x.stride[d], 0);
      }
    }
  }
};

}  // namespace
}  // namespace nnm
