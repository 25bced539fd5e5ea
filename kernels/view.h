// The border between kernels and everything above: element types, devices and the View a kernel
// sees.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nnm {

/// Element types, in PyTorch's set as far as nnm carries it. The order is the index of
/// `kDTypeInfo`.
enum class DType : uint8_t { f32, f64, bf16, f16, i64, i32, i16, i8, u8, b8 };
constexpr int kDTypes = 10;

/// What is known of an element type: nnm's name, PyTorch's name, bytes, category (0 bool, 1
/// integer, 2 floating), which orders type promotion.
struct DTypeInfo {
  const char* name;
  const char* torch_name;
  uint8_t size;
  uint8_t category;
};
inline constexpr DTypeInfo kDTypeInfo[kDTypes] = {
    {"f32", "float32", 4, 2}, {"f64", "float64", 8, 2}, {"bf16", "bfloat16", 2, 2},
    {"f16", "float16", 2, 2}, {"i64", "int64", 8, 1},   {"i32", "int32", 4, 1},
    {"i16", "int16", 2, 1},   {"i8", "int8", 1, 1},     {"u8", "uint8", 1, 1},
    {"bool", "bool", 1, 0}};

constexpr const DTypeInfo& info(DType t) { return kDTypeInfo[static_cast<int>(t)]; }
constexpr size_t item_size(DType t) { return info(t).size; }
constexpr bool is_floating(DType t) { return info(t).category == 2; }
constexpr bool is_integral(DType t) { return info(t).category == 1; }

/// Where data lives. `meta` has shapes and types and no memory: kernels do nothing there.
enum class DeviceType : uint8_t { cpu, cuda, meta };
constexpr int kDeviceTypes = 3;

struct Device {
  DeviceType type = DeviceType::cpu;
  int8_t index = 0;
  friend constexpr bool operator==(Device a, Device b) {
    return a.type == b.type && a.index == b.index;
  }
};

constexpr int kMaxDims = 8;

/// A strided window on memory, by value. Strides count elements, not bytes, and may be 0
/// (broadcast). Kernels never own, never allocate outputs, never check shapes: the op above has
/// done so.
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Device device;
  int32_t ndim = 0;
  int64_t size[kMaxDims] = {};
  int64_t stride[kMaxDims] = {};

  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= size[i];
    return n;
  }
  /// True iff elements lie in row-major order without gaps.
  bool contiguous() const {
    int64_t expected = 1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (size[i] == 0) return true;
      if (size[i] != 1 && stride[i] != expected) return false;
      expected *= size[i];
    }
    return true;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  /// Where the element lies that is so many strides' elements on; nowhere on meta.
  void* moved(int64_t elements) const {
    return data ? as<char>() + elements * static_cast<int64_t>(item_size(dtype)) : nullptr;
  }
  /// Its part [first, last) of a dimension.
  View part(int64_t first, int64_t last, int dim = 0) const {
    View v = *this;
    v.data = moved(first * stride[dim]);
    v.size[dim] = last - first;
    return v;
  }
  /// Its i-th element along the first dimension, without that dimension.
  View at(int64_t i) const {
    View v = *this;
    v.data = moved(i * stride[0]);
    v.ndim = ndim - 1;
    for (int d = 0; d < v.ndim; ++d) v.size[d] = size[d + 1], v.stride[d] = stride[d + 1];
    return v;
  }
  /// False for an absent optional operand (no bias, no mask).
  explicit operator bool() const { return data != nullptr || device.type == DeviceType::meta; }
};

}  // namespace nnm
