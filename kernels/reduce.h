// Reductions over any dimensions, extrema with their indices, running sums, sorting.
#pragma once

#include "kernels/kernel.h"

namespace nnm {
enum class Reduce : uint8_t { sum, prod, max, min };
}

namespace nnm::kernels {

/// out = reduction of x over the dimensions in which out has extent 1 (out has x's rank). Floating
/// types sum in chunks whose totals are doubles; the order depends on the shape alone. max and min
/// pass NaN on. An empty reduction gives 0, 1, or for max and min is the caller's error.
inline constinit Kernel<void(const View& out, const View& x, Reduce f)> reduce{"reduce"};
/// The first largest (or smallest) element along `dim` and its index (i64); NaN wins.
inline constinit Kernel<void(const View& values, const View& indices, const View& x, int64_t dim,
                             bool largest)>
    extremum{"extremum"};
/// y[i] = x[0] + … + x[i] along `dim`; `reverse` sums from the end.
inline constinit Kernel<void(const View& y, const View& x, int64_t dim, bool reverse)> cumsum{
    "cumsum"};
/// Stable sort along `dim`; NaN counts as the largest. values and indices may be shorter than x
/// along `dim`: then they get the first ones (topk).
inline constinit Kernel<void(const View& values, const View& indices, const View& x, int64_t dim,
                             bool descending)>
    sort{"sort"};

}  // namespace nnm::kernels
