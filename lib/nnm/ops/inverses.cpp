// Inverses, solutions, determinants and triangular factors of matrices.
#include "nnm/ops/arguments.h"
#include "nnm/ops/batches.h"
#include "nnm/ops/linalg.h"

namespace nnm {

namespace detail {

void check_matrices(const Tensor& a, const char* op, bool square) {
  check_defined(a, op);
  NNM_CHECK(a.dim() >= 2, runtime, "{}: The input tensor A must have at least 2 dimensions.", op);
  NNM_CHECK(!square || a.size(-1) == a.size(-2), runtime,
            "{}: A must be batches of square matrices, but they are {} by {} matrices", op,
            a.size(-2), a.size(-1));
  NNM_CHECK(is_floating(a.dtype()), runtime,
            "{}: Expected a floating point or complex tensor as input. Got {}", op,
            scalar_type_name(a.dtype()));
}

Tensor each_matrix(const Tensor& x, const Shape& shape,
                   const std::function<void(int64_t, const double*, double*)>& f) {
  Shape whole = leading(x, 2);
  for (int64_t n : shape) whole.push_back(n);
  if (x.is_meta()) return empty(whole, x.options());
  const int64_t count = leading(x, 2).numel(), from = x.size(-1) * x.size(-2),
                to_each = shape.numel();
  const std::vector<double> in = x.to_vector<double>();
  std::vector<double> out(static_cast<size_t>(whole.numel()));
  for (int64_t i = 0; i < count; ++i) f(i, in.data() + i * from, out.data() + i * to_each);
  const NoGradGuard no_grad;
  return to(tensor_of<double>(out, whole, {DType::f64}), x.options());
}

std::string batch_element(const Tensor& x, int64_t i) {
  return x.dim() == 2 ? std::string() : fmt::format("(Batch element {}): ", i);
}

}  // namespace detail

using detail::mT;

Tensor inverse(const Tensor& a) {
  detail::check_matrices(a, "linalg.inv", true);
  const int64_t n = a.size(-1);
  Tensor y = detail::each_matrix(a, {n, n}, [&](int64_t i, const double* x, double* out) {
    const dense::Lu f = dense::lu(x, n);
    NNM_CHECK(f.zero_pivot < 0, runtime,
              "linalg.inv: {}The diagonal element {} is zero, the inversion could not be completed "
              "because the input matrix is singular.",
              detail::batch_element(a, i), f.zero_pivot + 1);
    dense::lu_inverse(f, out);
  });
  if (!needs_grad({&a})) return y;
  return record("LinalgInvExBackward0", y, {&a},
                [y = Saved::output(y, "LinalgInvExBackward0")](Backward& b) {
                  const Tensor turned = mT(y.get());
                  b.set(0, neg(matmul(matmul(turned, b.grad()), turned)));
                });
}

namespace {

/// A X = B without history, batches being equal.
Tensor solution(const Tensor& a, const Tensor& b) {
  const int64_t n = a.size(-1), k = b.size(-1);
  std::vector<double> right;
  if (!a.is_meta()) right = b.to_vector<double>();
  return detail::each_matrix(a, {n, k}, [&](int64_t i, const double* x, double* out) {
    const dense::Lu f = dense::lu(x, n);
    NNM_CHECK(f.zero_pivot < 0, runtime,
              "torch.linalg.solve: {}The solver failed because the input matrix is singular.",
              detail::batch_element(a, i));
    std::copy_n(right.data() + i * n * k, n * k, out);
    dense::lu_solve(f, out, k);
  });
}

Tensor solve_matrices(const Tensor& a, const Tensor& b) {
  const Shape batch = broadcast_shapes(detail::leading(a, 2), detail::leading(b, 2));
  const Tensor wide_a = detail::with_leading(a, batch), wide_b = detail::with_leading(b, batch);
  Tensor x = solution(wide_a.detach(), wide_b.detach());
  if (!needs_grad({&wide_a, &wide_b})) return x;
  return record(
      "LinalgSolveExBackward0", x, {&wide_a, &wide_b},
      [a = Saved(wide_a), x = Saved::output(x, "LinalgSolveExBackward0")](Backward& back) {
        const NoGradGuard no_grad;
        const Tensor g = solution(contiguous(mT(a.get())), back.grad());
        if (back.needs(0)) back.set(0, neg(matmul(g, mT(x.get()))));
        if (back.needs(1)) back.set(1, g);
      });
}

}  // namespace

Tensor solve(const Tensor& a, const Tensor& b, bool left) {
  detail::check_matrices(a, "linalg.solve", true);
  NNM_CHECK(
      a.dtype() == b.dtype(), runtime,
      "linalg.solve: Expected A and B to have the same dtype, but found A of type {} and B of "
      "type {} instead",
      detail::scalar_type_name(a.dtype()), detail::scalar_type_name(b.dtype()));
  const bool vector =
      b.dim() == 1 || (b.dim() == a.dim() - 1 && b.shape() == detail::leading(a, 1));
  const Tensor right = vector ? unsqueeze(b, -1) : b;
  NNM_CHECK(!vector || left, runtime,
            "linalg.solve: Vector broadcasting of the left hand side is not supported for "
            "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)");
  NNM_CHECK(a.size(-1) == right.size(left ? -2 : -1), runtime,
            "linalg.solve: Incompatible shapes of A and B for the equation {} ({}x{} and {}x{})",
            left ? "AX = B" : "XA = B", a.size(-2), a.size(-1), right.size(-2), right.size(-1));
  if (!left) return mT(solve_matrices(mT(a), mT(right)));
  const Tensor x = solve_matrices(a, right);
  return vector ? squeeze(x, -1) : x;
}

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left,
                        bool unitriangular) {
  detail::check_matrices(a, "linalg.solve_triangular", true);
  detail::check_matrices(b, "linalg.solve_triangular", false);
  const int64_t n = a.size(-1);
  Tensor part = upper ? triu(a, unitriangular ? 1 : 0) : tril(a, unitriangular ? -1 : 0);
  if (unitriangular) part = part + eye(n, -1, a.options());
  NNM_CHECK(
      n == b.size(left ? -2 : -1), runtime,
      "linalg.solve_triangular: Incompatible shapes of A and B for the equation {} ({}x{} and "
      "{}x{})",
      left ? "AX = B" : "XA = B", n, n, b.size(-2), b.size(-1));
  return left ? solve_matrices(part, b) : mT(solve_matrices(mT(part), mT(b)));
}

