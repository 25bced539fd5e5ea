// What tests of every folder ask of tensors and errors.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/parallel.h"
#include "nnm/base/error.h"
#include "nnm/ops/ops.h"

namespace nnm::testing {

/// The message of the Error that f throws, with " / " and its hint where it has one; "no error".
template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.hint().empty() ? e.what() : std::string(e.what()) + " / " + e.hint();
  }
  return "no error";
}

/// "KeyError: 'x'" of the Error that f throws; "" if it throws none.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return std::string(python_name(e.kind())) + ": " + e.what();
  }
  return {};
}
/// The message of the Error of this kind that f throws; "" if it throws none.
template <class F>
std::string error_of(ErrorKind kind, const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind() == kind ? e.what() : fmt::format("of another kind: {}", e.what());
  }
  return {};
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// The elements in row-major order.
inline std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }

/// An f64 tensor of these elements.
inline Tensor doubles(const std::vector<double>& elements, const Shape& shape) {
  return tensor_of<double>(elements, shape, {DType::f64});
}
/// A 1-d f64 tensor of these elements that requires grad.
inline Tensor leaf(const std::vector<double>& elements) {
  return doubles(elements, {static_cast<int64_t>(elements.size())}).requires_grad_();
}

/// Whether both are undefined or have the same shape, type and bits, whatever their strides.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = contiguous(a), y = contiguous(b);
  const size_t bytes = static_cast<size_t>(x.numel()) * item_size(x.dtype());
  // Not memcmp: empty tensors have no address.
  return std::equal(x.data<char>(), x.data<char>() + bytes, y.data<char>());
}

/// So many threads for kernels as long as it lives.
struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  int before;
};

}  // namespace nnm::testing
