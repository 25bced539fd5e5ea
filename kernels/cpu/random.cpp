// Draws over flat memory, four elements to a counter.
#include "kernels/random.h"

#include "kernels/cpu/strided.h"
#include "kernels/philox.h"

namespace nnm {
namespace {

constexpr int64_t kRandomGrain = 4096;

// f(i, word) for every element: word i % 4 of counter offset + i / 4.
template <class F>
void each_word(int64_t n, uint64_t seed, uint64_t offset, const F& f) {
  parallel_for((n + 3) / 4, kRandomGrain, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const auto r = philox(seed, offset + static_cast<uint64_t>(c));
      for (int64_t k = 0; k < 4 && c * 4 + k < n; ++k) f(c * 4 + k, r[k]);
    }
  });
}

// The second word of a number that takes two, from a stream of its own.
template <class F>
void each_pair(int64_t n, uint64_t seed, uint64_t offset, const F& f) {
  parallel_for((n + 3) / 4, kRandomGrain, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const auto a = philox(seed, offset + static_cast<uint64_t>(c)),
                 b = philox(seed, offset + static_cast<uint64_t>(c), 1);
      for (int64_t k = 0; k < 4 && c * 4 + k < n; ++k) f(c * 4 + k, a[k], b[k]);
    }
  });
}

template <class T>
void put(const View& x, int64_t i, T v) {
  store<T>(x.as<char>() + i * static_cast<int64_t>(item_size(x.dtype)), x.dtype, 1, &v, 1);
}

void uniform_cpu(const View& x, uint64_t seed, uint64_t offset, double from, double to) {
  if (x.dtype == DType::f64) {
    each_pair(x.numel(), seed, offset, [&](int64_t i, uint32_t a, uint32_t b) {
      x.as<double>()[i] = from + (to - from) * uniform53(a, b);
    });
    return;
  }
  const float lo = static_cast<float>(from), span = static_cast<float>(to - from);
  each_word(x.numel(), seed, offset,
            [&](int64_t i, uint32_t w) { put<float>(x, i, lo + span * uniform24(w)); });
}

void normal_cpu(const View& x, uint64_t seed, uint64_t offset, double mean, double std) {
  each_pair(x.numel(), seed, offset, [&](int64_t i, uint32_t a, uint32_t b) {
    put<double>(x, i, mean + std * normal_from(a, b));
  });
}

void integers_cpu(const View& x, uint64_t seed, uint64_t offset, int64_t low, int64_t high) {
  const auto span = static_cast<uint64_t>(high - low);
  each_pair(x.numel(), seed, offset, [&](int64_t i, uint32_t a, uint32_t b) {
    const uint64_t w = uint64_t{a} << 32 | b;
    // The high half of a product spreads the words over the span without division.
    const auto k = static_cast<uint64_t>((static_cast<unsigned __int128>(w) * span) >> 64);
    x.as<int64_t>()[i] = low + static_cast<int64_t>(k);
  });
}

template <class T>
void mask_typed(const View& y, const View& x, uint64_t seed, uint64_t offset, double p,
                double scale) {
  const T factor = static_cast<T>(scale);
  const float threshold = static_cast<float>(p);
  T* __restrict out = y.as<T>();
  const T* __restrict in = x.as<T>();
  each_word(x.numel(), seed, offset, [&](int64_t i, uint32_t w) {
    out[i] = uniform24(w) >= threshold ? in[i] * factor : T(0);
  });
}

void mask_cpu(const View& y, const View& x, uint64_t seed, uint64_t offset, double p,
              double scale) {
  if (x.dtype == DType::f32) return mask_typed<float>(y, x, seed, offset, p, scale);
  if (x.dtype == DType::f64) return mask_typed<double>(y, x, seed, offset, p, scale);
  const auto item = static_cast<int64_t>(item_size(x.dtype));
  each_word(x.numel(), seed, offset, [&](int64_t i, uint32_t w) {
    float v = 0;
    load<float>(&v, x.as<char>() + i * item, x.dtype, 1, 1);
    put<float>(y, i, uniform24(w) >= static_cast<float>(p) ? v * static_cast<float>(scale) : 0.0f);
  });
}

NNM_KERNEL(random_uniform, uniform_cpu);
NNM_KERNEL(random_normal, normal_cpu);
NNM_KERNEL(random_integers, integers_cpu);
NNM_KERNEL(random_mask, mask_cpu);

}  // namespace
}  // namespace nnm
