// Products made of others: running ones, scaled ones, over chosen dimensions.
#include <algorithm>

#include "nnm/ops/arguments.h"

namespace nnm {

namespace {

/// beta input + alpha y; an input that does not count is not looked at.
Tensor scaled_sum(const Tensor& input, const Tensor& y, double beta, double alpha) {
  const Tensor product = alpha == 1 ? y : mul(y, Scalar(alpha));
  if (beta == 0) return expand(product, broadcast_shapes(input.shape(), product.shape()));
  return add(product, beta == 1 ? input : mul(input, Scalar(beta)));
}

/// y, which is dense and on the CPU, becomes its running products.
template <class T>
void run_products(const Tensor& y, int64_t dim) {
  const Shape& shape = y.shape();
  const int d = wrap_dim(dim, y.dim());
  int64_t inner = 1;
  for (int i = d + 1; i < y.dim(); ++i) inner *= shape[i];
  const int64_t row = shape[d] * inner;
  T* const all = static_cast<T*>(y.data());
  for (int64_t begin = 0; begin < y.numel(); begin += row)
    for (int64_t i = begin + inner; i < begin + row; ++i) all[i] *= all[i - inner];
}

}  // namespace

Tensor cumprod(const Tensor& x, int64_t dim, std::optional<DType> dtype) {
  detail::check_defined(x, "cumprod");
  const DType type = dtype.value_or(is_floating(x.dtype()) ? x.dtype() : DType::i64);
  if (x.dim() == 0 || x.numel() == 0) return to(x, type);
  if (x.is_meta()) return to(cumsum(x, dim), type);
  const Tensor wide = to(x, is_floating(type) ? DType::f64 : DType::i64);
  if (wide.device().type == DeviceType::cpu && !needs_grad({&x})) {
    const Tensor y = contiguous(clone(wide));
    is_floating(type) ? run_products<double>(y, dim) : run_products<int64_t>(y, dim);
    return to(y, type);
  }
  // Slice by slice, so that zeros are no matter for the gradient.
  Tensor product;
  Tensors running;
  for (const Tensor& slice : unbind(wide, dim)) {
    product = product.defined() ? mul(product, slice) : slice;
    running.push_back(product);
  }
  return to(stack(running, dim), type);
}

Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha) {
  return scaled_sum(input, bmm(a, b), beta, alpha);
}

Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha) {
  return scaled_sum(input, sum(bmm(a, b), {0}), beta, alpha);
}

Tensor addmv(const Tensor& input, const Tensor& mat, const Tensor& vec, double beta, double alpha) {
  NNM_CHECK(mat.dim() == 2 && vec.dim() == 1, runtime,
            "vector + matrix @ vector expected, got {}, {}, {}", input.dim(), mat.dim(), vec.dim());
  return scaled_sum(input, matmul(mat, vec), beta, alpha);
}

Tensor inner(const Tensor& a, const Tensor& b) {
  if (a.dim() == 0 || b.dim() == 0) return mul(a, b);
  NNM_CHECK(a.size(-1) == b.size(-1), runtime,
            "inner() the last dimension must match on both input tensors but got shapes {} and {}",
            a.shape().str(), b.shape().str());
  return tensordot(a, b, {-1}, {-1});
}

