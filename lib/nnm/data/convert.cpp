// Conversion of arrays between element types.
#include "nnm/data/convert.h"

#include <cstring>
#include <type_traits>

namespace nnm::data {
namespace {

template <class T>
constexpr bool is_short_float = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

template <class T>
auto widened(T v) {
  if constexpr (is_short_float<T>) {
    return static_cast<float>(v);
  } else {
    return v;
  }
}

template <class From, class To>
void convert_as(const From* x, To* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (is_short_float<To>) {
      y[i] = To(static_cast<float>(widened(x[i])));
    } else {
      y[i] = static_cast<To>(widened(x[i]));
    }
  }
}

}  // namespace

void convert(DType from, const void* x, DType to, void* y, int64_t n) {
  if (from == to) {
    if (n > 0) std::memcpy(y, x, static_cast<size_t>(n) * item_size(to));
    return;
  }
  with_type(from, [&](auto a) {
    const auto* p = static_cast<const decltype(a)*>(x);
    if (to == DType::b8) {
      auto* q = static_cast<uint8_t*>(y);
      for (int64_t i = 0; i < n; ++i) q[i] = widened(p[i]) != 0;
      return;
    }
    with_type(to, [&](auto b) { convert_as(p, static_cast<decltype(b)*>(y), n); });
  });
}

void store_number(DType t, void* y, double v) { convert(DType::f64, &v, t, y, 1); }

}  // namespace nnm::data