namespace {

/// The gradient of a determinant: the matrix of cofactors, which singular matrices have as well.
Tensor cofactors(const Tensor& a) {
  const int64_t n = a.size(-1);
  return detail::each_matrix(a, {n, n}, [n](int64_t, const double* x, double* out) {
    dense::Numbers minor(static_cast<size_t>((n - 1) * (n - 1)));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        auto to = minor.begin();
        for (int64_t r = 0; r < n; ++r)
          for (int64_t c = 0; c < n; ++c)
            if (r != i && c != j) *to++ = x[r * n + c];
        out[i * n + j] = ((i + j) % 2 ? -1 : 1) * dense::determinant(minor.data(), n - 1);
      }
  });
}

/// By the inverse, which takes less time; where there is none, by minors.
Tensor adjugate_transposed(const Tensor& a, const Tensor& d) {
  const int64_t n = a.size(-1);
  const std::vector<double> dets = d.is_meta() ? std::vector<double>() : d.to_vector<double>();
  if (std::any_of(dets.begin(), dets.end(), [](double x) { return x == 0; })) return cofactors(a);
  const Tensor inverted = detail::each_matrix(
      a, {n, n},
      [n](int64_t, const double* x, double* out) { dense::lu_inverse(dense::lu(x, n), out); });
  return mT(inverted) * unsqueeze(unsqueeze(d, -1), -1);
}

}  // namespace

Tensor det(const Tensor& a) {
  detail::check_matrices(a, "linalg.det", true);
  const int64_t n = a.size(-1);
  Tensor d = detail::each_matrix(
      a, {}, [n](int64_t, const double* x, double* out) { *out = dense::determinant(x, n); });
  if (!needs_grad({&a})) return d;
  return record("LinalgDetBackward0", d, {&a},
                [a = Saved(a), d = Saved::output(d, "LinalgDetBackward0")](Backward& b) {
                  const NoGradGuard no_grad;
                  const Tensor g = unsqueeze(unsqueeze(b.grad(), -1), -1);
                  b.set(0, g * adjugate_transposed(a.get(), d.get()));
                });
}

namespace {

std::pair<Tensor, Tensor> sign_and_log(const Tensor& a) {
  const int64_t n = a.size(-1);
  const Tensor both = detail::each_matrix(a, {2}, [n](int64_t, const double* x, double* out) {
    const dense::Lu f = dense::lu(x, n);
    out[0] = f.sign;
    for (int64_t i = 0; i < n; ++i) {
      const double pivot = f.a[static_cast<size_t>(i * (n + 1))];
      out[0] *= pivot > 0 ? 1 : pivot < 0 ? -1 : pivot;
      out[1] += std::log(std::abs(pivot));
    }
  });
  const Tensor sign = clone(select(both, -1, 0)), log = clone(select(both, -1, 1));
  if (!needs_grad({&a})) return {sign, log};
  return {sign, record("LinalgSlogdetBackward0", log, {&a}, [a = Saved(a)](Backward& b) {
            const NoGradGuard no_grad;
            b.set(0, unsqueeze(unsqueeze(b.grad(), -1), -1) * mT(inverse(a.get())));
          })};
}

}  // namespace

