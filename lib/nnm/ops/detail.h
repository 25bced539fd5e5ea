// What the operations share: promotion, broadcasting, memory formats, allocation, checks.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "nnm/autograd/record.h"
#include "nnm/ops/ops.h"

namespace nnm::detail {

/// torch.result_type: by category first; within a category, tensors with dimensions beat 0-d ones,
/// which beat numbers. A real number beside integers gives f32.
DType result_type(const Tensor& a, const Tensor& b);
DType result_type(const Tensor& a, Scalar b);
/// f32 for integers and bool, t itself otherwise: what true division and exp compute in.
inline DType float_type(DType t) { return is_floating(t) ? t : DType::f32; }

/// x seen in `shape` by strides of 0; the shapes must broadcast.
View broadcast_view(const Tensor& x, const Shape& shape);
/// Strides of a tensor without gaps whose dimensions lie in memory in the order of x's: what
/// PyTorch calls preserving the format. Row-major where x repeats elements.
Shape preserved_strides(const Tensor& x);
/// Uninitialised, of `shape`, laid out as the first of the operands that has this shape.
Tensor empty_pointwise(const Shape& shape, DType dtype, const Tensor& a, const Tensor& b);
/// Uninitialised, x's shape and format.
Tensor empty_pointwise(const Tensor& x, DType dtype);
/// True iff both lie alike in memory: the same strides wherever an extent is not 1.
bool same_layout(const Tensor& a, const Tensor& b);
/// x itself where it lies in memory as `like` does (both of one shape), else such a copy.
Tensor with_layout_of(const Tensor& like, const Tensor& x);
/// x itself where it is dense, else a dense copy.
Tensor dense(const Tensor& x);

/// A number as an operand of a kernel: a view of one element, repeated over `shape`. On a
/// GPU the number lies in a tensor there.
class ScalarOperand {
 public:
  ScalarOperand(Scalar s, const Shape& shape, Device device);
  ScalarOperand(const ScalarOperand&) = delete;
  ScalarOperand& operator=(const ScalarOperand&) = delete;
  operator const View&() const { return view_; }

 private:
  union {
    double real_;
    int64_t integer_;
  };
  Tensor tensor_;
  View view_;
};

/// Throws Error(runtime) unless both are on one device: "Expected all tensors to be on the same
/// device, but found at least two devices, cpu and meta!".
void check_same_device(const Tensor& a, const Tensor& b);
void check_same_device(const Tensors& tensors);
/// Throws Error(type) `<op>: expected a Tensor, got none` for an undefined operand.
void check_defined(const Tensor& x, const char* op);
/// "cpu", "cuda:0", "meta".
std::string device_name(Device d);
/// PyTorch's names in messages: "Float", "Long".
const char* scalar_type_name(DType t);
/// C++'s names, which some messages have: "float", "long int".
const char* c_type_name(DType t);

/// The dimensions wrapped and checked for repeats, as bits; no dims are all of them.
/// Throws Error(runtime) "dim 0 appears multiple times in the list of dims".
uint32_t dim_mask(const Dims& dims, int ndim);
/// The shape after a reduction over `mask`.
Shape reduced_shape(const Shape& x, uint32_t mask, bool keepdim);
/// y (a reduction of something of rank `ndim` over `mask`) as a tensor in which the reduced
/// dimensions have extent 1; a view without history.
Tensor keep_dims(const Tensor& y, uint32_t mask, int ndim, bool keepdim);
/// x with strides of 0 where it is broadcast to `shape`; a view without history.
Tensor expand_view(const Tensor& x, const Shape& shape);
/// x with dimension d first, and x without dimension d (its element 0 there); views without
/// history.
Tensor dim_first(const Tensor& x, int d);
Tensor without_dim(const Tensor& x, int d);
/// The leading dimensions of x, all but the last n; and matrices x broadcast in these to `batch`.
Shape leading(const Tensor& x, int n);
Tensor with_leading(const Tensor& x, const Shape& batch);
/// Element offsets `index * stride` (n, i64) of an index vector; what kernels::take moves by.
Tensor offsets_of(const Tensor& index, int64_t stride);
/// Calls `complain` with an element of the index tensor outside [low, high), if there is one.
void check_index_range(const Tensor& index, int64_t low, int64_t high,
                       const std::function<void(int64_t bad)>& complain);
/// The row-major positions (n, i64) at which a mask is true; on meta, where nobody knows, all.
Tensor nonzero_positions(const Tensor& mask);
/// The number of elements reduced into one.
int64_t reduced_count(const Shape& x, uint32_t mask);

/// The process's generator where none is given.
inline Generator& generator_or_default(Generator* g) { return g ? *g : default_generator(); }

}  // namespace nnm::detail
