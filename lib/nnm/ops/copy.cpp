// Copies, casts and memory layouts.
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"
#include "nnm/tensor/device.h"

namespace nnm {

namespace {

Tensor copied(const Tensor& x, Tensor out) {
  kernels::copy(out, x);
  return out;
}

// x elsewhere and of another type, in x's format, without history. The smaller type travels.
Tensor transferred(const Tensor& x, TensorOptions options) {
  NNM_CHECK(!x.is_meta(), not_implemented, "Cannot copy out of meta tensor; no data!");
  if (options.device.type == DeviceType::meta)
    return empty_strided(x.shape(), detail::preserved_strides(x), options);
  const bool before = item_size(options.dtype) < item_size(x.dtype());
  Tensor y = x;
  if (!x.is_dense() || before)
    y = copied(x, detail::empty_pointwise(x, before ? options.dtype : x.dtype()));
  y = moved(y, options.device);
  return y.dtype() == options.dtype ? y : copied(y, detail::empty_pointwise(y, options.dtype));
}

Tensor pass_gradient(const char* name, const Tensor& x, Tensor y) {
  if (!needs_grad({&x})) return y;
  return record(name, y, {&x}, [](Backward& b) { b.set(0, b.maybe_grad()); });
}

}  // namespace

Tensor clone(const Tensor& x) {
  return pass_gradient("CloneBackward0", x, copied(x, detail::empty_pointwise(x, x.dtype())));
}

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  return pass_gradient("CloneBackward0", x, copied(x, empty(x.shape(), x.options())));
}

Tensor channels_last(const Tensor& x) {
  NNM_CHECK(x.dim() == 4, runtime, "required rank 4 tensor to use channels_last format");
  if (x.is_channels_last()) return x;
  return pass_gradient("CloneBackward0", x, copied(x, empty_channels_last(x.shape(), x.options())));
}

Tensor to(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  // The engine casts a gradient to the type of what it is the gradient of.
  return pass_gradient("ToCopyBackward0", x, copied(x, detail::empty_pointwise(x, dtype)));
}

Tensor to(const Tensor& x, TensorOptions options) {
  if (x.device() == options.device) return to(x, options.dtype);
  Tensor y = transferred(x, options);
  if (!needs_grad({&x})) return y;
  return record("ToCopyBackward0", y, {&x}, [](Backward& b) {
    const TensorOptions back{b.input(0).dtype, b.input(0).device};
    b.set(0, b.grad().is_meta() ? zeros(b.input(0).sizes, back) : to(b.grad(), back));
  });
}

void copy_(const Tensor& self, const Tensor& src) {
  detail::check_defined(src, "copy_");
  check_inplace(self, {&src});
  NNM_CHECK(self.is_meta() || !src.is_meta(), not_implemented,
            "Cannot copy out of meta tensor; no data!");
  const Shape shape = broadcast_shapes(self.shape(), src.shape());
  NNM_CHECK(shape == self.shape(), runtime,
            "output with shape {} doesn't match the broadcast shape {}", self.shape().str(),
            shape.str());
  if (!self.is_same(src)) {
    // A source that overlaps its target elsewhere than in place is read before it is written.
    const bool aliased = self.ref()->storage.get() == src.ref()->storage.get();
    const Tensor from = aliased ? copied(src, empty(src.shape(), src.options()))
                        : src.device() == self.device() || self.is_meta()
                            ? src
                            : transferred(src, {src.dtype(), self.device()});
    kernels::copy(self, detail::broadcast_view(from, self.shape()));
  }
  record_inplace("torch::autograd::CopyBackwards", self, {&self, &src}, [](Backward& b) {
    if (b.needs(0)) b.set(0, zeros_like(b.grad()));
    if (!b.needs(1)) return;
    const Tensor g = sum_to(b.grad(), b.input(1).sizes);
    b.set(1, to(g, {g.dtype(), b.input(1).device}));
  });
}

namespace {

void fill_as(const char* node, const Tensor& self, Scalar value) {
  check_inplace(self);
  kernels::fill(self, value.d, self.dtype() == DType::b8 ? value.d != 0 : value.i);
  record_inplace(node, self, {&self}, [](Backward& b) { b.set(0, zeros_like(b.grad())); });
}

}  // namespace

void fill_(const Tensor& self, Scalar value) { fill_as("FillBackward2", self, value); }
void zero_(const Tensor& self) { fill_as("ZeroBackward0", self, 0); }

}  // namespace nnm
