// Sorting and the largest elements.
#include "kernels/reduce.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

/// The gradient goes back to where the values came from.
void record_selection(const char* node, const Tensor& values, const Tensor& x,
                      const Tensor& indices, int dim) {
  if (!needs_grad({&x})) return;
  record(node, values, {&x}, [indices = Saved(indices), dim](Backward& b) {
    const InputMeta& in = b.input(0);
    if (in.sizes.empty()) return b.set(0, b.maybe_grad());
    b.set(0, scatter_add(zeros(in.sizes, {in.dtype, in.device}), dim, indices.get(), b.grad()));
  });
}

/// The first of x in order along `dim`, as many as `shape` has there, and where they came from.
std::pair<Tensor, Tensor> sorted_by(const Tensor& x, int dim, bool descending, const Shape& shape) {
  const Tensor values = empty(shape, x.options());
  const Tensor indices = empty(shape, {DType::i64, x.device()});
  kernels::sort(values, indices, x, dim, descending);
  return {values, indices};
}

}  // namespace

std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t dim, bool descending) {
  detail::check_defined(x, "sort");
  const int d = wrap_dim(dim, x.dim());
  auto result = sorted_by(x, d, descending, x.shape());
  record_selection("SortBackward0", result.first, x, result.second, d);
  return result;
}

Tensor argsort(const Tensor& x, int64_t dim, bool descending) {
  NoGradGuard no_grad;
  return sort(x, dim, descending).second;
}

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t dim, bool largest, bool) {
  detail::check_defined(x, "topk");
  const int d = wrap_dim(dim, x.dim());
  NNM_CHECK(k >= 0 && k <= (x.dim() ? x.shape()[d] : 1), runtime, "selected index k out of range");
  Shape shape = x.shape();
  if (x.dim() > 0) shape[d] = k;
  auto [values, indices] = sorted_by(x, d, largest, shape);
  record_selection("TopkBackward0", values, x, indices, d);
  return {values, indices};
}

}  // namespace nnm
