// Tensors made of numbers: filled, counted, diagonal.
#include <cmath>

#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

thread_local Device where_to_create;

DType default_type(Scalar s) {
  if (s.kind == Scalar::Kind::real) return DType::f32;
  return s.kind == Scalar::Kind::integer ? DType::i64 : DType::b8;
}

Tensor filled(Tensor t, Scalar value) {
  kernels::fill(t, value.d, t.dtype() == DType::b8 ? value.d != 0 : value.i);
  return t;
}

}  // namespace

Device default_device() { return where_to_create; }
void set_default_device(Device device) { where_to_create = device; }

Tensor zeros(const Shape& size, TensorOptions options) {
  for (int64_t n : size) {
    NNM_CHECK(n >= 0, runtime, "zeros: Dimension size must be non-negative.");
  }
  return filled(empty(size, options), 0);
}
Tensor ones(const Shape& size, TensorOptions options) { return filled(empty(size, options), 1); }
Tensor full(const Shape& size, Scalar value, TensorOptions options) {
  return filled(empty(size, options), value);
}
Tensor zeros_like(const Tensor& x) { return filled(detail::empty_pointwise(x, x.dtype()), 0); }
Tensor ones_like(const Tensor& x) { return filled(detail::empty_pointwise(x, x.dtype()), 1); }
Tensor full_like(const Tensor& x, Scalar value) {
  return filled(detail::empty_pointwise(x, x.dtype()), value);
}

Tensor scalar_tensor(Scalar value, std::optional<DType> dtype, Device device) {
  return full({}, value, {dtype.value_or(default_type(value)), device});
}

TensorData::TensorData(std::initializer_list<TensorData> items) : shape_{0} {
  for (const TensorData& item : items) {
    const Shape &first = items.begin()->shape_, &own = item.shape_;
    for (int i = 0; i < std::max(first.size(), own.size()); ++i) {
      if (i < std::min(first.size(), own.size()) && first[i] == own[i]) continue;
      NNM_CHECK(i < first.size(), type, "must be real number, not list");
      NNM_CHECK(i < own.size(), type, "not a sequence");
      fail(ErrorKind::value, "expected sequence of length {} at dim {} (got {})", first[i], i + 1,
           own[i]);
    }
    values_.insert(values_.end(), item.values_.begin(), item.values_.end());
  }
  if (items.size() == 0) return;
  shape_ = items.begin()->shape_;
  shape_.insert(0, static_cast<int64_t>(items.size()));
}

Tensor tensor(const TensorData& data, std::optional<DType> dtype, Device device) {
  // Bools, ints and floats are told apart by the widest of them.
  Scalar::Kind kind = data.values().empty() ? Scalar::Kind::real : Scalar::Kind::boolean;
  for (const Scalar& s : data.values()) kind = std::max(kind, s.kind);
  Scalar widest;
  widest.kind = kind;
  const TensorOptions options{dtype.value_or(default_type(widest)), device};
  if (kind == Scalar::Kind::real) {
    std::vector<double> numbers;
    for (const Scalar& s : data.values()) numbers.push_back(s.d);
    return tensor_of<double>(numbers, data.shape(), options);
  }
  std::vector<int64_t> numbers;
  for (const Scalar& s : data.values()) numbers.push_back(s.i);
  return tensor_of<int64_t>(numbers, data.shape(), options);
}

Tensor arange(Scalar start, Scalar end, Scalar step, std::optional<DType> dtype, Device device) {
  const bool real = start.kind == Scalar::Kind::real || end.kind == Scalar::Kind::real ||
                    step.kind == Scalar::Kind::real;
  NNM_CHECK(step.d != 0, runtime, "step must be nonzero");
  NNM_CHECK(std::isfinite(start.d) && std::isfinite(end.d), runtime, "unsupported range: {} -> {}",
            start.d, end.d);
  NNM_CHECK((step.d > 0) == (end.d > start.d) || start.d == end.d, runtime,
            "upper bound and lower bound inconsistent with step sign");
  const TensorOptions options{dtype.value_or(real ? DType::f32 : DType::i64), device};
  double count = std::ceil((end.d - start.d) / step.d);
  if (!real) {
    const int64_t span = end.i - start.i;
    count = static_cast<double>(span / step.i + (span % step.i != 0));
  }
  NNM_CHECK(count < 1e15, runtime, "invalid size, possible overflow?");
  Tensor out = empty({static_cast<int64_t>(count)}, options);
  kernels::range(out, start.d, step.d, start.i, step.i);
  return out;
}

Tensor linspace(double start, double end, int64_t steps, TensorOptions options) {
  NNM_CHECK(steps >= 0, runtime, "number of steps must be non-negative");
  Tensor out = empty({steps}, options);
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  // From both ends, so that the last one is exact.
  const int64_t half = steps / 2;
  if (half > 0) kernels::range(narrow(out, 0, 0, half), start, step, 0, 0);
  if (steps > half) {
    const auto rest = static_cast<double>(steps - half - 1);
    const double first = steps == 1 ? start : end - step * rest;
    kernels::range(narrow(out, 0, half, steps - half), first, step, 0, 0);
    if (steps > 1) fill_(select(out, 0, steps - 1), end);
  }
  return out;
}

Tensor eye(int64_t n, int64_t m, TensorOptions options) {
  if (m < 0) m = n;
  NNM_CHECK(n >= 0, runtime, "n must be greater or equal to 0, got {}", n);
  Tensor out = zeros({n, m}, options);
  const Tensor ones = out.as_strided({std::min(n, m)}, {m + 1}, 0);
  filled(ones, 1);
  return out;
}

Tensor one_hot(const Tensor& x, int64_t num_classes) {
  NNM_CHECK(x.dtype() == DType::i64, runtime,
            "one_hot is only applicable to index tensor of type LongTensor.");
  if (x.is_meta()) {
    NNM_CHECK(num_classes >= 0, runtime, "one_hot on meta tensors needs num_classes");
  } else if (x.numel() > 0) {
    NNM_CHECK(min(x).item().i >= 0, runtime, "Class values must be non-negative.");
    const int64_t largest = max(x).item().i;
    NNM_CHECK(num_classes < 0 || largest < num_classes, runtime,
              "Class values must be smaller than num_classes.");
    if (num_classes < 0) num_classes = largest + 1;
  }
  NNM_CHECK(num_classes > 0, runtime, "Can not infer total number of classes from empty tensor.");
  Shape shape = x.shape();
  shape.push_back(num_classes);
  Tensor out = empty(shape, {DType::i64, x.device()});
  const Tensor classes = arange(0, num_classes, 1, DType::i64, x.device());
  kernels::binary(out, detail::broadcast_view(unsqueeze(x, -1), shape),
                  detail::broadcast_view(classes, shape), Binary::eq, DType::i64, 1.0);
  return out;
}

}  // namespace nnm
