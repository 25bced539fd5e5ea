// Storage, handles and windows: everything about a tensor that is not arithmetic.
#include "nnm/tensor/tensor.h"

#include <algorithm>
#include <cstring>

#include "kernels/half.h"
#include "nnm/tensor/allocator.h"
#include "nnm/tensor/device.h"

namespace nnm {

/// Frees the autograd record; defined beside it.
void destroy_autograd_meta(TensorImpl* tensor);

Storage::Storage(size_t bytes, Device device)
    : data(allocate(bytes, device)), bytes(bytes), device(device) {}

Storage::Storage(void* data, size_t bytes, Ref<Object> keep)
    : data(data), bytes(bytes), keep_(std::move(keep)), owned_(false) {}

Storage::~Storage() {
  if (owned_) deallocate(data, bytes, device);
}

namespace {

bool row_major(const Shape& sizes, const Shape& strides) {
  int64_t expected = 1;
  for (int i = sizes.size() - 1; i >= 0; --i) {
    if (sizes[i] == 0) return true;
    if (sizes[i] != 1 && strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

}  // namespace

TensorImpl::TensorImpl(Ref<Storage> s, const Shape& sizes, const Shape& strides, int64_t offset,
                       DType dtype)
    : storage(std::move(s)),
      data(static_cast<char*>(storage->data)),
      dtype(dtype),
      device(storage->device),
      contiguous(row_major(sizes, strides)),
      numel(sizes.numel()),
      offset(offset),
      sizes(sizes),
      strides(strides) {
  if (data) data += offset * static_cast<int64_t>(item_size(dtype));
}

TensorImpl::~TensorImpl() {
  if (meta) destroy_autograd_meta(this);
}

bool Tensor::is_channels_last() const {
  if (dim() != 4) return false;
  const Shape &n = shape(), &s = strides();
  return s[1] == 1 && s[3] == n[1] && s[2] == n[3] * n[1] &&
         (n[0] == 1 || s[0] == n[2] * n[3] * n[1]);
}

bool Tensor::is_dense() const {
  if (is_contiguous()) return true;
  int64_t expected = 1;
  uint32_t seen = 0;
  for (int i = 0; i < dim(); ++i) seen |= static_cast<uint32_t>(shape()[i] == 1) << i;
  // Walk the dimensions from the innermost outwards: each must start where the last one ended.
  while (seen != (1u << dim()) - 1) {
    int next = -1;
    for (int i = 0; i < dim(); ++i) {
      if (!(seen >> i & 1) && strides()[i] == expected) next = i;
    }
    if (next < 0) return false;
    seen |= 1u << next;
    expected *= shape()[next];
  }
  return true;
}

View Tensor::view() const {
  View v;
  if (!impl_) return v;
  v.data = impl_->data;
  v.dtype = impl_->dtype;
  v.device = impl_->device;
  v.ndim = impl_->sizes.size();
  std::copy(impl_->sizes.begin(), impl_->sizes.end(), v.size);
  std::copy(impl_->strides.begin(), impl_->strides.end(), v.stride);
  return v;
}

Tensor Tensor::as_strided(const Shape& sizes, const Shape& strides, int64_t offset) const {
  return Tensor(make_ref<TensorImpl>(impl_->storage, sizes, strides, offset, impl_->dtype));
}

namespace {

template <class T>
T read_as(const char* p, DType t) {
  auto load = [p]<class S>(S*) {
    S s;
    std::memcpy(&s, p, sizeof(S));
    return s;
  };
  switch (t) {
    case DType::f32: return static_cast<T>(load(static_cast<float*>(nullptr)));
    case DType::f64: return static_cast<T>(load(static_cast<double*>(nullptr)));
    case DType::bf16:
      return static_cast<T>(static_cast<float>(load(static_cast<BFloat16*>(nullptr))));
    case DType::f16: return static_cast<T>(static_cast<float>(load(static_cast<Half*>(nullptr))));
    case DType::i64: return static_cast<T>(load(static_cast<int64_t*>(nullptr)));
    case DType::i32: return static_cast<T>(load(static_cast<int32_t*>(nullptr)));
    case DType::i16: return static_cast<T>(load(static_cast<int16_t*>(nullptr)));
    case DType::i8: return static_cast<T>(load(static_cast<int8_t*>(nullptr)));
    case DType::u8: return static_cast<T>(load(static_cast<uint8_t*>(nullptr)));
    case DType::b8: return static_cast<T>(*p != 0);
  }
  return T{};
}

// Calls f(address) for every element in row-major order.
template <class F>
void for_each_address(const Tensor& x, const F& f) {
  int64_t index[kMaxDims] = {};
  const int n = x.dim();
  const auto item = static_cast<int64_t>(item_size(x.dtype()));
  const char* p = x.data<char>();
  for (int64_t k = 0; k < x.numel(); ++k) {
    f(p);
    for (int d = n - 1; d >= 0; --d) {
      p += x.strides()[d] * item;
      if (++index[d] < x.shape()[d]) break;
      p -= x.strides()[d] * item * x.shape()[d];
      index[d] = 0;
    }
  }
}

}  // namespace

Scalar Tensor::item() const {
  NNM_CHECK(numel() == 1, runtime, "a Tensor with {} elements cannot be converted to Scalar",
            numel());
  NNM_CHECK(!is_meta(), runtime, "Tensor.item() cannot be called on meta tensors");
  if (device().type == DeviceType::cuda) return moved(*this, Device{}).item();
  const char* p = data<char>();
  if (dtype() == DType::b8) return Scalar(*p != 0);
  if (is_integral(dtype())) return Scalar(read_as<int64_t>(p, dtype()));
  return Scalar(read_as<double>(p, dtype()));
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  NNM_CHECK(!is_meta(), runtime, "a meta tensor has no data");
  if (device().type == DeviceType::cuda) return moved(*this, Device{}).to_vector<T>();
  std::vector<T> out;
  out.reserve(static_cast<size_t>(numel()));
  for_each_address(*this, [&](const char* p) { out.push_back(read_as<T>(p, dtype())); });
  return out;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<int32_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

Tensor empty_strided(const Shape& sizes, const Shape& strides, TensorOptions o) {
  int64_t last = 1;
  for (int i = 0; i < sizes.size(); ++i) {
    NNM_CHECK(sizes[i] >= 0, runtime, "Trying to create tensor with negative dimension {}: {}",
              sizes[i], sizes.str());
    if (sizes[i] == 0) last = 0;
  }
  if (last) {
    for (int i = 0; i < sizes.size(); ++i) {
      int64_t reach;
      NNM_CHECK(!__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) &&
                    !__builtin_add_overflow(last, reach, &last) && last < (int64_t{1} << 48),
                runtime, "a tensor of size {} is too large", sizes.str());
    }
  }
  auto storage = make_ref<Storage>(static_cast<size_t>(last) * item_size(o.dtype), o.device);
  return Tensor(make_ref<TensorImpl>(std::move(storage), sizes, strides, 0, o.dtype));
}

Tensor empty(const Shape& sizes, TensorOptions o) {
  return empty_strided(sizes, contiguous_strides(sizes), o);
}

Tensor empty_like(const Tensor& x, DType dtype) {
  if (x.is_contiguous() || !x.is_dense()) return empty(x.shape(), {dtype, x.device()});
  return empty_strided(x.shape(), x.strides(), {dtype, x.device()});
}

Tensor empty_like(const Tensor& x) { return empty_like(x, x.dtype()); }

Tensor empty_channels_last(const Shape& n, TensorOptions o) {
  NNM_CHECK(n.size() == 4 || n.size() == 5, runtime,
            "channels_last needs 4 or 5 dimensions, got {}", n.size());
  Shape strides = Shape::filled(n.size(), 1);
  int64_t next = n[1];
  for (int d = n.size() - 1; d > 1; --d) {
    strides[d] = next;
    next *= n[d];
  }
  strides[0] = next;
  return empty_strided(n, strides, o);
}

namespace {

template <class T, class S>
void store(char* p, int64_t i, S s) {
  const T t = static_cast<T>(s);
  std::memcpy(p + i * static_cast<int64_t>(sizeof(T)), &t, sizeof(T));
}

}  // namespace

template <class T>
Tensor tensor_of(std::span<const T> values, const Shape& shape, TensorOptions o) {
  NNM_CHECK(shape.numel() == static_cast<int64_t>(values.size()), value,
            "{} values do not fill a tensor of size {}", values.size(), shape.str());
  Tensor out = empty(shape, {o.dtype, o.device.type == DeviceType::cuda ? Device{} : o.device});
  char* p = out.data<char>();
  for (int64_t i = 0; p && i < out.numel(); ++i) {
    const T v = values[static_cast<size_t>(i)];
    switch (o.dtype) {
      case DType::f32: store<float>(p, i, v); break;
      case DType::f64: store<double>(p, i, v); break;
      case DType::bf16: store<BFloat16>(p, i, static_cast<float>(v)); break;
      case DType::f16: store<Half>(p, i, static_cast<float>(v)); break;
      case DType::i64: store<int64_t>(p, i, v); break;
      case DType::i32: store<int32_t>(p, i, v); break;
      case DType::i16: store<int16_t>(p, i, v); break;
      case DType::i8: store<int8_t>(p, i, v); break;
      case DType::u8: store<uint8_t>(p, i, v); break;
      case DType::b8: store<uint8_t>(p, i, v != T{}); break;
    }
  }
  return moved(out, o.device);
}
template Tensor tensor_of(std::span<const float>, const Shape&, TensorOptions);
template Tensor tensor_of(std::span<const double>, const Shape&, TensorOptions);
template Tensor tensor_of(std::span<const int64_t>, const Shape&, TensorOptions);
template Tensor tensor_of(std::span<const int32_t>, const Shape&, TensorOptions);
template Tensor tensor_of(std::span<const uint8_t>, const Shape&, TensorOptions);

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (info(a).category != info(b).category) return info(a).category > info(b).category ? a : b;
  if (is_floating(a)) {
    if (a == DType::f64 || b == DType::f64) return DType::f64;
    return DType::f32;  // bf16 with f16 too
  }
  if (a == DType::i64 || b == DType::i64) return DType::i64;
  if (a == DType::i32 || b == DType::i32) return DType::i32;
  return DType::i16;  // i8 with u8 too
}

std::string legacy_type_name(DType t) {
  switch (t) {
    case DType::f32: return "torch.FloatTensor";
    case DType::f64: return "torch.DoubleTensor";
    case DType::bf16: return "torch.BFloat16Tensor";
    case DType::f16: return "torch.HalfTensor";
    case DType::i64: return "torch.LongTensor";
    case DType::i32: return "torch.IntTensor";
    case DType::i16: return "torch.ShortTensor";
    case DType::i8: return "torch.CharTensor";
    case DType::u8: return "torch.ByteTensor";
    case DType::b8: return "torch.BoolTensor";
  }
  return {};
}

}  // namespace nnm
