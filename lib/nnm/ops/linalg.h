// torch.linalg: inverses, determinants, factorisations and spectra of (batches of) matrices.
//
// Matrices are the last two dimensions. They are worked on by the host, in double, wherever they
// lie: meant for the small ones that models have. Errors have PyTorch's texts.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "nnm/ops/ops.h"

namespace nnm {

/// Throws Error(runtime) for singular matrices.
Tensor inverse(const Tensor& a);
/// X of A X = B, or of X A = B where not `left`. B is (…, n, k), or (…, n) if A has just one
/// dimension more. Throws Error(runtime) for singular matrices.
Tensor solve(const Tensor& a, const Tensor& b, bool left = true);
/// The same of the upper or lower triangle of A.
Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left = true,
                        bool unitriangular = false);
Tensor det(const Tensor& a);
/// The sign and the logarithm of the absolute value.
std::pair<Tensor, Tensor> slogdet(const Tensor& a);
Tensor logdet(const Tensor& a);
/// L of A = L L^T, or its transpose. A's lower triangle is read. Throws Error(runtime) for what is
/// not positive definite.
Tensor cholesky(const Tensor& a, bool upper = false);
/// A's inverse, given L.
Tensor cholesky_inverse(const Tensor& l, bool upper = false);
/// X of A X = B, given L.
Tensor cholesky_solve(const Tensor& b, const Tensor& l, bool upper = false);
Tensor matrix_exp(const Tensor& a);

/// Q (m, k) and R (k, n) of A (m, n), k being min(m, n). `mode`: reduced, complete or r.
std::pair<Tensor, Tensor> qr(const Tensor& a, const std::string& mode = "reduced");
/// The first columns of the product of the reflectors I - tau v v^T, whose vectors are below the
/// diagonal of `vectors`.
Tensor householder_product(const Tensor& vectors, const Tensor& tau);
/// The reflectors of a QR factorisation and R, in one matrix; without gradients.
std::pair<Tensor, Tensor> geqrf(const Tensor& a);

/// Eigenvalues (ascending) and eigenvectors of symmetric matrices, of which one triangle is read.
std::pair<Tensor, Tensor> eigh(const Tensor& a, const std::string& uplo = "L");
Tensor eigvalsh(const Tensor& a, const std::string& uplo = "L");
/// U (m, k), S (k), V (n, k) of A = U diag(S) V^T.
struct Svd {
  Tensor u, s, v;
};
Svd svd(const Tensor& a);
Tensor svdvals(const Tensor& a);
/// The pseudo-inverse; singular values below rtol of the largest count as 0.
Tensor pinv(const Tensor& a, std::optional<double> rtol = {});
Tensor matrix_rank(const Tensor& a, std::optional<double> rtol = {});
/// Of `ord` 1, -1, 2, -2, inf, -inf.
Tensor matrix_norm(const Tensor& a, double ord, bool keepdim = false);
/// Of "fro" or "nuc".
Tensor matrix_norm(const Tensor& a, const std::string& ord = "fro", bool keepdim = false);
inline Tensor matrix_norm(const Tensor& a, const char* ord, bool keepdim = false) {
  return matrix_norm(a, std::string(ord), keepdim);
}

}  // namespace nnm
