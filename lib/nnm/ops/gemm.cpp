// Choosing a kernel for a matrix product, and counting its operations.
#include "nnm/ops/gemm.h"

#include "kernels/gemm.h"
#include "kernels/multipliers.h"
#include "kernels/onednn.h"
#include "kernels/parallel.h"
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

thread_local FlopCounter* counter = nullptr;

View repeated_rows(const View& bias, int64_t rows) {
  View v = bias;
  v.ndim = 2;
  v.size[0] = rows, v.size[1] = bias.size[0];
  v.stride[0] = 0, v.stride[1] = bias.stride[0];
  return v;
}

}  // namespace

FlopCounter::FlopCounter() : outer_(counter) { counter = this; }

FlopCounter::~FlopCounter() {
  counter = outer_;
  if (outer_) outer_->flops += flops;
}

void count_flops(int64_t n) {
  if (counter) counter->flops += n;
}

namespace detail {

View transposed_view(View v) {
  std::swap(v.size[0], v.size[1]);
  std::swap(v.stride[0], v.stride[1]);
  return v;
}

const OneDnn* onednn_for(const View& out, int64_t flops, int64_t least) {
  if (flops < least || out.dtype != DType::f32 || out.device.type != DeviceType::cpu)
    return nullptr;
  return onednn();
}

int kernel_threads() { return in_parallel() ? 1 : num_threads(); }

namespace {

// oneDNN's own threads gain little on products this small: a thread computes a part by itself.
void gemm_in_parts(const OneDnn& d, const View& c, const View& a, const View& b, double alpha,
                   double beta) {
  constexpr int64_t kUnit = 16, kLeastPart = 500'000;
  const int dim = c.size[0] >= c.size[1] ? 0 : 1;
  const int64_t extent = c.size[dim], units = (extent + kUnit - 1) / kUnit;
  const int64_t unit_work = kUnit * c.size[1 - dim] * a.size[1];
  nnm::parallel_for(units, (kLeastPart + unit_work - 1) / unit_work,
                    [&](int64_t begin, int64_t end) {
                      const int64_t first = begin * kUnit, last = std::min(extent, end * kUnit);
                      const View part = c.part(first, last, dim);
                      const View left = dim == 0 ? a.part(first, last) : a;
                      const View right = dim == 1 ? b.part(first, last, 1) : b;
                      if (!d.gemm(part, left, right, alpha, beta, 1))
                        kernels::gemm(part, left, right, View{}, alpha, beta);
                    });
}

// Whether the own kernel is ahead of oneDNN 2.6 with 512-bit vectors. On an Intel Xeon of 240
// GFLOP/s a core, operands out of the cache, GFLOP/s of oneDNN / of the kernel, one thread:
//   sums over rows, as weights' gradients are     others
//    1536 x 384 x 2048   126 / 163                2048 x 1536 x 384  201 / 181
//    1152 x 384 x 2048   151 / 163                2048 x 384 x 1536  189 / 165
//     512 x 128 x 1024   150 / 152                1024 x 512 x 128   168 / 163
//     128 x 784 x 1024   164 / 152                1024 x 128 x 784   168 / 170
// and a bias costs the kernel nothing, where after oneDNN it is another pass over the product.
bool own_wins_wide(int64_t k, bool sums_rows, bool biased, int64_t flops) {
  constexpr int64_t kManySums = 500'000'000, kDeep = 1024;
  return (biased && k <= kDeep) || (sums_rows && flops >= kManySums);
}

// The same with 256-bit vectors. Where oneDNN reads operands as they lie, rows a large power of two
// apart fall upon each other in the cache; the kernel copies them first. GFLOP/s on an AMD EPYC
// (Zen 3) of 94 a core, oneDNN's with its pass for the bias:
//   sums over rows                               others, with a bias
//     512 x  128 x 1024   53 / 74                1024 x  128 x  512   69 / 82
//     128 x  512 x 1024   47 / 65                1024 x  512 x  128   72 / 78
//    1024 x  256 x 1024   30 / 58                2048 x  384 x  384   80 / 81
//     384 x  384 x 2048   61 / 71                2048 x 1152 x  384   87 / 85
//     768 x  768 x  128   71 / 62                1024 x  128 x  784   60 / 58
//     128 x  784 x 1024   60 / 56                  64 x  512 x  512   57 / 49
//    1536 x  384 x 2048   74 / 66               and without one 2048 x 256 x 384   62 / 56
bool own_wins_narrow(int64_t m, int64_t n, int64_t k, bool sums_rows, bool biased) {
  if (sums_rows && m <= 256) return m >= 128 ? n >= 1024 || n % 256 == 0 : n % 1024 == 0;
  if (sums_rows) return n <= 256 || (n <= 512 && m <= 1024);
  if (biased && (k <= 256 || (m >= 512 && k <= 512 && n <= 512))) return true;
  return m >= 128 && m <= 512 && n >= 1024;
}

bool own_wins(const View& c, const View& a, const View& b, bool biased, int64_t flops) {
  // The product is made as its transpose where its columns lie in rows of memory.
  if (c.stride[1] != 1 && c.stride[0] == 1)
    return own_wins(transposed_view(c), transposed_view(b), transposed_view(a), biased, flops);
  const bool sums_rows = a.stride[1] != 1;
  if (wide_multipliers()) return own_wins_wide(a.size[1], sums_rows, biased, flops);
  return cpu_isa() == Isa::avx2 &&
         own_wins_narrow(c.size[0], c.size[1], a.size[1], sums_rows, biased);
}

bool gemm_by_onednn(const View& c, const View& a, const View& b, double alpha, double beta,
                    bool biased) {
  constexpr int64_t kLeast = 2'000'000, kWhole = 40'000'000;
  const int64_t m = c.size[0], n = c.size[1], flops = 2 * m * n * a.size[1];
  if (m <= 4 || n < 16 || own_wins(c, a, b, biased, flops)) return false;
  const OneDnn* d = onednn_for(c, flops, kLeast);
  if (!d) return false;
  const int threads = kernel_threads();
  if (threads == 1 || flops >= kWhole) return d->gemm(c, a, b, alpha, beta, threads);
  gemm_in_parts(*d, c, a, b, alpha, beta);
  return true;
}

}  // namespace

void gemm(const View& c, const View& a, const View& b, const View& bias, double alpha,
          double beta) {
  const int64_t m = c.size[0], n = c.size[1], k = a.size[1];
  count_flops(2 * m * n * k);
  if (k == 0 && beta == 0) {
    if (bias) return kernels::copy(c, repeated_rows(bias, m));
    return kernels::fill(c, 0, 0);
  }
  // A few columns are a few rows of the transpose, for which the kernel has a path of its own.
  if (n <= 4 && m > 4) {
    kernels::gemm(transposed_view(c), transposed_view(b), transposed_view(a), View{}, alpha, beta);
    if (bias) kernels::binary(c, c, repeated_rows(bias, m), Binary::add, compute_type(c.dtype), 1);
    return;
  }
  if (gemm_by_onednn(c, a, b, alpha, beta, static_cast<bool>(bias))) {
    if (bias) kernels::binary(c, c, repeated_rows(bias, m), Binary::add, compute_type(c.dtype), 1);
    return;
  }
  kernels::gemm(c, a, b, bias, alpha, beta);
}

void gemm_batched(const View& c, const View& a, const View& b) {
  count_flops(2 * c.numel() * a.size[2]);
  if (a.size[2] == 0) return kernels::fill(c, 0, 0);
  kernels::gemm_batched(c, a, b, 1, 0);
}

Tensor product(const Tensor& a, const Tensor& b, double alpha, bool by_columns) {
  const int64_t m = a.shape()[0], n = b.shape()[1];
  Tensor c = by_columns ? empty_strided({m, n}, {1, m}, a.options()) : empty({m, n}, a.options());
  gemm(c, a, b, {}, alpha);
  return c;
}

Tensor transposed(const Tensor& x) {
  Shape sizes = x.shape(), strides = x.strides();
  const int n = sizes.size();
  std::swap(sizes[n - 1], sizes[n - 2]);
  std::swap(strides[n - 1], strides[n - 2]);
  return x.as_strided(sizes, strides, x.impl()->offset);
}

void check_floating(const Tensor& x, const char* kernel) {
  NNM_CHECK(is_floating(x.dtype()), not_implemented, "\"{}\" not implemented for '{}'", kernel,
            scalar_type_name(x.dtype()));
}

}  // namespace detail
}  // namespace nnm
