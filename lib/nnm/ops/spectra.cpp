// Orthogonal factors, eigenvalues and singular values, and what is made of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "nnm/ops/arguments.h"
#include "nnm/ops/batches.h"
#include "nnm/ops/linalg.h"

namespace nnm {

using detail::mT;

namespace {

/// A vector (…, n) as a row of (…, 1, n).
Tensor as_row(const Tensor& x) { return unsqueeze(x, -2); }

Tensor last_columns(const Tensor& x, int64_t from) {
  return narrow(x, -1, from, x.size(-1) - from);
}

}  // namespace

std::pair<Tensor, Tensor> geqrf(const Tensor& a) {
  detail::check_matrices(a, "geqrf", false);
  const int64_t m = a.size(-2), n = a.size(-1), k = std::min(m, n);
  // One factorisation for both: its numbers, then the tau of each.
  const Tensor both =
      detail::each_matrix(a, {m * n + k}, [&](int64_t, const double* x, double* out) {
        std::copy_n(x, m * n, out);
        dense::geqrf(out, m, n, out + m * n);
      });
  return {reshape(narrow(both, -1, 0, m * n), a.shape()), contiguous(last_columns(both, m * n))};
}

Tensor householder_product(const Tensor& vectors, const Tensor& tau) {
  detail::check_matrices(vectors, "linalg.householder_product", false);
  const int64_t m = vectors.size(-2), n = vectors.size(-1), k = tau.size(-1);
  NNM_CHECK(m >= n, runtime,
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to "
            "input.shape[-1]");
  NNM_CHECK(n >= k, runtime,
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to "
            "tau.shape[-1]");
  const TensorOptions how = vectors.options();
  Shape shape = vectors.shape();
  Tensor q = expand(eye(m, n, how), shape);
  const Tensor below = tril(vectors, -1);
  for (int64_t j = k; j-- > 0;) {
    const Tensor v = narrow(below, -1, j, 1) + narrow(eye(m, n, how), -1, j, 1);
    const Tensor t = unsqueeze(narrow(tau, -1, j, 1), -1);
    q = q - t * matmul(v, matmul(mT(v), q));
  }
  return q;
}

namespace {

/// Q and R of a matrix that is not wide, with the gradients of both.
std::pair<Tensor, Tensor> qr_of_tall(const Tensor& a) {
  Tensor q, r;
  {
    const NoGradGuard no_grad;
    const auto [factors, tau] = geqrf(a);
    q = householder_product(factors, tau);
    r = triu(narrow(factors, -2, 0, a.size(-1)));
  }
  if (!needs_grad({&a})) return {q, r};
  const Tensor outputs[] = {q, r}, inputs[] = {a};
  record("LinalgQrBackward0", outputs, inputs,
         [q = Saved::output(q, "LinalgQrBackward0"),
          r = Saved::output(r, "LinalgQrBackward0")](Backward& b) {
           const NoGradGuard no_grad;
           const Tensor gq = b.grad(0), gr = b.grad(1);
           const Tensor upper = triu(matmul(gr, mT(r.get())) - matmul(mT(q.get()), gq));
           const Tensor symmetric = upper + mT(triu(upper, 1));
           const Tensor g = gq + matmul(q.get(), symmetric);
           b.set(0, mT(solve_triangular(r.get(), mT(g), true)));
         });
  return {q, r};
}

}  // namespace

std::pair<Tensor, Tensor> qr(const Tensor& a, const std::string& mode) {
  detail::check_matrices(a, "linalg.qr", false);
  NNM_CHECK(mode == "reduced" || mode == "complete" || mode == "r", runtime,
            "qr received unrecognized mode '{}' but expected one of 'reduced' (default), 'r', or "
            "'complete'",
            mode);
  const int64_t m = a.size(-2), n = a.size(-1);
  if (mode == "complete" && m > n) {
    NNM_CHECK(!needs_grad({&a}), runtime,
              "The QR decomposition is not differentiable when mode='complete' and nrows > ncols");
    const auto [factors, tau] = geqrf(a);
    Shape wider = a.shape();
    wider[a.dim() - 1] = m - n;
    const Tensor whole = cat({factors, zeros(wider, a.options())}, -1);
    return {householder_product(whole, tau), triu(factors)};
  }
  std::pair<Tensor, Tensor> out;
  if (m >= n) {
    out = qr_of_tall(a);
  } else {
    const auto [q, left] = qr_of_tall(contiguous(narrow(a, -1, 0, m)));
    out = {q, cat({left, matmul(mT(q), last_columns(a, m))}, -1)};
  }
  if (mode == "r") out.first = empty({0}, a.options());
  return out;
}

namespace {

/// Differences of all pairs, 1 where there is none: v_j - v_i at (i, j).
Tensor gaps(const Tensor& v) {
  const Tensor d = as_row(v) - unsqueeze(v, -1);
  return d + eye(v.size(-1), -1, v.options());
}

Tensor without_diagonal(const Tensor& x) { return tril(x, -1) + triu(x, 1); }

}  // namespace

std::pair<Tensor, Tensor> eigh(const Tensor& a, const std::string& uplo) {
  detail::check_matrices(a, "linalg.eigh", true);
  NNM_CHECK(uplo == "L" || uplo == "U" || uplo == "l" || uplo == "u", runtime,
            "Expected UPLO argument to be 'L' or 'U', but got {}", uplo);
  const bool upper = uplo == "U" || uplo == "u";
  const int64_t n = a.size(-1);
  const Tensor both = detail::each_matrix(
      upper ? mT(a) : a, {n + n * n},
      [n](int64_t, const double* x, double* out) { dense::eigh(x, n, out, out + n); });
  const Tensor values = contiguous(narrow(both, -1, 0, n));
  const Tensor vectors = reshape(last_columns(both, n), a.shape());
  if (!needs_grad({&a})) return {values, vectors};
  const Tensor outputs[] = {values, vectors}, inputs[] = {a};
  record("LinalgEighBackward0", outputs, inputs,
         [w = Saved::output(values, "LinalgEighBackward0"),
          v = Saved::output(vectors, "LinalgEighBackward0")](Backward& b) {
           const NoGradGuard no_grad;
           Tensor inner = diag_embed(b.grad(0));
           if (b.maybe_grad(1).defined())
             inner = inner + without_diagonal(matmul(mT(v.get()), b.grad(1)) / gaps(w.get()));
           b.set(0, matmul(matmul(v.get(), inner), mT(v.get())));
         });
  return {values, vectors};
}

Tensor eigvalsh(const Tensor& a, const std::string& uplo) { return eigh(a, uplo).first; }

namespace {

/// The gradient of A through U, S and V (PyTorch's svd_backward of real matrices).
Tensor svd_gradient(const Tensor& u, const Tensor& s, const Tensor& v, Backward& b) {
  const Tensor apart = gaps(square(s));
  Tensor inner = diag_embed(b.grad(1));
  const Tensor gu = b.maybe_grad(0), gv = b.maybe_grad(2);
  const auto skew = [](const Tensor& x) { return x - mT(x); };
  if (gu.defined()) inner = inner + without_diagonal(skew(matmul(mT(u), gu)) / apart) * as_row(s);
  if (gv.defined())
    inner = inner + unsqueeze(s, -1) * without_diagonal(skew(matmul(mT(v), gv)) / apart);
  Tensor g = matmul(matmul(u, inner), mT(v));
  // What U and V do not span.
  const auto outside = [](const Tensor& q, const Tensor& x) {
    return x - matmul(q, matmul(mT(q), x));
  };
  if (gu.defined() && u.size(-2) > u.size(-1)) g = g + matmul(outside(u, gu) / as_row(s), mT(v));
  if (gv.defined() && v.size(-2) > v.size(-1)) g = g + matmul(u, mT(outside(v, gv) / as_row(s)));
  return g;
}

}  // namespace

Svd svd(const Tensor& a) {
  detail::check_matrices(a, "linalg.svd", false);
  const int64_t m = a.size(-2), n = a.size(-1), k = std::min(m, n);
  const Tensor all =
      detail::each_matrix(a, {m * k + k + n * k}, [&](int64_t, const double* x, double* out) {
        dense::svd(x, m, n, out, out + m * k, out + m * k + k);
      });
  Shape left = a.shape(), right = a.shape();
  left[a.dim() - 1] = k;
  right[a.dim() - 2] = n;
  right[a.dim() - 1] = k;
  Svd f{reshape(narrow(all, -1, 0, m * k), left), contiguous(narrow(all, -1, m * k, k)),
        reshape(last_columns(all, m * k + k), right)};
  if (!needs_grad({&a})) return f;
  const Tensor outputs[] = {f.u, f.s, f.v}, inputs[] = {a};
  record(
      "LinalgSvdBackward0", outputs, inputs,
      [u = Saved::output(f.u, "LinalgSvdBackward0"), s = Saved::output(f.s, "LinalgSvdBackward0"),
       v = Saved::output(f.v, "LinalgSvdBackward0")](Backward& b) {
        const NoGradGuard no_grad;
        b.set(0, svd_gradient(u.get(), s.get(), v.get(), b));
      });
  return f;
}

Tensor svdvals(const Tensor& a) { return svd(a).s; }

namespace {

/// Where singular values count: above rtol of the largest.
Tensor counted(const Tensor& s, const Tensor& a, std::optional<double> rtol) {
  const double eps = a.dtype() == DType::f64 ? std::numeric_limits<double>::epsilon()
                                             : double{std::numeric_limits<float>::epsilon()};
  const double share = rtol.value_or(eps * static_cast<double>(std::max(a.size(-1), a.size(-2))));
  return gt(s, amax(s, {-1}, true) * Scalar(share));
}

}  // namespace

Tensor pinv(const Tensor& a, std::optional<double> rtol) {
  detail::check_matrices(a, "linalg.pinv", false);
  Tensor p;
  {
    const NoGradGuard no_grad;
    const Svd f = svd(a);
    if (f.s.numel() == 0) return mT(a);
    const Tensor inverted = where(counted(f.s, a, rtol), reciprocal(f.s), zeros({}, f.s.options()));
    p = matmul(f.v * as_row(inverted), mT(f.u));
  }
  if (!needs_grad({&a})) return p;
  return record("LinalgPinvBackward0", p, {&a},
                [a = Saved(a), p = Saved::output(p, "LinalgPinvBackward0")](Backward& b) {
                  const NoGradGuard no_grad;
                  const Tensor &x = a.get(), &y = p.get(), &g = b.grad();
                  const Tensor yt = mT(y), gt = mT(g);
                  const Tensor gy = matmul(gt, y), yg = matmul(y, gt);
                  // Golub and Pereyra 1973.
                  const Tensor along = neg(matmul(matmul(yt, g), yt));
                  const Tensor left = matmul(gt - matmul(x, yg), matmul(y, yt));
                  const Tensor right = matmul(matmul(yt, y), gt - matmul(gy, x));
                  b.set(0, along + left + right);
                });
}

Tensor matrix_rank(const Tensor& a, std::optional<double> rtol) {
  const NoGradGuard no_grad;
  detail::check_matrices(a, "linalg.matrix_rank", false);
  const Tensor s = svdvals(a);
  return sum(counted(s, a, rtol), {-1});
}

Tensor matrix_norm(const Tensor& a, double ord, bool keepdim) {
  detail::check_matrices(a, "linalg.matrix_norm", false);
  const double size = std::abs(ord);
  NNM_CHECK(size == 1 || size == 2 || std::isinf(size), runtime,
            "linalg.matrix_norm: Order {} not supported.", ord);
  const auto extreme = [&](const Tensor& x) { return ord > 0 ? amax(x, {-1}) : amin(x, {-1}); };
  const Tensor y = size == 2 ? extreme(svdvals(a)) : extreme(sum(abs(a), {size == 1 ? -2 : -1}));
  return keepdim ? unsqueeze(unsqueeze(y, -1), -1) : y;
}

Tensor matrix_norm(const Tensor& a, const std::string& ord, bool keepdim) {
  detail::check_matrices(a, "linalg.matrix_norm", false);
  if (ord == "fro") return norm(a, 2, {-2, -1}, keepdim);
  NNM_CHECK(ord == "nuc", runtime, "linalg.matrix_norm: Order {} not supported.", ord);
  const Tensor y = sum(svdvals(a), {-1});
  return keepdim ? unsqueeze(unsqueeze(y, -1), -1) : y;
}

namespace {

using namespace detail;

Value matrix_norm_of(const Value* a) {
  const Dims over = dims(a[2]);
  NNM_CHECK(over.size() == 2, runtime, "linalg.matrix_norm: dim must be a 2-tuple. Got {}",
            a[2].config_text());
  const Tensor x = movedim(converted(a[0], a[4]), over, {-2, -1});
  const Tensor y =
      a[1].is(Value::Kind::string) ? matrix_norm(x, a[1].string()) : matrix_norm(x, a[1].real());
  if (!a[3].boolean()) return y;
  Shape kept = tensor(a[0]).shape();
  for (int64_t d : over) kept[wrap_dim(d, kept.size())] = 1;
  return reshape(y, kept);
}

Value multi_dot_of(const Value* a) {
  auto all = Codec<Tensors>::read(a[0]);
  NNM_CHECK(all.size() >= 2, runtime, "multi_dot(): expected at least 2 tensors but got {}",
            all.size());
  Tensor y = all[0];
  for (size_t i = 1; i < all.size(); ++i) y = matmul(y, all[i]);
  return y;
}

Value vecdot_of(const Value* a) { return sum(tensor(a[0]) * tensor(a[1]), {a[2].integer()}); }

Value cond_of(const Value* a) {
  const Tensor x = tensor(a[0]);
  if (a[1].is_none() || a[1].is_number()) {
    const double p = a[1].is_none() ? 2 : a[1].real();
    if (std::abs(p) == 2) {
      const Tensor s = svdvals(x), most = amax(s, {-1}), least = amin(s, {-1});
      return p > 0 ? most / least : least / most;
    }
    return matrix_norm(x, p) * matrix_norm(inverse(x), p);
  }
  return matrix_norm(x, a[1].string()) * matrix_norm(inverse(x), a[1].string());
}

const Function kSpectraFunctions[] = {
    {"qr(A: Tensor, mode: str(\"reduced\", \"complete\", \"r\") = \"reduced\")",
     "an orthogonal and a triangular factor", call<qr>},
    {"householder_product(A: Tensor, tau: Tensor)", "product of reflectors",
     call<householder_product>},
    {"geqrf(input: Tensor)", "reflectors of a QR factorisation, and R; without gradients",
     call<geqrf>},
    {"eigvalsh(A: Tensor, UPLO: str = \"L\")", "eigenvalues of symmetric matrices", call<eigvalsh>},
    {"eigh(A: Tensor, UPLO: str = \"L\")", "eigenvalues and eigenvectors of symmetric matrices",
     call<eigh>},
    {"svdvals(A: Tensor)", "singular values", call<svdvals>},
    {"svd(input: Tensor)", "U, S and V of A = U diag(S) Vᵀ, as torch.svd gives them",
     [](const Value* a) -> Value {
       const Svd f = svd(tensor(a[0]));
       return Value::tuple({f.u, f.s, f.v});
     }},
    {"pinv(A: Tensor, *, rtol: float = none)", "pseudo-inverses", call<pinv>},
    {"pinverse(input: Tensor, rcond: float = 1e-15)", "pseudo-inverses", call<pinv>},
    {"matrix_rank(A: Tensor, *, rtol: float = none)", "ranks of matrices", call<matrix_rank>},
    {"matrix_norm(A: Tensor, ord: any = \"fro\", dim: int[] = [-2, -1], keepdim: bool = false, *, "
     "dtype: dtype = none)",
     "norms of matrices: \"fro\", \"nuc\", 1, -1, 2, -2, inf, -inf", matrix_norm_of},
    {"vector_norm(x: Tensor, ord: float = 2, dim: int[] = none, keepdim: bool = false, *, "
     "dtype: dtype = none)",
     "norms of vectors",
     [](const Value* a) -> Value {
       return norm(converted(a[0], a[4]), a[1].real(), dims(a[2]), a[3].boolean());
     }},
    {"cond(A: Tensor, p: any = none)", "condition numbers", cond_of},
    {"multi_dot(tensors: Tensor[])", "product of several matrices", multi_dot_of},
    {"vecdot(x: Tensor, y: Tensor, *, dim: int = -1)", "products of vectors", vecdot_of},
};
NNM_REGISTER_FUNCTIONS(kSpectraFunctions);

}  // namespace
}  // namespace nnm
