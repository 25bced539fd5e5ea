// Elements by index tensors: index_select, gather, scatter_add, masked_select, triangles.
#include "kernels/gather.h"

#include "kernels/pointwise.h"
#include "kernels/reduce.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace detail {

void check_index_range(const Tensor& index, int64_t low, int64_t high,
                       const std::function<void(int64_t bad)>& complain) {
  if (index.is_meta() || index.numel() == 0) return;
  const Tensor ends = empty({2}, {DType::i64, index.device()});
  const Shape ones = Shape::filled(index.dim(), 1);
  kernels::reduce(ends.as_strided(ones, ones, 0), index, Reduce::min);
  kernels::reduce(ends.as_strided(ones, ones, 1), index, Reduce::max);
  const int64_t least = select(ends, 0, 0).item().i, most = select(ends, 0, 1).item().i;
  if (least < low) complain(least);
  if (most >= high) complain(most);
}

Tensor nonzero_positions(const Tensor& mask) {
  const int64_t n = mask.numel();
  if (mask.is_meta()) return empty({n}, {DType::i64, mask.device()});
  const Tensor flat = reshape(mask, {n});
  if (n == 0) return zeros({0}, {DType::i64, mask.device()});
  const Tensor count = cumsum(flat, 0, DType::i64);
  const int64_t total = select(count, 0, n - 1).item().i;
  // Position i goes to place count[i] - 1; what is not selected goes to a place past the end.
  const Tensor place =
      where(flat, sub(count, Scalar(1)), scalar_tensor(total, DType::i64, mask.device()));
  const Tensor out = empty({total + 1}, {DType::i64, mask.device()});
  kernels::put(out.as_strided({}, {}, 0), arange(0, n, 1, DType::i64, mask.device()), place, false);
  return narrow(out, 0, 0, total);
}

}  // namespace detail

namespace {

Tensor zeros_of(const InputMeta& m) { return zeros(m.sizes, {m.dtype, m.device}); }

void check_index_type(const Tensor& index, const char* op) {
  NNM_CHECK(index.dtype() == DType::i64, runtime, "{}(): Expected dtype int32/int64 for index", op);
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  detail::check_defined(x, "index_select");
  detail::check_defined(index, "index_select");
  NNM_CHECK(index.dim() <= 1, index, "index_select(): Index is supposed to be a vector");
  NNM_CHECK(index.dtype() == DType::i64 || index.dtype() == DType::i32, runtime,
            "index_select(): Expected dtype int32 or int64 for index");
  const int d = wrap_dim(dim, x.dim());
  const int64_t n = x.dim() ? x.shape()[d] : 1;
  detail::check_index_range(index, 0, n,
                            [](int64_t) { fail(ErrorKind::index, "index out of range in self"); });
  NNM_CHECK(x.dim() > 0 || index.numel() == 1, index,
            "index_select(): Index to scalar can have only 1 value, got {} value(s)",
            index.numel());
  if (x.dim() == 0) return reshape(index_select(reshape(x, {1}), 0, index), {});
  Shape shape = x.shape();
  shape[d] = index.numel();
  Tensor y = empty(shape, x.options());
  kernels::take(detail::dim_first(y, d), detail::without_dim(x, d),
                detail::offsets_of(index, x.strides()[d]));
  if (!needs_grad({&x})) return y;
  return record("IndexSelectBackward0", y, {&x}, [index = Saved(index), d](Backward& b) {
    Tensor dx = zeros_of(b.input(0));
    kernels::put(detail::without_dim(dx, d), detail::dim_first(b.grad(), d),
                 detail::offsets_of(index.get(), dx.strides()[d]), true);
    b.set(0, dx);
  });
}

Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 Scalar alpha) {
  detail::check_defined(x, "index_add");
  detail::check_defined(index, "index_add");
  detail::check_defined(source, "index_add");
  const int d = wrap_dim(dim, x.dim());
  NNM_CHECK(index.dim() <= 1, index,
            "index_add_(): Index is supposed to be a vector, but got dim: {}", index.dim());
  NNM_CHECK(index.dtype() == DType::i64 || index.dtype() == DType::i32, runtime,
            "index_add_(): Expected dtype int32/int64 for index but got: {}",
            detail::scalar_type_name(index.dtype()));
  NNM_CHECK(x.dtype() == source.dtype(), runtime,
            "index_add_(): self ({}) and source ({}) must have the same scalar type",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(source.dtype()));
  if (x.dim() == 0 && source.numel() == index.numel())
    return reshape(index_add(reshape(x, {1}), dim, index, reshape(source, {-1}), alpha), {});
  Shape wanted = x.shape();
  if (x.dim() > 0) wanted[d] = index.numel();
  NNM_CHECK(x.dim() > 0 && source.shape() == wanted, runtime,
            "index_add_(): source of size {} must have the size {} of self with {} places along "
            "dimension {}",
            source.shape().str(), x.shape().str(), index.numel(), d);
  detail::check_index_range(index, 0, x.shape()[d],
                            [](int64_t) { fail(ErrorKind::index, "index out of range in self"); });
  Tensor y;
  {
    NoGradGuard no_grad;
    y = clone(x);
    const Tensor from = alpha.d == 1 ? source : mul(source, alpha);
    kernels::put(detail::without_dim(y, d), detail::dim_first(from, d),
                 detail::offsets_of(index, y.strides()[d]), true);
  }
  if (!needs_grad({&x, &source})) return y;
  return record("IndexAddBackward0", y, {&x, &source},
                [index = Saved(index), d, alpha](Backward& b) {
                  if (b.needs(0)) b.set(0, b.grad());
                  if (!b.needs(1)) return;
                  const Tensor g = index_select(b.grad(), d, index.get());
                  b.set(1, alpha.d == 1 ? g : mul(g, alpha));
                });
}

