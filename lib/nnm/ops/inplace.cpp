// In-place arithmetic: the kernel writes into its operand, and the node takes the old one's place.
#include "kernels/pointwise.h"
#include "nnm/ops/detail.h"

namespace nnm {

namespace {

void check_castable(DType type, DType into) {
  NNM_CHECK(info(type).category <= info(into).category, runtime,
            "result type {} can't be cast to the desired output type {}",
            detail::scalar_type_name(type), detail::scalar_type_name(into));
}

/// An expanded tensor has its elements in one place: each would be written several times.
void check_apart(const Tensor& self) {
  if (self.numel() == 0) return;
  for (int d = 0; d < self.dim(); ++d)
    NNM_CHECK(self.strides()[d] != 0 || self.shape()[d] <= 1, runtime,
              "unsupported operation: more than one element of the written-to tensor refers to a "
              "single memory location. Please clone() the tensor before performing the operation.");
}

/// What is read must not be what was written for another element.
void check_overlap(const Tensor& self, const Tensor& b) {
  if (self.ref()->storage.get() != b.ref()->storage.get() || self.is_same(b)) return;
  if (!self.is_dense() || !b.is_dense() || self.numel() == 0 || b.numel() == 0) return;
  const int64_t begin = self.impl()->offset, from = b.impl()->offset;
  if (begin + self.numel() <= from || from + b.numel() <= begin) return;
  NNM_CHECK(begin == from && self.numel() == b.numel() && self.strides() == b.strides(), runtime,
            "unsupported operation: some elements of the input tensor and the written-to tensor "
            "refer to a single memory location. Please clone() the tensor before performing the "
            "operation.");
}

/// The type of the computation, after the checks of an in-place operation with another tensor.
DType check_operands(const Tensor& self, const Tensor& b, DType type, const char* op) {
  detail::check_defined(b, op);
  if (b.dim() > 0) detail::check_same_device(self, b);
  const Shape shape = broadcast_shapes(self.shape(), b.shape());
  NNM_CHECK(shape == self.shape(), runtime,
            "output with shape {} doesn't match the broadcast shape {}", self.shape().str(),
            shape.str());
  check_castable(type, self.dtype());
  check_apart(self);
  check_overlap(self, b);
  check_inplace(self, {&b});
  return type;
}

DType check_operands(const Tensor& self, DType type) {
  check_castable(type, self.dtype());
  check_apart(self);
  check_inplace(self);
  return type;
}

void run(Binary f, const Tensor& self, const Tensor& b, DType type, double alpha = 1) {
  kernels::binary(self, self, detail::broadcast_view(b, self.shape()), f, compute_type(type),
                  alpha);
}

void run(Binary f, const Tensor& self, Scalar b, DType type, double alpha = 1) {
  kernels::binary(self, self, detail::ScalarOperand(b, self.shape(), self.device()), f,
                  compute_type(type), alpha);
}

const Tensor& add_scaled(const char* node, const Tensor& self, const Tensor& b, double alpha) {
  run(Binary::add, self, b, check_operands(self, b, detail::result_type(self, b), "add_"), alpha);
  record_inplace(node, self, {&self, &b}, [alpha](Backward& back) {
    const Tensor& g = back.grad();
    if (back.needs(0)) back.set(0, g);
    if (back.needs(1)) back.set(1, sum_to(alpha == 1 ? g : mul(g, alpha), back.input(1).sizes));
  });
  return self;
}

/// self before it is overwritten, where the other's gradient needs it.
Saved old_value(const Tensor& self, const Tensor& other) {
  if (!needs_grad({&other})) return {};
  NoGradGuard no_grad;
  return Saved(clone(self));
}

}  // namespace

const Tensor& add_(const Tensor& self, const Tensor& b, Scalar alpha) {
  return add_scaled("AddBackward0", self, b, alpha.d);
}

const Tensor& sub_(const Tensor& self, const Tensor& b, Scalar alpha) {
  return add_scaled("SubBackward0", self, b, -alpha.d);
}

const Tensor& add_(const Tensor& self, Scalar b) {
  run(Binary::add, self, b, check_operands(self, detail::result_type(self, b)));
  record_inplace("AddBackward0", self, {&self, &kNumber},
                 [](Backward& back) { back.set(0, back.maybe_grad()); });
  return self;
}

const Tensor& mul_(const Tensor& self, const Tensor& b) {
  const DType type = check_operands(self, b, detail::result_type(self, b), "mul_");
  Saved before = old_value(self, b), factor = needs_grad({&self}) ? Saved(b) : Saved();
  run(Binary::mul, self, b, type);
  record_inplace("MulBackward0", self, {&self, &b},
                 [before = std::move(before), factor = std::move(factor)](Backward& back) {
                   const Tensor& g = back.grad();
                   if (back.needs(0)) back.set(0, mul(g, factor.get()));
                   if (back.needs(1)) {
                     back.set(1, sum_to(mul(g, before.get()), back.input(1).sizes));
                   }
                 });
  return self;
}

const Tensor& mul_(const Tensor& self, Scalar b) {
  run(Binary::mul, self, b, check_operands(self, detail::result_type(self, b)));
  record_inplace("MulBackward0", self, {&self, &kNumber},
                 [b = SavedNumber(b)](Backward& back) { back.set(0, mul(back.grad(), b.value)); });
  return self;
}

const Tensor& div_(const Tensor& self, Scalar b) {
  run(Binary::div, self, b, check_operands(self, detail::float_type(detail::result_type(self, b))));
  record_inplace("DivBackward0", self, {&self, &kNumber},
                 [b = SavedNumber(b)](Backward& back) { back.set(0, div(back.grad(), b.value)); });
  return self;
}

const Tensor& relu_(const Tensor& self) {
  NNM_CHECK(self.dtype() != DType::b8, runtime, "Boolean inputs not supported for relu");
  check_inplace(self);
  kernels::unary(self, self, Unary::relu);
  self.bump_version();
  if (!needs_grad({&self})) return self;
  // Saved after the write: relu's gradient looks at its result.
  auto gradient = [y = Saved(self)](Backward& b) {
    Tensor dx = detail::empty_pointwise(y.get(), y.get().dtype());
    kernels::unary_backward(dx, b.grad(), y.get(), Unary::relu);
    b.set(0, dx);
  };
  detail::attach_inplace(
      new detail::FnNode<decltype(gradient)>("ReluBackward0", 1, 1, std::move(gradient)), self,
      {&self});
  return self;
}

namespace {

/// Another tensor of the same memory and history.
Tensor twin_of(const Tensor& t) {
  const TensorImpl& i = *t.impl();
  Tensor twin(make_ref<TensorImpl>(i.storage, i.sizes, i.strides, i.offset, i.dtype));
  AutogradMeta& meta = autograd_meta(twin);
  meta.requires_grad = true;
  meta.grad_fn = i.meta->grad_fn;
  meta.output_nr = i.meta->output_nr;
  return twin;
}

bool is_alone(const Tensor& t) {
  return t.ref()->storage->use_count() == 1 && t.ref()->storage->is_owned() && !t.is_meta();
}

/// self has its elements where those of y are from now on; what was saved of it is outdated.
void move_into(const Tensor& self, const Tensor& y) {
  TensorImpl& to = *self.impl();
  const TensorImpl& from = *y.impl();
  from.storage->version = to.storage->version;
  to.storage = from.storage;
  to.data = from.data;
  to.offset = from.offset;
}

/// Puts y into self, whose memory its twin keeps where there is one.
void put(const Tensor& self, const Tensor& y, bool has_twin) {
  const bool fresh = is_alone(y) && y.strides() == self.strides();
  if (has_twin && fresh) return move_into(self, y);
  if (has_twin) move_into(self, detail::empty_pointwise(self, self.dtype()));
  kernels::copy(self, y);
}

}  // namespace

const Tensor& apply_(const Tensor& self, const std::function<Tensor(const Tensor&)>& f) {
  check_apart(self);
  check_inplace(self);
  const bool recorded = needs_grad({&self});
  // What f saves of its operand must outlive the write. Memory that nobody else sees is left to
  // that, and self moves into the result's: copies would take longer than f.
  const bool moves = recorded && self.is_dense() && is_alone(self);
  const Tensor result = f(!recorded ? self : moves ? twin_of(self) : clone(self));
  check_castable(result.dtype(), self.dtype());
  NNM_CHECK(result.shape() == self.shape(), runtime,
            "output with shape {} doesn't match the broadcast shape {}", self.shape().str(),
            result.shape().str());
  const Tensor y = to(result, self.dtype());
  if (!recorded) check_inplace(self, {&y});
  put(self, y, moves);
  record_inplace(y.grad_fn() ? y.grad_fn()->name : "", self, {&y},
                 [](Backward& b) { b.set(0, b.maybe_grad()); });
  return self;
}

}  // namespace nnm
