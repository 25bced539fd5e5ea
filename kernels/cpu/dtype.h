// What CPU kernels need to treat element types alike: dispatch, conversion, the type that sums
// have.
#pragma once

#include <type_traits>

#include "kernels/half.h"
#include "kernels/view.h"

namespace nnm {
namespace {

/// The type that arithmetic on T happens in.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>;

/// body.template operator()<T>() with the floating type t; nothing for others.
template <class Body>
void by_floating(DType t, const Body& body) {
  switch (t) {
    case DType::f32: return body.template operator()<float>();
    case DType::f64: return body.template operator()<double>();
    case DType::bf16: return body.template operator()<BFloat16>();
    case DType::f16: return body.template operator()<Half>();
    default: return;
  }
}

/// n elements in the computing type: the memory itself, or a converted copy in `buffer`.
template <class T>
const Compute<T>* load(const T* p, int64_t n, [[maybe_unused]] Compute<T>* buffer) {
  if constexpr (!kIsHalf<T>) {
    return p;
  } else {
    for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<float>(p[i]);
    return buffer;
  }
}

/// A vector of numbers in the computing type, or null where the view is absent.
template <class T>
struct Loaded {
  explicit Loaded(const View& v) {
    if (!v.data) return;
    const int64_t n = v.numel();
    if constexpr (kIsHalf<T>) {
      buffer_ = new Compute<T>[static_cast<size_t>(n)];
      load<T>(v.as<T>(), n, buffer_);
      p = buffer_;
    } else {
      p = v.as<T>();
    }
  }
  ~Loaded() { delete[] buffer_; }
  Loaded(const Loaded&) = delete;
  const Compute<T>* p = nullptr;

 private:
  Compute<T>* buffer_ = nullptr;
};

}  // namespace
}  // namespace nnm
