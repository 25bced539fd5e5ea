// Inverses, spectra and sets: what the goldens do not show. Texts are PyTorch's.
#include <doctest/doctest.h>

#include "nnm/ops/functional.h"
#include "nnm/ops/linalg.h"
#include "ops/wave.h"
#include "support/checks.h"
#include "support/gradcheck.h"

using namespace nnm;
using nnm::testing::error_of;

namespace {

Tensor square_wave(int64_t n) { return wave({n, n}) + eye(n, -1, {DType::f64}) * Scalar(2.0); }

}  // namespace

TEST_CASE("matrices: singular, oblong and integer ones are refused in PyTorch's words") {
  const Tensor zero = zeros({3, 3}), oblong = ones({2, 3}), whole = to(zero, DType::i64);
  CHECK(error_of([&] { (void)inverse(zero); }) ==
        "RuntimeError: linalg.inv: The diagonal element 1 is zero, the inversion could not be "
        "completed because the input matrix is singular.");
  CHECK(
      error_of([&] {
        (void)inverse(stack({eye(3), zero}));
      }) ==
      "RuntimeError: linalg.inv: (Batch element 1): The diagonal element 1 is zero, the inversion "
      "could not be completed because the input matrix is singular.");
  CHECK(error_of([&] { (void)inverse(oblong); }) ==
        "RuntimeError: linalg.inv: A must be batches of square matrices, but they are 2 by 3 "
        "matrices");
  CHECK(error_of([&] { (void)inverse(ones({3})); }) ==
        "RuntimeError: linalg.inv: The input tensor A must have at least 2 dimensions.");
  CHECK(error_of([&] { (void)inverse(whole); }) ==
        "RuntimeError: linalg.inv: Expected a floating point or complex tensor as input. Got Long");
  CHECK(
      error_of([&] { (void)solve(zero, ones({3})); }) ==
      "RuntimeError: torch.linalg.solve: The solver failed because the input matrix is singular.");
  CHECK(error_of([&] {
          (void)solve(eye(3), ones({2, 2}));
        }) ==
        "RuntimeError: linalg.solve: Incompatible shapes of A and B for the equation AX = B (3x3 "
        "and 2x2)");
  CHECK(error_of([&] { (void)cholesky(neg(eye(3))); }) ==
        "RuntimeError: linalg.cholesky: The factorization could not be completed because the input "
        "is not positive-definite (the leading minor of order 1 is not positive-definite).");
  CHECK(error_of([&] { (void)matrix_norm(eye(3), 3); }) ==
        "RuntimeError: linalg.matrix_norm: Order 3 not supported.");
  CHECK(inverse(zeros({0, 0})).shape() == Shape{0, 0});
  CHECK(det(zeros({0, 0})).item().d == 1);
}

TEST_CASE("matrices: eigenvectors and singular vectors make the matrix again") {
  const Tensor x = wave({2, 4, 4}), whole = x + transpose(x, -2, -1);
  const auto [values, vectors] = eigh(whole);
  CHECK(allclose(matmul(vectors * unsqueeze(values, -2), transpose(vectors, -2, -1)), whole));
  for (const Tensor& a : {wave({2, 3, 5}), wave({2, 5, 3}), wave({2, 3, 3})}) {
    const Svd f = svd(a);
    CHECK(allclose(matmul(f.u * unsqueeze(f.s, -2), transpose(f.v, -2, -1)), a));
    const Tensor one = eye(3, -1, {DType::f64});
    CHECK(allclose(matmul(transpose(f.u, -2, -1), f.u), expand(one, {2, 3, 3})));
    CHECK(allclose(matmul(transpose(f.v, -2, -1), f.v), expand(one, {2, 3, 3})));
  }
  const Svd none = svd(zeros({3, 2}, {DType::f64}));
  CHECK(allclose(matmul(t(none.u), none.u), eye(2, -1, {DType::f64})));
}

