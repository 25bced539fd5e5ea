// Reading the arguments of functions that a config calls.
#pragma once

#include <optional>
#include <string>

#include "nnm/ops/detail.h"
#include "nnm/ops/function.h"

namespace nnm::detail {

inline Tensor tensor(const Value& v) { return v.as<Tensor>(); }
inline bool is_tensor(const Value& v) { return v.is(Value::Kind::tensor); }

/// Integers given one by one or as one list: what `*shape` collected. `reshape(x, 2, 3)` and
/// `reshape(x, [2, 3])` mean the same.
Dims integers(const Value& v);
inline Shape shape(const Value& v) { return Shape(integers(v)); }
/// None, one number, or a list of them.
template <class T>
std::vector<T> numbers(const Value& v) {
  if (v.is_none()) return {};
  std::vector<T> out;
  for (const Value& x : v.is_sequence() ? v.items() : Values{v})
    out.push_back(Codec<T>::read(Codec<T>::type().convert(x)));
  return out;
}
/// Dimensions of `dim: int[] = none`; none is no dimensions, which reductions take as all.
inline Dims dims(const Value& v) { return v.is_none() ? Dims() : integers(v); }

inline std::optional<DType> dtype(const Value& v) { return Codec<std::optional<DType>>::read(v); }
/// A tensor in the type that `dtype=` asks for, where it does.
inline Tensor converted(const Value& x, const Value& type) {
  return type.is_none() ? x.as<Tensor>() : to(x.as<Tensor>(), type.dtype());
}
/// "cpu", "cuda", "cuda:1", "meta"; none is the default device.
Device device(const Value& v);
inline TensorOptions options(const Value& type, const Value& where) {
  return {dtype(type).value_or(DType::f32), device(where)};
}
/// A number or a 0-d tensor as a number. Throws Error(type) for anything else.
Scalar number(const Value& v);
/// A number as an operand beside `like`: 0-d, of the type that the result will have.
Tensor operand(Scalar s, const Tensor& like);
/// A 0-d tensor that `op` fills with, as `like`'s type; a config may give one in place of a number.
Tensor filler(const Value& v, const Tensor& like, const char* op);
/// torch.clamp with bounds of their own for each element; one of them may be undefined.
Tensor clamped_between(const Tensor& x, const Tensor& min, const Tensor& max);
/// What `where` of a condition alone gives: the places where it holds, a tensor for each dimension,
/// and one for a condition without dimensions.
Tensors places_of(const Tensor& condition);
/// The median of all elements, NaN where there are none; equals share its gradient, as in PyTorch.
Tensor middle_of_all(const char* node, const Tensor& x, Tensor (*of_flat)(const Tensor&));
/// f(x), or where `inplace` is true x itself with f(x) written into it.
template <class F>
Value maybe_inplace(const Value& x, const Value& inplace, const F& f) {
  const Tensor t = tensor(x);
  return inplace.boolean() ? apply_(t, f) : f(t);
}

}  // namespace nnm::detail