namespace {

void check_gather(const Tensor& x, int d, const Tensor& index, const char* op) {
  check_index_type(index, op);
  NNM_CHECK(std::max(x.dim(), 1) == std::max(index.dim(), 1), runtime,
            "Index tensor must have the same number of dimensions as {} tensor",
            op[0] == 'g' ? "input" : "self");
  for (int k = 0; k < index.dim(); ++k) {
    const int64_t extent = x.dim() ? x.shape()[k] : 1;
    NNM_CHECK(k == d || index.shape()[k] <= extent, runtime,
              "Size does not match at dimension {} expected index {} to be no larger than self {} "
              "apart from dimension {}",
              k, index.shape().str(), x.shape().str(), d);
  }
  const int64_t n = x.dim() ? x.shape()[d] : 1;
  detail::check_index_range(index, 0, n, [&](int64_t bad) {
    fail(ErrorKind::runtime, "index {} is out of bounds for dimension {} with size {}", bad, d, n);
  });
}

/// x with at least one dimension, so that kernels can index it.
Tensor at_least_1d(const Tensor& x) {
  return x.dim() ? x : x.as_strided({1}, {1}, x.impl()->offset);
}

}  // namespace

Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  detail::check_defined(x, "gather");
  detail::check_defined(index, "gather");
  const int d = wrap_dim(dim, x.dim());
  check_gather(x, d, index, "gather");
  Tensor y = empty(index.shape(), x.options());
  kernels::gather(at_least_1d(y), at_least_1d(x), at_least_1d(index), d);
  if (!needs_grad({&x})) return y;
  return record("GatherBackward0", y, {&x}, [index = Saved(index), d](Backward& b) {
    Tensor dx = zeros_of(b.input(0));
    kernels::scatter(at_least_1d(dx), at_least_1d(index.get()), at_least_1d(b.grad()), d, true);
    b.set(0, dx);
  });
}

