// Dense linear algebra of small matrices on the host, in double: factorisations for the functions
// of inverses.cpp and spectra.cpp. Matrices are row-major.
#pragma once

#include <cstdint>
#include <vector>

namespace nnm::dense {

using Numbers = std::vector<double>;

/// P A = L U with partial pivoting, L and U in one matrix (L's ones are not stored).
struct Lu {
  int64_t n = 0;
  Numbers a;
  std::vector<int64_t> rows;  ///< row i of P A is row rows[i] of A
  double sign = 1;            ///< of P
  int64_t zero_pivot = -1;    ///< the first pivot that is 0; -1 where there is none
};
Lu lu(const double* a, int64_t n);
/// Solves A X = B in place; b is n times k. The pivots are not 0.
void lu_solve(const Lu& f, double* b, int64_t k);
/// The inverse, into zeros. The pivots are not 0.
void lu_inverse(const Lu& f, double* out);
double determinant(const double* a, int64_t n);

/// A = L L^T of the lower triangle of a, in place, zeros above. The order of the leading minor that
/// is not positive (from 1), or 0.
int64_t cholesky(double* a, int64_t n);

/// Householder reflectors of A (m, n): R on and above the diagonal, the vectors below it without
/// their first element, which is 1; tau (min(m, n)). As LAPACK's geqrf.
void geqrf(double* a, int64_t m, int64_t n, double* tau);

/// Eigenvalues in ascending order and orthonormal eigenvectors, which are columns, of the symmetric
/// matrix that the lower triangle of a stands for.
void eigh(const double* a, int64_t n, double* values, double* vectors);

/// A = U diag(s) V^T of A (m, n) with k = min(m, n): u (m, k), s (k) in descending order, v (n, k).
void svd(const double* a, int64_t m, int64_t n, double* u, double* s, double* v);

/// e^A.
Numbers matrix_exp(const double* a, int64_t n);

}  // namespace nnm::dense
