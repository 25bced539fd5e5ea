// The matrix product at the edges of its register tile, of every width that a processor may have.
#include "kernels/gemm.h"

#include <doctest/doctest.h>

#include "nnm/ops/ops.h"
#include "nnm/tensor/tensor.h"

using namespace nnm;

namespace {

// Small whole numbers: their sums are exact in every order.
Tensor whole(int64_t rows, int64_t cols, bool by_columns, DType dtype, int64_t salt) {
  Tensor t =
      by_columns ? empty_strided({rows, cols}, {1, rows}, {dtype}) : empty({rows, cols}, {dtype});
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const auto value = static_cast<double>((i * 7 + j * 3 + salt) % 11 - 5);
      const int64_t at = i * t.strides()[0] + j * t.strides()[1];
      if (dtype == DType::f64) t.data<double>()[at] = value;
      else t.data<float>()[at] = static_cast<float>(value);
    }
  }
  return t;
}

double at(const Tensor& t, int64_t i, int64_t j) {
  const int64_t k = i * t.strides()[0] + j * t.strides()[1];
  return t.dtype() == DType::f64 ? t.data<double>()[k] : static_cast<double>(t.data<float>()[k]);
}

struct Case {
  int64_t m, n, k;
  int layout;  ///< bits: a, b and c by columns
  DType dtype;
};

// Half of the cases have a bias.
bool exact(const Case& s) {
  const bool biased = s.m % 2 == 1;
  const Tensor a = whole(s.m, s.k, s.layout & 1, s.dtype, 1),
               b = whole(s.k, s.n, s.layout & 2, s.dtype, 2),
               bias = whole(1, s.n, false, s.dtype, 3),
               before = whole(s.m, s.n, s.layout & 4, s.dtype, 4),
               c = whole(s.m, s.n, s.layout & 4, s.dtype, 4);
  kernels::gemm(c.view(), a.view(), b.view(), biased ? select(bias, 0, 0).view() : View{}, 2, 3);
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum += at(a, i, k) * at(b, k, j);
      const double added = biased ? at(bias, 0, j) : 0;
      if (at(c, i, j) != 2 * sum + 3 * at(before, i, j) + added) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("gemm: whole and ragged tiles of every count of rows are exact") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (int64_t m = 1; m <= 26; ++m) {
      for (const int64_t n : {1, 7, 8, 9, 16, 17, 31, 32, 33, 48, 65}) {
        for (int layout = 0; layout < 8; ++layout) {
          const Case s{m, n, 5 + m % 3, layout, dtype};
          CHECK_MESSAGE(exact(s), m, " x ", n, " x ", s.k, " of layout ", layout);
        }
      }
    }
  }
}

TEST_CASE("gemm: more than one block of rows, columns and depth is exact") {
  for (int layout = 0; layout < 8; ++layout) {
    CHECK(exact({103, 40, 417, layout, DType::f32}));
    CHECK(exact({109, 290, 19, layout, DType::f32}));
    CHECK(exact({25, 290, 417, layout, DType::f32}));
    CHECK(exact({13, 1061, 37, layout, DType::f32}));
    CHECK(exact({25, 1061, 417, layout, DType::f32}));
  }
}
