// Linear algebra: products of vectors, matrices and batches of matrices.
#include "nnm/ops/autocast.h"
#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"
#include "nnm/ops/gemm.h"
#include "nnm/ops/kept.h"

namespace nnm {

namespace {

using detail::product;
using detail::transposed;

// True iff a matrix lies column by column: its gradient then does too, as the view that made it
// from a parameter expects.
bool by_columns(const Tensor& x) {
  return !x.is_contiguous() && x.strides()[0] == 1 && x.strides()[1] == x.shape()[0];
}

void check_shapes(const Tensor& a, const Tensor& b) {
  NNM_CHECK(a.shape()[1] == b.shape()[0], runtime,
            "mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})", a.shape()[0],
            a.shape()[1], b.shape()[0], b.shape()[1]);
}

void check_numbers(const Tensor& x, const char* kernel) {
  NNM_CHECK(x.dtype() != DType::b8, not_implemented, "\"{}\" not implemented for 'Bool'", kernel);
}

void check_m1_m2(const Tensor& a, const Tensor& b, const char* kernel) {
  detail::check_same_device(a, b);
  NNM_CHECK(a.dtype() == b.dtype(), runtime,
            "expected m1 and m2 to have the same dtype, but got: {} != {}",
            detail::c_type_name(a.dtype()), detail::c_type_name(b.dtype()));
  check_numbers(a, kernel);
}

// x (n) as a matrix of one row.
View row_of(const Tensor& x) {
  View v = x;
  v.ndim = 2;
  v.size[0] = 1, v.size[1] = x.shape()[0];
  v.stride[0] = 0, v.stride[1] = x.strides()[0];
  return v;
}

View column_of(const Tensor& x) {
  View v = row_of(x);
  std::swap(v.size[0], v.size[1]);
  std::swap(v.stride[0], v.stride[1]);
  return v;
}

// matrix (M, K) vector (K) -> (M), without history.
Tensor matrix_vector(const Tensor& m, const Tensor& v) {
  Tensor y = empty({m.shape()[0]}, m.options());
  detail::gemm(row_of(y), row_of(v), transposed(m));
  return y;
}

Tensor mv(const Tensor& m, const Tensor& v) {
  NNM_CHECK(m.shape()[1] == v.shape()[0], runtime,
            "size mismatch, got input ({}), mat ({}x{}), vec ({})", m.shape()[0], m.shape()[0],
            m.shape()[1], v.shape()[0]);
  check_m1_m2(m, v, "addmv_impl_cpu");
  Tensor y = matrix_vector(m, v);
  if (!needs_grad({&m, &v})) return y;
  return record("MvBackward0", y, {&m, &v}, [m = Saved(m), v = Saved(v)](Backward& b) {
    if (b.needs(0)) {
      const Tensor dm = empty(m.get().shape(), m.get().options());
      detail::gemm(dm, column_of(b.grad()), row_of(v.get()));
      b.set(0, dm);
    }
    if (b.needs(1)) b.set(1, matrix_vector(transposed(m.get()), b.grad()));
  });
}

}  // namespace

Tensor mm(const Tensor& input, const Tensor& mat2) {
  const Tensor x = autocast_short(input), w = autocast_short(mat2);
  NNM_CHECK(x.dim() == 2, runtime, "self must be a matrix");
  NNM_CHECK(w.dim() == 2, runtime, "mat2 must be a matrix");
  check_shapes(x, w);
  check_m1_m2(x, w, "addmm_impl_cpu_");
  Tensor y = product(x, w);
  if (!needs_grad({&x, &w})) return y;
  return record("MmBackward0", y, {&x, &w}, [x = Saved(x), w = Saved(w)](Backward& b) {
    if (b.needs(0)) b.set(0, product(b.grad(), transposed(w.get()), 1, by_columns(x.get())));
    if (b.needs(1)) b.set(1, product(transposed(x.get()), b.grad(), 1, by_columns(w.get())));
  });
}

Tensor bmm(const Tensor& input, const Tensor& mat2) {
  const Tensor x = autocast_short(input), w = autocast_short(mat2);
  NNM_CHECK(x.dim() == 3, runtime, "batch1 must be a 3D tensor");
  NNM_CHECK(w.dim() == 3, runtime, "batch2 must be a 3D tensor");
  const Shape &sx = x.shape(), &sw = w.shape();
  NNM_CHECK(sx[0] == sw[0] && sx[2] == sw[1], runtime,
            "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, "
            "{}].",
            sx[0], sx[2], sw[0], sw[1]);
  check_m1_m2(x, w, "bmm");
  const auto batched = [](const Tensor& a, const Tensor& b) {
    Tensor c = empty({a.shape()[0], a.shape()[1], b.shape()[2]}, a.options());
    detail::gemm_batched(c, a, b);
    return c;
  };
  Tensor y = batched(x, w);
  if (!needs_grad({&x, &w})) return y;
  return record("BmmBackward0", y, {&x, &w}, [batched, x = Saved(x), w = Saved(w)](Backward& b) {
    if (b.needs(0)) b.set(0, batched(b.grad(), transposed(w.get())));
    if (b.needs(1)) b.set(1, batched(transposed(x.get()), b.grad()));
  });
}

Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, double beta,
             double alpha) {
  const Tensor input = autocast_short(self), x = autocast_short(mat1), w = autocast_short(mat2);
  NNM_CHECK(x.dim() == 2, runtime, "mat1 must be a matrix, got {}-D tensor", x.dim());
  NNM_CHECK(w.dim() == 2, runtime, "mat2 must be a matrix, got {}-D tensor", w.dim());
  detail::check_same_device(x, w);
  detail::check_same_device(x, input);
  NNM_CHECK(x.dtype() == w.dtype(), runtime,
            "mat1 and mat2 must have the same dtype, but got {} and {}",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(w.dtype()));
  NNM_CHECK(input.dtype() == w.dtype(), runtime,
            "self and mat2 must have the same dtype, but got {} and {}",
            detail::scalar_type_name(input.dtype()), detail::scalar_type_name(w.dtype()));
  check_numbers(x, "addmm_impl_cpu_");
  check_shapes(x, w);
  const Shape shape{x.shape()[0], w.shape()[1]};
  const bool vector = input.dim() == 1 && input.shape()[0] == shape[1];
  // Checks the broadcast where the fused bias does not apply.
  const Tensor wide = vector ? Tensor() : expand(input, shape);
  Tensor y = empty(shape, x.options());
  if (vector && beta == 1) {
    detail::gemm(y, x, w, input, alpha);
  } else if (beta == 0) {
    detail::gemm(y, x, w, {}, alpha);
  } else {
    detail::gemm(y, x, w, {}, alpha);
    const NoGradGuard no_grad;
    add_(y, vector ? input : wide, beta);
  }
  if (!needs_grad({&input, &x, &w})) return y;
  return record("AddmmBackward0", y, {&input, &x, &w},
                [shape = input.shape(), x = Saved(x), w = Saved(w), beta, alpha](Backward& b) {
                  if (b.needs(0)) {
                    const Tensor g = sum_to(b.grad(), shape);
                    b.set(0, beta == 1 ? g : mul(g, Scalar(beta)));
                  }
                  if (b.needs(1))
                    b.set(1, product(b.grad(), transposed(w.get()), alpha, by_columns(x.get())));
                  if (b.needs(2))
                    b.set(2, product(transposed(x.get()), b.grad(), alpha, by_columns(w.get())));
                });
}

