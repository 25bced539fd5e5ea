// Products through cuBLASLt's interface: which descriptors a layout comes to, and their results.
#include "kernels/gemm.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "nnm/ops/matmul_precision.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/device.h"
#include "support/gpu.h"

namespace nnm {
namespace {

using testing::emulated_gpu;

/// On the GPU with the same strides.
Tensor there(const Tensor& t) { return moved(t, emulated_gpu()); }

/// What f asks of cuBLASLt, one line a product.
template <class F>
std::vector<std::string> asked(const F& f) {
  const auto path = std::filesystem::temp_directory_path() / "nnm_lt_log";
  std::filesystem::remove(path);
  setenv("NNM_EMULATED_LT_LOG", path.c_str(), 1);
  f();
  unsetenv("NNM_EMULATED_LT_LOG");
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The largest difference of a product on the GPU from the CPU's, over the largest value.
double error_of(const Tensor& c, const Tensor& a, const Tensor& b, const Tensor& bias, double alpha,
                double beta) {
  const Tensor own = there(c);
  kernels::gemm(own, there(a), there(b), bias.defined() ? there(bias).view() : View{}, alpha, beta);
  const Tensor expected = clone(c);
  kernels::gemm(expected, a, b, bias, alpha, beta);
  const Tensor difference = sub(to(own, {DType::f64, Device{}}), to(expected, DType::f64));
  return max(abs(difference)).item().d /
         std::max(max(abs(to(expected, DType::f64))).item().d, 1e-3);
}

/// What follows the layouts in a line: f32 computed in f32 (no TF32), Hopper's workspace.
std::string after(int a, int b, int d, int compute = 68, int scale = 0) {
  return fmt::format("; compute {} {}, aligned {} {} {} {}, workspace 33554432", compute, scale, a,
                     b, d, d);
}

TEST_CASE("a linear layer is one product with its bias in the epilogue") {
  emulated_gpu();
  const Tensor x = there(randn({6, 4})), w = there(randn({3, 4})), bias = there(randn({3}));
  const Tensor y = empty({6, 3}, x.options());
  const auto lines = asked([&] { kernels::gemm(y, x, transpose(w, 0, 1), bias, 1, 0); });
  CHECK(lines == std::vector<std::string>{"TN 3x6x4 ld 4 4 3 batch 1 stride 0 0 0 type 0 bias" +
                                          after(256, 256, 256)});
  // Its gradients: of the input, of the weight.
  const Tensor dx = empty({6, 4}, x.options()), dw = empty({3, 4}, x.options());
  CHECK(asked([&] { kernels::gemm(dx, y, w, View{}, 1, 0); }) ==
        std::vector<std::string>{"NN 4x6x3 ld 4 3 4 batch 1 stride 0 0 0 type 0" +
                                 after(256, 256, 256)});
  CHECK(asked([&] { kernels::gemm(dw, transpose(y, 0, 1), x, View{}, 1, 0); }) ==
        std::vector<std::string>{"NT 4x3x6 ld 4 3 4 batch 1 stride 0 0 0 type 0" +
                                 after(256, 256, 256)});
}

TEST_CASE("a plan knows types, alignments and workspace") {
  emulated_gpu();
  const auto product = [](DType t, int64_t skip) {
    const Tensor x = there(to(randn({9, 4}), t)), w = there(to(randn({4, 3}), t));
    const Tensor y = empty({8, 3}, x.options()), bias = there(to(randn({3}), t));
    return asked([&] { kernels::gemm(y, narrow(x, 0, skip, 8), w, bias, 1, 0); });
  };
  using Lines = std::vector<std::string>;
  const std::string layout = "NN 3x8x4 ld 3 4 3 batch 1 stride 0 0 0 type ";
  CHECK(product(DType::f32, 0) == Lines{layout + "0 bias" + after(256, 256, 256)});
  // A row further on the second operand is aligned to less: another plan.
  CHECK(product(DType::f32, 1) == Lines{layout + "0 bias" + after(256, 16, 256)});
  CHECK(product(DType::bf16, 1) == Lines{layout + "14 bias" + after(256, 8, 256)});
  CHECK(product(DType::f16, 0) == Lines{layout + "2 bias" + after(256, 256, 256)});
  // No epilogue in double precision: the bias is added by a kernel.
  CHECK(product(DType::f64, 1) == Lines{layout + "1" + after(256, 32, 256, 70, 1)});
}

TEST_CASE("f32 is multiplied as TF32 where that is allowed, and there alone") {
  emulated_gpu();
  const Tensor x = randn({9, 40}), w = randn({40, 5});
  const auto compute = [&](DType t) {
    const Tensor a = there(to(x, t)), b = there(to(w, t)), c = empty({9, 5}, a.options());
    const auto lines = asked([&] { kernels::gemm(c, a, b, View{}, 1, 0); });
    return lines.at(0).substr(lines.at(0).find("compute"), 13);
  };
  CHECK(get_float32_matmul_precision() == "highest");
  CHECK(compute(DType::f32) == "compute 68 0,");
  const double exact = error_of(empty({9, 5}), x, w, {}, 1, 0);
  for (const char* precision : {"high", "medium"}) {
    set_float32_matmul_precision(precision);
    CHECK(get_float32_matmul_precision() == precision);
    CHECK(compute(DType::f32) == "compute 77 0,");
    CHECK(compute(DType::bf16) == "compute 68 0,");
    CHECK(compute(DType::f64) == "compute 70 1,");
    const double rounded = error_of(empty({9, 5}), x, w, {}, 1, 0);
    CHECK(rounded > 100 * exact);
    CHECK(rounded < 2e-3);
  }
  set_float32_matmul_precision("highest");
  CHECK(compute(DType::f32) == "compute 68 0,");
  {
    const Tf32Guard wanted(true);
    CHECK(compute(DType::f32) == "compute 77 0,");
    const Tf32Guard other(false);
    CHECK(compute(DType::f32) == "compute 77 0,");
  }
  CHECK(compute(DType::f32) == "compute 68 0,");
  CHECK_THROWS_WITH_AS(set_float32_matmul_precision("tf32"),
                       "float32 matmul precision is highest, high or medium, not `tf32`", Error);
}

TEST_CASE("matrices of halves whose rows begin anywhere are copied where that pays") {
  emulated_gpu();
  using Lines = std::vector<std::string>;
  const auto options = there(zeros({1}, {DType::bf16, Device{}})).options();
  // A linear layer of k inputs and 33 outputs, and its gradients: of the input, of the weight. What
  // is beyond a multiple of 16 bytes goes by itself: an output, a term.
  const auto layer = [&](int64_t k) {
    const Tensor x = empty({32, k}, options), w = empty({33, k}, options),
                 bias = empty({33}, options), y = empty({32, 33}, options);
    return asked([&] {
      kernels::gemm(y, x, transpose(w, 0, 1), bias, 1, 0);
      kernels::gemm(x, y, w, View{}, 1, 0);
      kernels::gemm(w, transpose(y, 0, 1), x, View{}, 1, 0);
      kernels::gemm(transpose(w, 0, 1), transpose(x, 0, 1), y, View{}, 1, 0);
    });
  };
  const std::string rest = " batch 1 stride 0 0 0 type 14", even = after(256, 256, 256);
  // What is beyond a multiple of 16 bytes goes by itself: an output, a term.
  CHECK(layer(1104) == Lines{"TN 32x32x1104 ld 1104 1104 40" + rest + " bias" + even,
                             "NN 1x32x1104 ld 1 1104 40" + rest + " bias" + after(256, 256, 64),
                             "NN 1104x32x32 ld 1104 32 1104" + rest + even,
                             "NN 1104x32x1 ld 1104 33 1104" + rest + after(256, 64, 256),
                             "NT 1104x33x32 ld 1104 40 1104" + rest + even,
                             "NT 1104x33x32 ld 1104 40 1104" + rest + even});
  CHECK(layer(992) == Lines{"TN 33x32x992 ld 992 992 33" + rest + " bias" + even,
                            "NN 992x32x33 ld 992 33 992" + rest + even,
                            "NT 992x33x32 ld 992 33 992" + rest + even,
                            "NT 992x33x32 ld 992 33 992" + rest + even});
  // One row has no rows after it; f32 has no such kernels.
  const auto product = [&](DType t, int64_t m, int64_t n, int64_t k) {
    const TensorOptions o{t, options.device};
    const Tensor a = empty({m, k}, o), b = empty({n, k}, o), c = empty({m, n}, o);
    return asked([&] { kernels::gemm(c, a, transpose(b, 0, 1), View{}, 1, 0); })
        .at(0)
        .substr(0, 30);
  };
  CHECK(product(DType::bf16, 1, 4097, 256) == "TN 4097x1x256 ld 256 256 4097 ");
  CHECK(product(DType::f32, 32, 33, 1000) == "TN 33x32x1000 ld 1000 1000 33 ");
}

TEST_CASE("products by way of copies agree with the CPU's") {
  emulated_gpu();
  for (const DType type : {DType::bf16, DType::f16}) {
    const auto matrix = [&](int64_t r, int64_t c) { return to(randn({r, c}), type); };
    const Tensor x = matrix(32, 1100), w = matrix(35, 1100), y = matrix(32, 35);
    const Tensor off = matrix(33, 1100).as_strided({32, 1100}, {1100, 1}, 7);
    const Tensor one = to(randn({35}), type);
    CHECK(error_of(y, x, transpose(w, 0, 1), one, 0.5, 0) < 1e-2);
    CHECK(error_of(y, off, transpose(w, 0, 1), one, 0.5, 2) < 1e-2);
    CHECK(error_of(x, y, w, {}, 0.5, 2) < 1e-2);
    CHECK(error_of(w, transpose(y, 0, 1), x, {}, 1, 1) < 1e-2);
    CHECK(error_of(transpose(w, 0, 1), transpose(off, 0, 1), y, {}, 1, 0) < 1e-2);
    CHECK(error_of(transpose(matrix(35, 32), 0, 1), x, transpose(w, 0, 1), {}, 1, 0) < 1e-2);
  }
}

TEST_CASE("products agree with the CPU's for every layout and type") {
  emulated_gpu();
  for (const DType type : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    const double limit = type == DType::f64 ? 1e-14 : type == DType::f32 ? 1e-6 : 1e-2;
    const auto matrix = [&](int64_t r, int64_t c) { return to(randn({r, c}), type); };
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{5, 7, 3}, {1, 4, 6}, {4, 1, 1}, {8, 2, 1}}) {
      const std::string what = info(type).name + Shape({m, n, k}).str();
      CAPTURE(what);
      for (int layout = 0; layout < 16; ++layout) {
        CAPTURE(layout);
        const Tensor a = layout & 1 ? transpose(matrix(k, m), 0, 1) : matrix(m, k);
        const Tensor b = layout & 2 ? transpose(matrix(n, k), 0, 1) : matrix(k, n);
        const Tensor c = layout & 4 ? transpose(matrix(n, m), 0, 1) : matrix(m, n);
        const Tensor bias = layout & 8 ? to(randn({n}), type) : Tensor();
        CHECK(error_of(c, a, b, bias, 1, 0) < limit);
        CHECK(error_of(c, a, b, bias, 0.5, 2) < limit);
      }
      // Neither stride is 1; rows further apart than they are long; one element repeated.
      const Tensor wide = to(randn({2 * m, 2 * k}), type);
      const Tensor gaps = wide.as_strided({m, k}, {4 * k, 2}, 1);
      const Tensor rows = wide.as_strided({m, k}, {2 * k, 1}, 1);
      const Tensor same = wide.as_strided({m, k}, {0, 0}, 0);
      for (const Tensor& a : {gaps, rows, same})
        CHECK(error_of(matrix(m, n), a, matrix(k, n), to(randn({n}), type), 1, 1) < limit);
    }
  }
}

TEST_CASE("sums without terms, and products without elements") {
  emulated_gpu();
  const Tensor bias = randn({3});
  CHECK(error_of(full({2, 3}, NAN), zeros({2, 0}), zeros({0, 3}), bias, 1, 0) == 0);
  CHECK(error_of(randn({2, 3}), zeros({2, 0}), zeros({0, 3}), {}, 1, 0.5) < 1e-6);
  CHECK(asked([] {
          kernels::gemm(there(zeros({0, 3})), there(zeros({0, 2})), there(zeros({2, 3})), View{}, 1,
                        0);
        }).empty());
}

TEST_CASE("batches of products, repeated operands among them") {
  emulated_gpu();
  const Tensor a = randn({3, 4, 5}), b = randn({3, 5, 2}), one = randn({5, 2});
  for (const Tensor& right :
       {b, transpose(randn({3, 2, 5}), 1, 2), one.as_strided({3, 5, 2}, {0, 2, 1}, 0)}) {
    const Tensor c = zeros({3, 4, 2}), own = there(c);
    kernels::gemm_batched(c, a, right, 1, 0);
    kernels::gemm_batched(own, there(a), there(right), 1, 0);
    CHECK(allclose(to(own, {DType::f32, Device{}}), c, 1e-5, 1e-6));
  }
  const Tensor own = there(zeros({3, 4, 2}));
  CHECK(asked([&] { kernels::gemm_batched(own, there(a), there(b), 1, 0); }) ==
        std::vector<std::string>{"NN 2x4x5 ld 2 5 2 batch 3 stride 10 20 8 type 0" +
                                 after(256, 256, 256)});
  // Of halves each matrix of a batch, too, where its copy pays.
  const Tensor c = to(zeros({2, 32, 33}), DType::bf16), x = to(randn({2, 32, 600}), DType::bf16),
               y = to(randn({2, 600, 33}), DType::bf16), there_c = there(c);
  const auto lines = asked([&] { kernels::gemm_batched(there_c, there(x), there(y), 1, 0); });
  CHECK(lines == std::vector<std::string>{
                     "NN 33x32x600 ld 33 600 33 batch 2 stride 19800 19200 1056 type 14" +
                     after(256, 256, 256)});
  const Tensor turned = transpose(to(randn({2, 33, 600}), DType::bf16), 1, 2);
  CHECK(
      asked([&] { kernels::gemm_batched(there_c, there(x), there(turned), 1, 0); }) ==
      std::vector<std::string>{
          "TN 32x32x600 ld 600 600 40 batch 2 stride 19800 19200 1280 type 14" +
              after(256, 256, 256),
          "NN 1x32x600 ld 1 600 40 batch 2 stride 19800 19200 1280 type 14" + after(256, 256, 64)});
  kernels::gemm_batched(c, x, turned, 1, 0);
  CHECK(allclose(to(there_c, {DType::f32, Device{}}), to(c, DType::f32), 1e-2, 0.2));
}

}  // namespace
}  // namespace nnm
