// The words for tensor cores, emulated: which lane has what, as PTX tells, and when copies land.
#include "kernels/cuda/mma.h"

#include <doctest/doctest.h>

#include <vector>

namespace nnm {
namespace {

constexpr int kSide = 16;
constexpr simt::Order kOrders[] = {simt::Order::forward, simt::Order::reverse,
                                   simt::Order::shuffled};

/// Four quarters of 16 x 16 numbers, in the order of the rows that the lanes name.
template <bool kTransposed>
__global__ void quarters(uint32_t* out, const uint16_t* x) {
  __shared__ __align__(16) uint16_t tile[kSide * kSide];
  const int lane = static_cast<int>(threadIdx.x);
  cuda::copy_async<16>(tile + lane * 8, x + lane * 8, 16);
  cuda::wait_for_copies();
  __syncthreads();
  uint32_t got[4];
  const uint16_t* const row = tile + lane % 16 * kSide + lane / 16 * 8;
  if (kTransposed) cuda::load_transposes(got, row);
  else cuda::load_matrices(got, row);
  for (int m = 0; m < 4; ++m) out[lane * 4 + m] = got[m];
}

TEST_CASE("mma: lanes get two neighbours of a row of each matrix, or of its transpose") {
  std::vector<uint16_t> x(kSide * kSide);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i);
  std::vector<uint32_t> plain(128), turned(128);
  NNM_LAUNCH(quarters<false>, 1, 32, 0, plain.data(), x.data());
  NNM_LAUNCH(quarters<true>, 1, 32, 0, turned.data(), x.data());
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t m = 0; m < 4; ++m) {
      const uint32_t corner = m % 2 * 8 * kSide + m / 2 * 8, r = lane / 4, c = lane % 4 * 2;
      const uint32_t first = corner + r * kSide + c, down = corner + c * kSide + r;
      REQUIRE(plain[lane * 4 + m] == (first | (first + 1) << 16));
      REQUIRE(turned[lane * 4 + m] == (down | (down + kSide) << 16));
    }
}

/// sums = a b for 16 x 16 numbers each; b is given as it is, or transposed.
template <class T, bool kTransposed>
__global__ void product(float* sums, const T* a, const T* b) {
  __shared__ __align__(16) T x[kSide * kSide], y[kSide * kSide];
  const int lane = static_cast<int>(threadIdx.x);
  cuda::copy_async<16>(x + lane * 8, a + lane * 8, 16);
  cuda::copy_async<16>(y + lane * 8, b + lane * 8, 16);
  cuda::wait_for_copies();
  __syncthreads();
  uint32_t p[4], q[4];
  cuda::load_matrices(p, x + lane % 16 * kSide + lane / 16 * 8);
  if (kTransposed)
    cuda::load_matrices(q, y + (lane % 8 + lane / 16 * 8) * kSide + lane / 8 % 2 * 8);
  else cuda::load_transposes(q, y + lane % 16 * kSide + lane / 16 * 8);
  for (int n = 0; n < 2; ++n) {
    float sum[4] = {1, 1, 1, 1};
    cuda::mma<T>(sum, p, q[2 * n], q[2 * n + 1]);
    for (int e = 0; e < 4; ++e)
      sums[(lane / 4 + e / 2 * 8) * kSide + n * 8 + lane % 4 * 2 + e % 2] = sum[e];
  }
}

template <class T, bool kTransposed>
void check_product() {
  std::vector<T> a, b;
  for (int i = 0; i < kSide * kSide; ++i) {
    a.push_back(T(static_cast<float>(i * 7 % 23 - 11)));
    b.push_back(T(static_cast<float>(i * 5 % 19) / 4));
  }
  std::vector<float> sums(kSide * kSide);
  NNM_LAUNCH((product<T, kTransposed>), 1, 32, 0, sums.data(), a.data(), b.data());
  for (size_t i = 0; i < kSide; ++i)
    for (size_t j = 0; j < kSide; ++j) {
      float sum = 1;
      for (size_t k = 0; k < kSide; ++k)
        sum += static_cast<float>(a[i * kSide + k]) *
               static_cast<float>(kTransposed ? b[j * kSide + k] : b[k * kSide + j]);
      REQUIRE(sums[i * kSide + j] == sum);
    }
}

TEST_CASE("mma: products of a warp") {
  for (const simt::Order order : kOrders) {
    simt::set_order(order, 3);
    check_product<BFloat16, false>();
    check_product<BFloat16, true>();
    check_product<Half, false>();
    check_product<Half, true>();
  }
  simt::set_order(simt::Order::forward);
  CHECK(cuda::pack<BFloat16>(1, -2) == 0xc0003f80u);
  CHECK(cuda::pack<Half>(1, -2) == 0xc0003c00u);
}

template <bool kWaits>
__global__ void copied(uint32_t* out, const uint32_t* x, int there) {
  NNM_DYNAMIC_SHARED(uint32_t, kept);
  const int t = static_cast<int>(threadIdx.x);
  cuda::copy_async<8>(kept + 2 * t, x + 2 * t, there);
  if (kWaits) cuda::wait_for_copies();
  for (int i = 0; i < 2; ++i) out[2 * t + i] = kept[2 * t + i];
}

TEST_CASE("mma: copies land when they are waited for, with zeros behind") {
  alignas(16) const uint32_t x[] = {1, 2, 3, 4};
  std::vector<uint32_t> out(4);
  for (const simt::Order order : kOrders) {
    simt::set_order(order, 3);
    NNM_LAUNCH(copied<true>, 1, 2, 4 * sizeof(uint32_t), out.data(), x, 8);
    CHECK(out == std::vector<uint32_t>{1, 2, 3, 4});
    NNM_LAUNCH(copied<true>, 1, 2, 4 * sizeof(uint32_t), out.data(), x, 4);
    CHECK(out == std::vector<uint32_t>{1, 0, 3, 0});
    NNM_LAUNCH(copied<true>, 1, 2, 4 * sizeof(uint32_t), out.data(), x, 0);
    CHECK(out == std::vector<uint32_t>(4, 0));
  }
  simt::set_order(simt::Order::forward);
  NNM_LAUNCH(copied<false>, 1, 2, 4 * sizeof(uint32_t), out.data(), x, 8);
  CHECK(out == std::vector<uint32_t>(4, ~0u));
  // Before they are waited for they may have landed, too.
  simt::set_order(simt::Order::shuffled, 1);
  bool early = false;
  for (int i = 0; i < 20 && !early; ++i) {
    NNM_LAUNCH(copied<false>, 1, 2, 4 * sizeof(uint32_t), out.data(), x, 8);
    early = out != std::vector<uint32_t>(4, ~0u);
  }
  simt::set_order(simt::Order::forward);
  CHECK(early);
}

}  // namespace
}  // namespace nnm