Tensor dot(const Tensor& x, const Tensor& y) {
  NNM_CHECK(x.dim() == 1 && y.dim() == 1, runtime,
            "1D tensors expected, but got {}D and {}D tensors", x.dim(), y.dim());
  detail::check_same_device(x, y);
  NNM_CHECK(x.dtype() == y.dtype(), runtime,
            "dot : expected both vectors to have same dtype, but found {} and {}",
            detail::scalar_type_name(x.dtype()), detail::scalar_type_name(y.dtype()));
  NNM_CHECK(
      x.numel() == y.numel(), runtime,
      "inconsistent tensor size, expected tensor [{}] and src [{}] to have the same number of "
      "elements, but got {} and {} elements respectively",
      x.numel(), y.numel(), x.numel(), y.numel());
  check_numbers(x, "dot");
  Tensor out = empty({}, x.options());
  View one = out;
  one.ndim = 2;
  one.size[0] = one.size[1] = 1;
  detail::gemm(one, row_of(x), column_of(y));
  if (!needs_grad({&x, &y})) return out;
  return record("DotBackward0", out, {&x, &y}, [x = Saved(x), y = Saved(y)](Backward& b) {
    if (b.needs(0)) b.set(0, mul(b.grad(), y.get()));
    if (b.needs(1)) b.set(1, mul(b.grad(), x.get()));
  });
}