std::pair<Tensor, Tensor> slogdet(const Tensor& a) {
  detail::check_matrices(a, "linalg.slogdet", true);
  return sign_and_log(a);
}

Tensor logdet(const Tensor& a) {
  detail::check_matrices(a, "logdet", true);
  const auto [sign, log] = sign_and_log(a);
  return where(lt(sign, Scalar(0)), full({}, Scalar(NAN), a.options()), log);
}

Tensor cholesky(const Tensor& a, bool upper) {
  detail::check_matrices(a, "linalg.cholesky", true);
  if (upper) return mT(cholesky(a));
  const int64_t n = a.size(-1);
  Tensor l = detail::each_matrix(a, {n, n}, [&](int64_t i, const double* x, double* out) {
    std::copy_n(x, n * n, out);
    const int64_t order = dense::cholesky(out, n);
    NNM_CHECK(order == 0, runtime,
              "linalg.cholesky: {}The factorization could not be completed because the input is "
              "not positive-definite (the leading minor of order {} is not positive-definite).",
              detail::batch_element(a, i), order);
  });
  if (!needs_grad({&a})) return l;
  return record("LinalgCholeskyExBackward0", l, {&a},
                [l = Saved::output(l, "LinalgCholeskyExBackward0")](Backward& b) {
                  const NoGradGuard no_grad;
                  const Tensor& low = l.get();
                  const Tensor turned = mT(low);
                  const Tensor half = tril(matmul(turned, b.grad()));
                  const Tensor whole = half + mT(tril(half, -1));
                  const Tensor right = mT(solve(turned, mT(solve(turned, whole))));
                  b.set(0, right * Scalar(0.5));
                });
}

Tensor cholesky_solve(const Tensor& b, const Tensor& l, bool upper) {
  const Tensor low = upper ? mT(l) : l;
  return solve_triangular(mT(low), solve_triangular(low, b, false), true);
}

Tensor cholesky_inverse(const Tensor& l, bool upper) {
  detail::check_matrices(l, "cholesky_inverse", true);
  return cholesky_solve(expand(eye(l.size(-1), -1, l.options()), l.shape()), l, upper);
}

Tensor matrix_exp(const Tensor& a) {
  detail::check_matrices(a, "linalg.matrix_exp", true);
  const int64_t n = a.size(-1);
  const auto exponential = [](const Tensor& x) {
    const int64_t size = x.size(-1);
    return detail::each_matrix(x, {size, size}, [size](int64_t, const double* in, double* out) {
      const dense::Numbers y = dense::matrix_exp(in, size);
      std::copy(y.begin(), y.end(), out);
    });
  };
  Tensor y = exponential(a);
  if (!needs_grad({&a})) return y;
  return record("LinalgMatrixExpBackward0", y, {&a}, [a = Saved(a), n, exponential](Backward& b) {
    const NoGradGuard no_grad;
    // The upper right block of e^[[A^T, G], [0, A^T]].
    const Tensor turned = mT(a.get());
    const Tensor top = cat({turned, b.grad()}, -1);
    const Tensor bottom = cat({zeros_like(turned), turned}, -1);
    const Tensor whole = exponential(cat({top, bottom}, -2));
    b.set(0, narrow(narrow(whole, -2, 0, n), -1, n, n));
  });
}

namespace {

using namespace detail;

const Function kInverseFunctions[] = {
    {"inverse(input: Tensor)", "inverses of matrices", call<inverse>},
    {"inv(A: Tensor)", "inverses of matrices", call<inverse>},
    {"solve(A: Tensor, B: Tensor, *, left: bool = true)", "X of A X = B", call<solve>},
    {"solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = true, unitriangular: "
     "bool = false)",
     "X of A X = B, A being a triangle", call<solve_triangular>},
    {"det(input: Tensor)", "determinants", call<det>},
    {"slogdet(input: Tensor)", "signs of determinants and logarithms of their sizes",
     call<slogdet>},
    {"logdet(input: Tensor)", "logarithms of determinants", call<logdet>},
    {"cholesky(input: Tensor, upper: bool = false)", "L of A = L Lᵀ", call<cholesky>},
    {"cholesky_solve(B: Tensor, L: Tensor, upper: bool = false)", "X of L Lᵀ X = B",
     call<cholesky_solve>},
    {"cholesky_inverse(L: Tensor, upper: bool = false)", "inverses of L Lᵀ",
     call<cholesky_inverse>},
    {"matrix_exp(input: Tensor)", "e to the matrix", call<matrix_exp>},
};
NNM_REGISTER_FUNCTIONS(kInverseFunctions);

}  // namespace
}  // namespace nnm