Tensor tensordot(const Tensor& left_operand, const Tensor& right_operand, const Dims& dims_a,
                 const Dims& dims_b) {
  Tensor a = left_operand, b = right_operand;
  NNM_CHECK(dims_a.size() == dims_b.size(), runtime,
            "both dimension lists should have same length, got {} and {}", dims_a.size(),
            dims_b.size());
  const uint32_t over_a = dims_a.empty() ? 0 : detail::dim_mask(dims_a, a.dim());
  const uint32_t over_b = dims_b.empty() ? 0 : detail::dim_mask(dims_b, b.dim());
  Dims left, right;
  Shape shape;
  int64_t rows = 1, over = 1, columns = 1;
  for (int d = 0; d < a.dim(); ++d) {
    if (over_a >> d & 1) continue;
    left.push_back(d);
    shape.push_back(a.shape()[d]);
    rows *= a.shape()[d];
  }
  for (size_t i = 0; i < dims_a.size(); ++i) {
    const int64_t da = wrap_dim(dims_a[i], a.dim()), db = wrap_dim(dims_b[i], b.dim());
    // One number beside many: it multiplies their sum.
    if (a.size(da) == 1 && b.size(db) != 1) b = sum(b, {db}, true);
    if (b.size(db) == 1 && a.size(da) != 1) a = sum(a, {da}, true);
    NNM_CHECK(a.size(da) == b.size(db), runtime,
              "contracted dimensions need to match, but first has size {} in dim {} and second has "
              "size {} in dim {}",
              a.size(da), da, b.size(db), db);
    left.push_back(da);
    right.push_back(db);
    over *= a.size(da);
  }
  for (int d = 0; d < b.dim(); ++d) {
    if (over_b >> d & 1) continue;
    right.push_back(d);
    shape.push_back(b.shape()[d]);
    columns *= b.shape()[d];
  }
  const Tensor product =
      mm(reshape(permute(a, left), {rows, over}), reshape(permute(b, right), {over, columns}));
  return reshape(product, shape);
}

Tensor kron(const Tensor& a, const Tensor& b) {
  const int rank = std::max(a.dim(), b.dim());
  // Extents a0, 1, a1, 1 … and 1, b0, 1, b1 …: their product is the result, still in pairs.
  Shape wide_a, wide_b, shape;
  for (int d = 0; d < rank; ++d) {
    const int in_a = d - (rank - a.dim()), in_b = d - (rank - b.dim());
    const int64_t na = in_a < 0 ? 1 : a.shape()[in_a], nb = in_b < 0 ? 1 : b.shape()[in_b];
    for (int64_t n : {na, int64_t{1}}) wide_a.push_back(n);
    for (int64_t n : {int64_t{1}, nb}) wide_b.push_back(n);
    shape.push_back(na * nb);
  }
  return reshape(mul(reshape(a, wide_a), reshape(b, wide_b)), shape);
}

namespace {

using namespace detail;

/// dims=2: the last two of a with the first two of b; or a list for each.
Value tensordot_of(const Value* a) {
  const Tensor x = tensor(a[0]), y = tensor(a[1]);
  if (a[2].is_sequence()) {
    const Values& lists = a[2].items();
    NNM_CHECK(lists.size() == 2, runtime,
              "tensordot expects dims to be an int or two lists of dimensions, got {}",
              a[2].config_text());
    return tensordot(x, y, integers(lists[0]), integers(lists[1]));
  }
  const int64_t n = a[2].integer();
  NNM_CHECK(n >= 0 && n <= std::min(x.dim(), y.dim()), runtime,
            "tensordot: dims must be from 0 to the rank of both, got {}", n);
  Dims last, first;
  for (int64_t i = 0; i < n; ++i) {
    last.push_back(x.dim() - n + i);
    first.push_back(i);
  }
  return tensordot(x, y, last, first);
}

const Function kProductFunctions[] = {
    {"cumprod(input: Tensor, dim: int, *, dtype: dtype = none)", "running products", call<cumprod>},
    {"baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1)",
     "beta input + alpha (products of two batches of matrices)", call<baddbmm>},
    {"addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1)",
     "beta input + alpha (the sum of products of two batches of matrices)", call<addbmm>},
    {"addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1)",
     "beta input + alpha (product of a matrix and a vector)", call<addmv>},
    {"inner(input: Tensor, other: Tensor)", "products over the last dimensions", call<inner>},
    {"tensordot(a: Tensor, b: Tensor, dims: any = 2)",
     "products over several dimensions: of their number, or a list for each tensor", tensordot_of},
    {"kron(input: Tensor, other: Tensor)", "Kronecker product", call<kron>},
};
NNM_REGISTER_FUNCTIONS(kProductFunctions);

}  // namespace
}  // namespace nnm
