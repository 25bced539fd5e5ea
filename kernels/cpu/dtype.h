// What CPU kernels need to treat element types alike.
#pragma once

#include "kernels/dtype.h"

namespace nnm {
namespace {

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
