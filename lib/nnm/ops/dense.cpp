// Factorisations of small matrices by their textbook algorithms (Golub and Van Loan).
#include "nnm/ops/dense.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace nnm::dense {

namespace {

constexpr double kTiny = 1e-300;
constexpr int kMostSweeps = 60;  // of Jacobi rotations, which converge quadratically

Numbers product(const Numbers& a, const Numbers& b, int64_t n) {
  Numbers c(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < n; ++k) {
      const double x = a[static_cast<size_t>(i * n + k)];
      for (int64_t j = 0; j < n; ++j)
        c[static_cast<size_t>(i * n + j)] += x * b[static_cast<size_t>(k * n + j)];
    }
  return c;
}

Numbers identity(int64_t n) {
  Numbers out(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) out[static_cast<size_t>(i * (n + 1))] = 1;
  return out;
}

/// Sine and cosine of the rotation by t = tan.
struct Rotation {
  double c, s;
  explicit Rotation(double t) : c(1 / std::sqrt(1 + t * t)), s(t * c) {}
  /// Turns two columns of a matrix of `rows` rows and `stride` columns.
  void columns(double* a, int64_t rows, int64_t stride, int64_t p, int64_t q) const {
    for (int64_t i = 0; i < rows; ++i) {
      double &x = a[i * stride + p], &y = a[i * stride + q];
      const double old = x;
      x = c * old - s * y;
      y = s * old + c * y;
    }
  }
};

/// The smaller root of t^2 + 2 theta t - 1: the tangent that annihilates an element.
double tangent(double theta) {
  return (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(1 + theta * theta));
}

}  // namespace

Lu lu(const double* a, int64_t n) {
  Lu f{n, Numbers(a, a + n * n), std::vector<int64_t>(static_cast<size_t>(n))};
  std::iota(f.rows.begin(), f.rows.end(), 0);
  double* const x = f.a.data();
  for (int64_t k = 0; k < n; ++k) {
    int64_t best = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(x[i * n + k]) > std::abs(x[best * n + k])) best = i;
    if (best != k) {
      std::swap_ranges(x + k * n, x + (k + 1) * n, x + best * n);
      std::swap(f.rows[static_cast<size_t>(k)], f.rows[static_cast<size_t>(best)]);
      f.sign = -f.sign;
    }
    if (x[k * n + k] == 0) {
      if (f.zero_pivot < 0) f.zero_pivot = k;
      continue;
    }
    for (int64_t i = k + 1; i < n; ++i) {
      const double m = x[i * n + k] /= x[k * n + k];
      for (int64_t j = k + 1; j < n; ++j) x[i * n + j] -= m * x[k * n + j];
    }
  }
  return f;
}

void lu_solve(const Lu& f, double* b, int64_t k) {
  const int64_t n = f.n;
  const double* const a = f.a.data();
  const Numbers given(b, b + n * k);
  for (int64_t i = 0; i < n; ++i)
    std::copy_n(given.data() + f.rows[static_cast<size_t>(i)] * k, k, b + i * k);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      for (int64_t c = 0; c < k; ++c) b[i * k + c] -= a[i * n + j] * b[j * k + c];
  for (int64_t i = n; i-- > 0;) {
    for (int64_t j = i + 1; j < n; ++j)
      for (int64_t c = 0; c < k; ++c) b[i * k + c] -= a[i * n + j] * b[j * k + c];
    for (int64_t c = 0; c < k; ++c) b[i * k + c] /= a[i * n + i];
  }
}

void lu_inverse(const Lu& f, double* out) {
  for (int64_t i = 0; i < f.n; ++i) out[i * (f.n + 1)] = 1;
  lu_solve(f, out, f.n);
}

double determinant(const double* a, int64_t n) {
  const Lu f = lu(a, n);
  double d = f.sign;
  for (int64_t i = 0; i < n; ++i) d *= f.a[static_cast<size_t>(i * (n + 1))];
  return d;
}

int64_t cholesky(double* a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double s = a[i * n + j];
      for (int64_t k = 0; k < j; ++k) s -= a[i * n + k] * a[j * n + k];
      if (i > j) {
        a[i * n + j] = s / a[j * n + j];
      } else {
        if (!(s > 0)) return j + 1;
        a[j * n + j] = std::sqrt(s);
      }
    }
    std::fill(a + j * n + j + 1, a + (j + 1) * n, 0.0);
  }
  return 0;
}

void geqrf(double* a, int64_t m, int64_t n, double* tau) {
  for (int64_t k = 0; k < std::min(m, n); ++k) {
    double rest = 0;
    for (int64_t i = k + 1; i < m; ++i) rest += a[i * n + k] * a[i * n + k];
    const double head = a[k * n + k];
    if (rest == 0) {
      tau[k] = 0;
      continue;
    }
    const double beta = -std::copysign(std::sqrt(head * head + rest), head);
    tau[k] = (beta - head) / beta;
    for (int64_t i = k + 1; i < m; ++i) a[i * n + k] /= head - beta;
    a[k * n + k] = beta;
    for (int64_t j = k + 1; j < n; ++j) {
      double s = a[k * n + j];
      for (int64_t i = k + 1; i < m; ++i) s += a[i * n + k] * a[i * n + j];
      s *= tau[k];
      a[k * n + j] -= s;
      for (int64_t i = k + 1; i < m; ++i) a[i * n + j] -= s * a[i * n + k];
    }
  }
}

