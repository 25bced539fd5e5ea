// How an update rule runs over parameter, gradient and state: in parallel pieces, half types by way
// of float.
#pragma once

#include <algorithm>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

// Numbers read or written by one thread, 10 us and more of work: a second one costs some to wake.
constexpr int64_t kGrain = 131072;
constexpr int64_t kBlock = 512;
constexpr int kViews = 5;

// Runs rule(p, g, a, b, c, n) on pieces; half types go through buffers in float.
template <class T, class Rule>
void pieces(const View* views, int64_t begin, int64_t end, const Rule& rule) {
  using C = Compute<T>;
  if constexpr (!kIsHalf<T>) {
    C* p[kViews];
    for (int k = 0; k < kViews; ++k) p[k] = views[k].data ? views[k].as<C>() + begin : nullptr;
    rule(p[0], p[1], p[2], p[3], p[4], end - begin);
  } else {
    C buffers[kViews][kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t n = std::min(kBlock, end - at);
      C* p[kViews];
      for (int k = 0; k < kViews; ++k) {
        p[k] = views[k].data ? buffers[k] : nullptr;
        if (p[k]) load<T>(views[k].as<T>() + at, n, p[k]);
      }
      rule(p[0], p[1], p[2], p[3], p[4], n);
      for (int k = 0; k < kViews; ++k) {
        if (!p[k] || k == 1) continue;
        for (int64_t i = 0; i < n; ++i) views[k].as<T>()[at + i] = T(p[k][i]);
      }
    }
  }
}

template <class MakeRule>
void update(const View& param, const View& grad, const View& a, const View& b, const View& c,
            const MakeRule& make) {
  const View views[kViews] = {param, grad, a, b, c};
  const auto streams = std::count_if(views, views + kViews, [](const View& v) { return v.data; });
  by_floating(param.dtype, [&]<class T>() {
    const auto rule = make.template operator()<Compute<T>>();
    parallel_for(param.numel(), kGrain / std::max<int64_t>(streams, 1),
                 [&](int64_t begin, int64_t end) { pieces<T>(views, begin, end, rule); });
  });
}

}  // namespace
}  // namespace nnm
