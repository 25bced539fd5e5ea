// Dropout by Philox, four elements to a counter.
#include "kernels/dropout.h"

#include <algorithm>

#include "kernels/cpu/dtype.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace nnm {
namespace {

constexpr int64_t kCounters = 64;

// Numbers of kCounters counters side by side, so that the rounds vectorise.
void philox_block(uint64_t seed, uint64_t counter, uint32_t* out) {
  uint32_t c[4][kCounters];
  for (int64_t i = 0; i < kCounters; ++i) {
    const uint64_t at = counter + static_cast<uint64_t>(i);
    c[0][i] = static_cast<uint32_t>(at), c[1][i] = static_cast<uint32_t>(at >> 32), c[2][i] = 0,
    c[3][i] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int64_t i = 0; i < kCounters; ++i) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c[0][i], p1 = uint64_t{0xCD9E8D57u} * c[2][i];
      c[0][i] = static_cast<uint32_t>(p1 >> 32) ^ c[1][i] ^ k0;
      c[2][i] = static_cast<uint32_t>(p0 >> 32) ^ c[3][i] ^ k1;
      c[1][i] = static_cast<uint32_t>(p1);
      c[3][i] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int64_t i = 0; i < kCounters; ++i)
    for (int64_t j = 0; j < 4; ++j) out[i * 4 + j] = c[j][i];
}

void dropout_cpu(const View& y, const View& x, double p, uint64_t seed, uint64_t offset) {
  const int64_t n = x.numel(), blocks = (n + kCounters * 4 - 1) / (kCounters * 4);
  // An element stays where its number, of 24 bits, is at least p.
  const auto limit = static_cast<uint32_t>(p * 16777216.0);
  by_floating(x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const C scale = C(p < 1 ? 1 / (1 - p) : 0);
    parallel_for(blocks, 64, [&](int64_t begin, int64_t end) {
      uint32_t bits[kCounters * 4];
      for (int64_t b = begin; b < end; ++b) {
        philox_block(seed, offset + static_cast<uint64_t>(b * kCounters), bits);
        const int64_t at = b * kCounters * 4, count = std::min(kCounters * 4, n - at);
        const T* in = x.as<T>() + at;
        T* out = y.as<T>() + at;
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) {
          const C v = static_cast<C>(in[i]) * scale;
          out[i] = T((bits[i] >> 8) >= limit ? v : C(0));
        }
      }
    });
  });
}

}  // namespace

NNM_KERNEL(dropout, dropout_cpu);

}  // namespace nnm
