// Cases of matrix products: layouts, depths beyond a tile, accumulation, bias.
#include <fmt/format.h>

#include "kernels/gemm.h"
#include "nnm/run/selftest/suite.h"

namespace nnm::run {

namespace {

struct Product {
  int64_t m, n, k;
};
constexpr Product kProducts[] = {{1, 1, 1},    {5, 3, 7},   {64, 32, 16},   {33, 130, 65},
                                 {1, 200, 64}, {128, 1, 9}, {16, 24, 1000}, {4, 4, 0}};

/// Sums over k of normal numbers differ by their order as a walk of k steps does, and halves are
/// rounded once.
double slack(DType t, int64_t k) {
  return t == DType::f32 || t == DType::f64 ? 4 + 0.1 * static_cast<double>(k) : 2;
}

void check_gemm(Suite& s) {
  for (const Product& p : kProducts)
    for (const DType t : kFloats)
      for (const Lay a : {Lay::plain, Lay::turned})
        for (const Lay b : {Lay::plain, Lay::turned})
          for (const bool more : {false, true}) {
            const double alpha = more ? 0.5 : 1, beta = more ? 1 : 0;
            const Sizes c = {p.m, p.n};
            s.check(kernels::gemm, more ? "accumulated" : "with bias",
                    {more ? both(t, c) : out(t, c), in(t, {p.m, p.k}, a), in(t, {p.k, p.n}, b),
                     more ? absent() : in(t, {p.n})},
                    slack(t, p.k),
                    [=](const Views& v) { kernels::gemm(v[0], v[1], v[2], v[3], alpha, beta); });
          }
  for (const Lay lay : {Lay::rows, Lay::gaps, Lay::off})
    s.check(kernels::gemm, "",
            {out(DType::f32, {9, 20}, lay), in(DType::f32, {9, 31}, lay),
             in(DType::f32, {31, 20}, lay), absent()},
            8, [](const Views& v) { kernels::gemm(v[0], v[1], v[2], v[3], 1, 0); });
  // Large enough for copies of matrices of halves whose rows begin anywhere.
  s.check(kernels::gemm, "",
          {out(DType::bf16, {520, 521}), in(DType::bf16, {520, 1000}), in(DType::bf16, {1000, 521}),
           in(DType::bf16, {521})},
          2, [](const Views& v) { kernels::gemm(v[0], v[1], v[2], v[3], 1, 0); });
}

void check_batched(Suite& s) {
  for (const DType t : kFloats)
    for (const unsigned once : {0u, 1u})
      s.check(kernels::gemm_batched, "",
              {out(t, {6, 9, 12}), in(t, {6, 9, 33}), spread(in(t, {6, 33, 12}), once)},
              slack(t, 33),
              [](const Views& v) { kernels::gemm_batched(v[0], v[1], v[2], 0.5, 0); });
  s.check(kernels::gemm_batched, "accumulated",
          {both(DType::f32, {3, 8, 8}), in(DType::f32, {3, 8, 5}), in(DType::f32, {3, 5, 8})}, 4,
          [](const Views& v) { kernels::gemm_batched(v[0], v[1], v[2], 1, 1); });
}

}  // namespace

void check_products(Suite& s) {
  check_gemm(s);
  check_batched(s);
}

}  // namespace nnm::run