namespace {

/// The part of src that an index of this shape uses.
Tensor used(const Tensor& src, const Shape& sizes) {
  return src.as_strided(sizes, src.strides(), src.impl()->offset);
}

/// x with src written (or added) at the places of the index.
Tensor scattered(const Tensor& x, int d, const Tensor& index, const Tensor& src, bool accumulate) {
  check_gather(x, d, index, "scatter");
  NNM_CHECK(src.dtype() == x.dtype(), runtime,
            "scatter(): Expected self.dtype to be equal to src.dtype");
  NNM_CHECK(std::max(src.dim(), 1) == std::max(index.dim(), 1), runtime,
            "Index tensor must have the same number of dimensions as src tensor");
  for (int k = 0; k < index.dim(); ++k) {
    const int64_t extent = src.dim() ? src.shape()[k] : 1;
    NNM_CHECK(index.shape()[k] <= extent, runtime,
              "Expected index {} to be no larger than self {} apart from dimension {} and to be no "
              "larger size than src {}",
              index.shape().str(), x.shape().str(), d, src.shape().str());
  }
  NoGradGuard no_grad;
  Tensor y = clone(x);
  const Tensor at = at_least_1d(index);
  kernels::scatter(at_least_1d(y), at, used(at_least_1d(src), at.shape()), d, accumulate);
  return y;
}

/// The gradient of src: elements beyond the index took no part.
Tensor gathered_gradient(const Tensor& g, int d, const Tensor& index, const InputMeta& src) {
  Tensor ds = zeros_of(src);
  const Tensor at = at_least_1d(index);
  kernels::gather(used(at_least_1d(ds), at.shape()), at_least_1d(g), at, d);
  return ds;
}

}  // namespace

Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  detail::check_defined(x, "scatter_add");
  detail::check_defined(index, "scatter_add");
  detail::check_defined(src, "scatter_add");
  const int d = wrap_dim(dim, x.dim());
  Tensor y = scattered(x, d, index, src, true);
  if (!needs_grad({&x, &src})) return y;
  return record("ScatterAddBackward0", y, {&x, &src}, [index = Saved(index), d](Backward& b) {
    if (b.needs(0)) b.set(0, b.grad());
    if (b.needs(1)) b.set(1, gathered_gradient(b.grad(), d, index.get(), b.input(1)));
  });
}

Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  detail::check_defined(x, "scatter");
  detail::check_defined(index, "scatter");
  detail::check_defined(src, "scatter");
  const int d = wrap_dim(dim, x.dim());
  Tensor y = scattered(x, d, index, src, false);
  if (!needs_grad({&x, &src})) return y;
  return record("ScatterBackward0", y, {&x, &src}, [index = Saved(index), d](Backward& b) {
    if (b.needs(0)) {
      const Tensor zero = zeros(index.get().shape(), b.grad().options());
      b.set(0, scattered(b.grad(), d, index.get(), zero, false));
    }
    if (b.needs(1)) b.set(1, gathered_gradient(b.grad(), d, index.get(), b.input(1)));
  });
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  detail::check_defined(x, "masked_select");
  detail::check_defined(mask, "masked_select");
  NNM_CHECK(mask.dtype() == DType::b8, runtime, "masked_select: expected BoolTensor for mask");
  const Shape shape = broadcast_shapes(x.shape(), mask.shape());
  Tensor positions, y;
  {
    NoGradGuard no_grad;
    positions = detail::nonzero_positions(detail::expand_view(mask, shape));
    const Tensor flat = contiguous(detail::expand_view(x, shape));
    y = empty(positions.shape(), x.options());
    kernels::take(y, flat.as_strided({}, {}, flat.impl()->offset), positions);
  }
  if (!needs_grad({&x})) return y;
  return record("MaskedSelectBackward0", y, {&x}, [p = Saved(positions), shape](Backward& b) {
    Tensor dx = zeros(shape, {b.input(0).dtype, b.input(0).device});
    kernels::put(dx.as_strided({}, {}, 0), b.grad(), p.get(), true);
    b.set(0, sum_to(dx, b.input(0).sizes));
  });
}

namespace {

Tensor triangle(const char* node, const Tensor& x, int64_t diagonal, bool upper, const char* op) {
  detail::check_defined(x, op);
  NNM_CHECK(x.dim() >= 2, runtime, "{}: input tensor must have at least 2 dimensions", op);
  Tensor y = empty(x.shape(), x.options());
  kernels::triangle(y, x, diagonal, upper);
  if (!needs_grad({&x})) return y;
  return record(node, y, {&x}, [diagonal, upper](Backward& b) {
    Tensor dx = empty(b.input(0).sizes, b.grad().options());
    kernels::triangle(dx, b.grad(), diagonal, upper);
    b.set(0, dx);
  });
}

}  // namespace

Tensor tril(const Tensor& x, int64_t diagonal) {
  return triangle("TrilBackward0", x, diagonal, false, "tril");
}
Tensor triu(const Tensor& x, int64_t diagonal) {
  return triangle("TriuBackward0", x, diagonal, true, "triu");
}

}  // namespace nnm
