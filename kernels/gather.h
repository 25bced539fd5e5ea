// Elements by index: gather and its adjoint, windows at offsets, triangles.
#pragma once

#include "kernels/kernel.h"

namespace nnm::kernels {

/// out[i] = x[i with index[i] in the place of coordinate `dim`]. out has index's shape (i64, in
/// range), x the same rank and out's type.
inline constinit Kernel<void(const View& out, const View& x, const View& index, int64_t dim)>
    gather{"gather"};
/// out[i with index[i] at `dim`] += src[i], or = src[i] where `accumulate` is false, in the order
/// of i. index and src have one shape, src and out one type.
inline constinit Kernel<void(const View& out, const View& index, const View& src, int64_t dim,
                             bool accumulate)>
    scatter{"scatter"};
/// out (n, …) = the window x (…) moved by offsets (n, i64, elements): advanced indexing.
inline constinit Kernel<void(const View& out, const View& x, const View& offsets)> take{"take"};
/// The window x (…), moved by offsets (n), gets += src (n, …), in their order; or = src where
/// `accumulate` is false (of equal offsets the last counts).
inline constinit Kernel<void(const View& x, const View& src, const View& offsets, bool accumulate)>
    put{"put"};
/// out = x where column - row <= diagonal (>= if upper) in the last two dimensions, else 0.
inline constinit Kernel<void(const View& out, const View& x, int64_t diagonal, bool upper)>
    triangle{"triangle"};

}  // namespace nnm::kernels