TEST_CASE("matrices: gradients") {
  const auto good = [](const std::function<Tensors(const Tensors&)>& f, const Tensors& x) {
    for (const Tensor& leaf : x) leaf.requires_grad_();
    CHECK(gradcheck(f, x) == "");
  };
  const auto of = [&](auto f) { return [f](const Tensors& x) { return Tensors{f(x[0])}; }; };
  good(of([](const Tensor& x) { return inverse(x); }), {square_wave(3)});
  good(of([](const Tensor& x) { return matrix_exp(x); }), {random_leaf({3, 3})});
  good(of([](const Tensor& x) { return pinv(x); }), {random_leaf({4, 3})});
  good(of([](const Tensor& x) { return logdet(x); }), {square_wave(3)});
  good([](const Tensors& x) { return Tensors{solve(x[0], x[1])}; },
       {square_wave(3), random_leaf({3, 2})});
  // What does not depend on the vectors' signs.
  good(
      [](const Tensors& x) {
        const auto [w, v] = eigh(x[0] + t(x[0]));
        return Tensors{w, square(v)};
      },
      {random_leaf({4, 4})});
  for (const Shape& shape : {Shape{5, 3}, Shape{3, 5}, Shape{3, 3}})
    good(
        [](const Tensors& x) {
          const Svd f = svd(x[0]);
          return Tensors{square(f.u), f.s, square(f.v)};
        },
        {random_leaf(shape)});
  good(
      [](const Tensors& x) {
        const auto [q, r] = qr(x[0]);
        return Tensors{q, r};
      },
      {random_leaf({5, 3})});
}

TEST_CASE("matrices: a determinant of a singular matrix has the cofactors as its gradient") {
  const Tensor x = tensor({{1.0, 2.0}, {2.0, 4.0}}, DType::f64).requires_grad_();
  det(x).backward();
  CHECK(equal(x.grad(), tensor({{4.0, -2.0}, {-2.0, 1.0}}, DType::f64)));
}

TEST_CASE("sets: unique values, places and counts") {
  const Tensor x = labels({3, 1, 1, 2}, {2, 2});
  const Unique u = unique(x);
  CHECK(equal(u.values, labels({1, 2, 3}, {3})));
  CHECK(equal(u.inverse, labels({2, 0, 0, 1}, {2, 2})));
  CHECK(equal(u.counts, labels({2, 1, 1}, {3})));
  // Numbers that no double holds.
  const int64_t big = (int64_t{1} << 53) + 1;
  CHECK(unique(labels({big, big - 1}, {2, 1}), 0).values.numel() == 2);
  CHECK(unique(zeros({0})).values.numel() == 0);
}

TEST_CASE("scattering: what does not fit is refused in PyTorch's words") {
  const Tensor x = zeros({3}), one = ones({1}), at = labels({0}, {1});
  CHECK(error_of([&] { (void)scatter_reduce(x, 0, at, to(one, DType::f64), "sum"); }) ==
        "RuntimeError: scatter(): Expected self.dtype to be equal to src.dtype");
  CHECK(error_of([&] { (void)scatter_reduce(x, 0, labels({3}, {1}), one, "amax"); }) ==
        "RuntimeError: index 3 is out of bounds for dimension 0 with size 3");
  CHECK(
      error_of([&] { (void)index_reduce(x, 0, at, one, "sum"); }) ==
      "RuntimeError: index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
      "sum.");
  CHECK(error_of([&] {
          (void)index_put(x, Value::list({labels({0, 1}, {2})}), ones({3}));
        }) ==
        "RuntimeError: shape mismatch: value tensor of shape [3] cannot be broadcast to indexing "
        "result of shape [2]");
  CHECK(error_of([&] {
          (void)put(zeros({2, 2}), labels({4}, {1}), one);
        }) == "IndexError: out of range: tried to access index 4 on a tensor of 4 elements.");
  CHECK(error_of([&] { (void)bitwise_and(one, one); }) ==
        "NotImplementedError: \"bitwise_and_cpu\" not implemented for 'Float'");
}