Tensor outer(const Tensor& x, const Tensor& y) {
  NNM_CHECK(x.dim() == 1, runtime, "outer: Expected 1-D argument self, but got {}-D", x.dim());
  NNM_CHECK(y.dim() == 1, runtime, "outer: Expected 1-D argument vec2, but got {}-D", y.dim());
  return mul(view(x, {x.shape()[0], 1}), y);
}

namespace {

Shape appended(Shape s, std::initializer_list<int64_t> more) {
  for (int64_t n : more) s.push_back(n);
  return s;
}

// x (…, K) with its leading dimensions as one.
Tensor as_rows(const Tensor& x) {
  return reshape(x, {detail::leading(x, 1).numel(), x.shape().back()});
}

Tensor matmul_batched(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  const Shape batch = broadcast_shapes(detail::leading(a, 2), detail::leading(b, 2));
  const int64_t count = batch.numel();
  const auto flat = [&](const Tensor& x) {
    const Tensor wide = detail::with_leading(x, batch);
    return wide.dim() == 3 ? wide : reshape(wide, {count, x.size(-2), x.size(-1)});
  };
  NNM_CHECK(b.size(-2) == k, runtime,
            "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, "
            "{}].",
            count, k, count, b.size(-2));
  const Tensor y = bmm(flat(a), flat(b));
  return batch.size() == 1 ? y : view(y, appended(batch, {m, n}));
}

}  // namespace

Tensor matmul(const Tensor& input, const Tensor& other) {
  const Tensor a = autocast_short(input), b = autocast_short(other);
  const int da = a.dim(), db = b.dim();
  NNM_CHECK(da > 0 && db > 0, runtime,
            "both arguments to matmul need to be at least 1D, but they are {}D and {}D", da, db);
  if (da == 1 && db == 1) return dot(a, b);
  if (da == 2 && db == 1) return mv(a, b);
  if (da == 1 && db == 2) return squeeze(mm(unsqueeze(a, 0), b), 0);
  if (da == 2 && db == 2) return mm(a, b);
  if (da >= 3 && db == 1) return view(mv(as_rows(a), b), detail::leading(a, 1));
  if (da >= 3 && db == 2)
    return view(mm(as_rows(a), b), appended(detail::leading(a, 1), {b.shape()[1]}));
  if (da == 1) return squeeze(matmul_batched(unsqueeze(a, 0), b), -2);
  if (db == 1) return squeeze(matmul_batched(a, unsqueeze(b, 1)), -1);
  return matmul_batched(a, b);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  NNM_CHECK(weight.dim() == 1 || weight.dim() == 2, runtime,
            "linear: expected weight of 1 or 2 dimensions, got {}", weight.dim());
  NNM_CHECK(x.dim() > 0, runtime,
            "both arguments to linear need to be at least 1D, but they are 0D and {}D",
            weight.dim());
  if (Tensor y = detail::linear_by_kept(x, weight, bias); y.defined()) return y;
  if (needs_grad({&weight})) detail::forget_weights(weight);
  if (!bias.defined()) return matmul(x, weight.dim() == 2 ? t(weight) : weight);
  if (weight.dim() == 1) return add(matmul(x, weight), bias);
  if (x.dim() == 2) return addmm(bias, x, t(weight));
  const Tensor y = addmm(bias, as_rows(x), t(weight));
  return view(y, appended(detail::leading(x, 1), {weight.shape()[0]}));
}