void eigh(const double* lower, int64_t n, double* values, double* vectors) {
  Numbers a(static_cast<size_t>(n * n)), v = identity(n);
  const auto at = [&](int64_t i, int64_t j) -> double& {
    return a[static_cast<size_t>(i * n + j)];
  };
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) at(i, j) = at(j, i) = lower[i * n + j];
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    double off = 0;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        off += std::abs(at(p, q));
        if (std::abs(at(p, q)) < kTiny) continue;
        const Rotation turn(tangent((at(q, q) - at(p, p)) / (2 * at(p, q))));
        turn.columns(a.data(), n, n, p, q);
        for (int64_t j = 0; j < n; ++j) {
          const double x = at(p, j), y = at(q, j);
          at(p, j) = turn.c * x - turn.s * y;
          at(q, j) = turn.s * x + turn.c * y;
        }
        turn.columns(v.data(), n, n, p, q);
      }
    if (off < kTiny) break;
  }
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t i, int64_t j) { return at(i, i) < at(j, j); });
  for (int64_t k = 0; k < n; ++k) {
    const int64_t from = order[static_cast<size_t>(k)];
    values[k] = at(from, from);
    for (int64_t i = 0; i < n; ++i) vectors[i * n + k] = v[static_cast<size_t>(i * n + from)];
  }
}

namespace {

/// One-sided Jacobi of a tall matrix: its columns become orthogonal, v (n, n) the rotations.
void orthogonalize(double* a, int64_t m, int64_t n, double* v) {
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    bool turned = false;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (int64_t i = 0; i < m; ++i) {
          pp += a[i * n + p] * a[i * n + p];
          qq += a[i * n + q] * a[i * n + q];
          pq += a[i * n + p] * a[i * n + q];
        }
        if (std::abs(pq) <= 1e-16 * std::sqrt(pp * qq) || std::abs(pq) < kTiny) continue;
        turned = true;
        const Rotation turn(tangent((qq - pp) / (2 * pq)));
        turn.columns(a, m, n, p, q);
        turn.columns(v, n, n, p, q);
      }
    if (!turned) break;
  }
}

/// A unit vector orthogonal to the first k columns of u (m, width), into column k.
void complete_column(double* u, int64_t m, int64_t width, int64_t k) {
  for (int64_t axis = 0; axis < m; ++axis) {
    Numbers x(static_cast<size_t>(m));
    x[static_cast<size_t>(axis)] = 1;
    for (int twice = 0; twice < 2; ++twice)
      for (int64_t j = 0; j < k; ++j) {
        double along = 0;
        for (int64_t i = 0; i < m; ++i) along += u[i * width + j] * x[static_cast<size_t>(i)];
        for (int64_t i = 0; i < m; ++i) x[static_cast<size_t>(i)] -= along * u[i * width + j];
      }
    const double norm = std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
    if (norm < 0.5 / std::sqrt(static_cast<double>(m))) continue;
    for (int64_t i = 0; i < m; ++i) u[i * width + k] = x[static_cast<size_t>(i)] / norm;
    return;
  }
}

}  // namespace

void svd(const double* a, int64_t m, int64_t n, double* u, double* s, double* v) {
  if (m < n) {
    Numbers turned(static_cast<size_t>(m * n));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) turned[static_cast<size_t>(j * m + i)] = a[i * n + j];
    return svd(turned.data(), n, m, v, s, u);
  }
  Numbers x(a, a + m * n), w = identity(n), norms(static_cast<size_t>(n));
  orthogonalize(x.data(), m, n, w.data());
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t j = 0; j < n; ++j) {
    double sum = 0;
    for (int64_t i = 0; i < m; ++i)
      sum += x[static_cast<size_t>(i * n + j)] * x[static_cast<size_t>(i * n + j)];
    norms[static_cast<size_t>(j)] = std::sqrt(sum);
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
    return norms[static_cast<size_t>(i)] > norms[static_cast<size_t>(j)];
  });
  for (int64_t k = 0; k < n; ++k) {
    const int64_t from = order[static_cast<size_t>(k)];
    s[k] = norms[static_cast<size_t>(from)];
    for (int64_t i = 0; i < n; ++i) v[i * n + k] = w[static_cast<size_t>(i * n + from)];
    if (s[k] > kTiny) {
      for (int64_t i = 0; i < m; ++i) u[i * n + k] = x[static_cast<size_t>(i * n + from)] / s[k];
    } else {
      complete_column(u, m, n, k);
    }
  }
}

Numbers matrix_exp(const double* a, int64_t n) {
  constexpr int kTerms = 18;  // of Taylor's series, for a norm of at most 1/2
  double norm = 0;
  for (int64_t j = 0; j < n; ++j) {
    double column = 0;
    for (int64_t i = 0; i < n; ++i) column += std::abs(a[i * n + j]);
    norm = std::max(norm, column);
  }
  const int halvings = norm > 0.5 && std::isfinite(norm) ? std::ilogb(norm) + 2 : 0;
  Numbers x(a, a + n * n), y = identity(n);
  for (double& e : x) e = std::ldexp(e, -halvings);
  for (int k = kTerms; k > 0; --k) {
    y = product(x, y, n);
    for (double& e : y) e /= k;
    for (int64_t i = 0; i < n; ++i) y[static_cast<size_t>(i * (n + 1))] += 1;
  }
  for (int i = 0; i < halvings; ++i) y = product(y, y, n);
  return y;
}

}  // namespace nnm::dense
