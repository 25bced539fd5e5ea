// Promotion, broadcasting, formats and checks under all operations.
#include "nnm/ops/detail.h"

#include <algorithm>

#include "kernels/pointwise.h"

namespace nnm::detail {

DType result_type(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return a.dtype();
  const int ca = info(a.dtype()).category, cb = info(b.dtype()).category;
  const bool a_weak = a.dim() == 0, b_weak = b.dim() == 0;
  if (a_weak == b_weak || ca == cb) {
    if (a_weak == b_weak) return promote_types(a.dtype(), b.dtype());
    return a_weak ? b.dtype() : a.dtype();
  }
  // One is 0-d and the categories differ: the higher category decides, and a 0-d tensor of it
  // brings its own type.
  return ca > cb ? a.dtype() : b.dtype();
}

DType result_type(const Tensor& a, Scalar b) {
  const int category = b.kind == Scalar::Kind::real ? 2 : b.kind == Scalar::Kind::integer ? 1 : 0;
  if (category <= info(a.dtype()).category) return a.dtype();
  return category == 2 ? DType::f32 : DType::i64;
}

View broadcast_view(const Tensor& x, const Shape& shape) {
  View v = x.view();
  const int n = shape.size(), shift = n - x.dim();
  v.ndim = n;
  for (int d = n - 1; d >= 0; --d) {
    const int k = d - shift;
    const int64_t size = k < 0 ? 1 : x.shape()[k];
    v.stride[d] = size == shape[d] && k >= 0 ? x.strides()[k] : 0;
    v.size[d] = shape[d];
  }
  return v;
}

Shape preserved_strides(const Tensor& x) {
  const Shape &sizes = x.shape(), &strides = x.strides();
  if (x.is_contiguous()) return contiguous_strides(sizes);
  const int n = x.dim();
  int order[kMaxDims];
  for (int d = 0; d < n; ++d) {
    if (strides[d] == 0 && sizes[d] > 1) return contiguous_strides(sizes);
    order[d] = d;
  }
  std::stable_sort(order, order + n, [&](int a, int b) { return strides[a] > strides[b]; });
  Shape out = Shape::filled(n, 1);
  int64_t expected = 1;
  for (int i = n - 1; i >= 0; --i) {
    out[order[i]] = expected;
    expected *= std::max<int64_t>(sizes[order[i]], 1);
  }
  return out;
}

Tensor empty_pointwise(const Tensor& x, DType dtype) {
  const TensorOptions options{dtype, x.device()};
  if (x.is_contiguous()) return empty(x.shape(), options);
  if (x.is_dense()) return empty_strided(x.shape(), x.strides(), options);
  return empty_strided(x.shape(), preserved_strides(x), options);
}

Tensor empty_pointwise(const Shape& shape, DType dtype, const Tensor& a, const Tensor& b) {
  // An operand that is only repeated does not decide the format if the other does not repeat.
  if (a.shape() == shape) return empty_pointwise(a, dtype);
  if (b.shape() == shape) return empty_pointwise(b, dtype);
  return empty(shape, {dtype, a.device()});
}

bool same_layout(const Tensor& a, const Tensor& b) {
  if (a.is_contiguous() && b.is_contiguous()) return true;
  for (int d = 0; d < a.dim(); ++d) {
    if (a.shape()[d] != 1 && a.strides()[d] != b.strides()[d]) return false;
  }
  return true;
}

Tensor with_layout_of(const Tensor& like, const Tensor& x) {
  if (same_layout(like, x)) return x;
  Tensor y = empty_strided(x.shape(), like.strides(), x.options());
  kernels::copy(y, x);
  return y;
}

Tensor dense(const Tensor& x) {
  if (x.is_dense()) return x;
  Tensor y = empty_pointwise(x, x.dtype());
  kernels::copy(y, x);
  return y;
}

ScalarOperand::ScalarOperand(Scalar s, const Shape& shape, Device device) {
  if (s.kind == Scalar::Kind::real) {
    real_ = s.d;
    view_.dtype = DType::f64;
    view_.data = &real_;
  } else {
    integer_ = s.i;
    view_.dtype = DType::i64;
    view_.data = &integer_;
  }
  if (device.type == DeviceType::cuda) {
    tensor_ = empty({}, {view_.dtype, device});
    kernels::fill(tensor_, s.d, s.i);
    view_.data = tensor_.data();
  }
  view_.device = device;
  view_.ndim = shape.size();
  std::copy(shape.begin(), shape.end(), view_.size);
}

std::string device_name(Device d) {
  switch (d.type) {
    case DeviceType::cpu: return "cpu";
    case DeviceType::cuda: return fmt::format("cuda:{}", d.index);
    case DeviceType::meta: return "meta";
  }
  return {};
}

void check_same_device(const Tensor& a, const Tensor& b) {
  NNM_CHECK(a.device() == b.device(), runtime,
            "Expected all tensors to be on the same device, but found at least two devices, {} and "
            "{}!",
            device_name(a.device()), device_name(b.device()));
}

void check_same_device(const Tensors& tensors) {
  for (size_t i = 1; i < tensors.size(); ++i) check_same_device(tensors[0], tensors[i]);
}

void check_defined(const Tensor& x, const char* op) {
  NNM_CHECK(x.defined(), type, "{}: expected a Tensor, got none", op);
}

const char* scalar_type_name(DType t) {
  constexpr const char* kNames[kDTypes] = {"Float", "Double", "BFloat16", "Half", "Long",
                                           "Int",   "Short",  "Char",     "Byte", "Bool"};
  return kNames[static_cast<int>(t)];
}

const char* c_type_name(DType t) {
  constexpr const char* kNames[kDTypes] = {
      "float", "double",    "c10::BFloat16", "c10::Half",     "long int",
      "int",   "short int", "signed char",   "unsigned char", "bool"};
  return kNames[static_cast<int>(t)];
}

uint32_t dim_mask(const Dims& dims, int ndim) {
  if (dims.empty()) return (1u << ndim) - 1;
  uint32_t mask = 0;
  for (int64_t dim : dims) {
    const int d = wrap_dim(dim, ndim);
    if (ndim == 0) continue;
    NNM_CHECK(!(mask >> d & 1), runtime, "dim {} appears multiple times in the list of dims", d);
    mask |= 1u << d;
  }
  return mask;
}

Shape reduced_shape(const Shape& x, uint32_t mask, bool keepdim) {
  Shape out;
  for (int d = 0; d < x.size(); ++d) {
    if (!(mask >> d & 1)) {
      out.push_back(x[d]);
    } else if (keepdim) {
      out.push_back(1);
    }
  }
  return out;
}

Tensor keep_dims(const Tensor& y, uint32_t mask, int ndim, bool keepdim) {
  if (keepdim || ndim == 0) return y;
  Shape sizes = Shape::filled(ndim, 1), strides = Shape::filled(ndim, 0);
  for (int d = 0, k = 0; d < ndim; ++d) {
    if (mask >> d & 1) continue;
    sizes[d] = y.shape()[k];
    strides[d] = y.strides()[k++];
  }
  return y.as_strided(sizes, strides, y.impl()->offset);
}

Tensor expand_view(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const View v = broadcast_view(x, shape);
  return x.as_strided(shape, Shape(std::span<const int64_t>(v.stride, shape.size())),
                      x.impl()->offset);
}

Tensor dim_first(const Tensor& x, int d) {
  Shape sizes = x.shape(), strides = x.strides();
  std::rotate(sizes.begin(), sizes.begin() + d, sizes.begin() + d + 1);
  std::rotate(strides.begin(), strides.begin() + d, strides.begin() + d + 1);
  return x.as_strided(sizes, strides, x.impl()->offset);
}

Tensor without_dim(const Tensor& x, int d) {
  Shape sizes = x.shape(), strides = x.strides();
  sizes.erase(d);
  strides.erase(d);
  return x.as_strided(sizes, strides, x.impl()->offset);
}

Shape leading(const Tensor& x, int n) {
  return Shape(std::span<const int64_t>(x.shape().begin(), static_cast<size_t>(x.dim() - n)));
}

Tensor with_leading(const Tensor& x, const Shape& batch) {
  if (leading(x, 2) == batch) return x;
  Shape s = batch;
  s.push_back(x.size(-2));
  s.push_back(x.size(-1));
  return expand(x, s);
}

Tensor offsets_of(const Tensor& index, int64_t stride) {
  Tensor out = empty({index.numel()}, {DType::i64, index.device()});
  const ScalarOperand step(stride, index.shape(), index.device());
  kernels::binary(out.as_strided(index.shape(), contiguous_strides(index.shape()), 0), index, step,
                  Binary::mul, DType::i64, 1.0);
  return out;
}

int64_t reduced_count(const Shape& x, uint32_t mask) {
  int64_t n = 1;
  for (int d = 0; d < x.size(); ++d) {
    if (mask >> d & 1) n *= x[d];
  }
  return n;
}

}  // namespace nnm::detail