Tensor bilinear(const Tensor& x1, const Tensor& x2, const Tensor& weight, const Tensor& bias) {
  NNM_CHECK(x1.dim() == x2.dim(), runtime,
            "bilinear(): input dimensions do not match: got {} and {}", x1.dim(), x2.dim());
  NNM_CHECK(x1.dim() > 0 && weight.dim() == 3, runtime,
            "bilinear(): expected inputs of at least 1 dimension and weight of 3, got {} and {}",
            x1.dim(), weight.dim());
  for (int d = 0; d + 1 < x1.dim(); ++d) {
    NNM_CHECK(x1.shape()[d] == x2.shape()[d], runtime,
              "bilinear(): input batch dimensions do not match at dim {}: got {} and {}", d,
              x1.shape()[d], x2.shape()[d]);
  }
  const int64_t out = weight.shape()[0], n1 = weight.shape()[1], n2 = weight.shape()[2];
  NNM_CHECK(x1.size(-1) == n1, runtime,
            "bilinear(): input1 size does not match weight size: got {} but expected {}",
            x1.size(-1), n1);
  NNM_CHECK(x2.size(-1) == n2, runtime,
            "bilinear(): input2 size does not match weight size: got {} but expected {}",
            x2.size(-1), n2);
  NNM_CHECK(!bias.defined() || bias.shape()[0] == out, runtime,
            "bilinear(): bias size does not match weight size: got {} but expected {}",
            bias.shape()[0], out);
  const Tensor a = as_rows(x1), b = as_rows(x2);
  const int64_t rows = a.shape()[0];
  // (rows, n1) (n1, out n2), then one product with x2's row for each row.
  const Tensor w = reshape(permute(weight, {1, 0, 2}), {n1, out * n2});
  const Tensor half = view(mm(a, w), {rows, out, n2});
  const Tensor y =
      view(squeeze(bmm(half, unsqueeze(b, 2)), 2), appended(detail::leading(x1, 1), {out}));
  return bias.defined() ? add(y, bias) : y;
}

namespace {

Tensor addmm_call(const Tensor& input, const Tensor& a, const Tensor& b, double beta,
                  double alpha) {
  return addmm(input, a, b, beta, alpha);
}

constexpr Function kLinalgFunctions[] = {
    {"matmul(input: Tensor, other: Tensor)", "matrix product of tensors of any ranks",
     call<matmul>},
    {"mm(input: Tensor, mat2: Tensor)", "product of two matrices", call<mm>},
    {"bmm(input: Tensor, mat2: Tensor)", "products of two batches of matrices", call<bmm>},
    {"mv(input: Tensor, vec: Tensor)", "product of a matrix and a vector", call<matmul>},
    {"addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1)",
     "beta input + alpha mat1 mat2", call<addmm_call>},
    {"dot(input: Tensor, tensor: Tensor)", "inner product of two vectors", call<dot>},
    {"outer(input: Tensor, vec2: Tensor)", "outer product of two vectors", call<outer>},
    {"linear(input: Tensor, weight: Tensor, bias: Tensor? = none)", "input weightᵀ + bias",
     call<linear>},
    {"bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor? = none)",
     "input1ᵀ weight input2 + bias", call<bilinear>},
};
NNM_REGISTER_FUNCTIONS(kLinalgFunctions);

}  // namespace
}  // namespace nnm
