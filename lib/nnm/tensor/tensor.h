// Tensor: a shared handle on a strided window of storage, with an optional autograd record.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "kernels/view.h"
#include "nnm/base/handle.h"
#include "nnm/base/pool.h"
#include "nnm/base/ref.h"
#include "nnm/base/spec.h"
#include "nnm/base/value.h"
#include "nnm/tensor/shape.h"

namespace nnm {

class Node;
class Tensor;
struct AutogradMeta;

/// Bytes on one device, shared by the tensors that view them. `version` counts in-place writes.
class Storage final : public Object, public Pooled {
 public:
  Storage(size_t bytes, Device device);
  /// Memory that somebody else owns (a mapped file); `keep` lives as long as the storage.
  Storage(void* data, size_t bytes, Ref<Object> keep);
  ~Storage() override;

  void* data = nullptr;
  size_t bytes = 0;
  Device device;
  uint32_t version = 0;
  const char* written_by = nullptr;  ///< the last recorded operation that wrote in place
  /// What operations keep beside the bytes, such as weights in a kernel's own order: ops/kept.h.
  Ref<Object> kept;
  /// False for memory of somebody else, who may write to it and leave `version` as it is.
  bool is_owned() const { return owned_; }

 private:
  Ref<Object> keep_;
  bool owned_ = true;
};

struct TensorOptions {
  DType dtype = DType::f32;
  Device device = {};
};

using Tensors = std::vector<Tensor>;
using TensorHook = std::function<std::optional<Tensor>(const Tensor& grad)>;

class TensorImpl final : public Object, public Pooled {
 public:
  TensorImpl(Ref<Storage> storage, const Shape& sizes, const Shape& strides, int64_t offset,
             DType dtype);
  ~TensorImpl() override;
  std::string value_repr() const override;
  std::string value_text() const override;  ///< `Tensor(f32[2, 3])`

  Ref<Storage> storage;
  char* data;  ///< of element 0
  DType dtype;
  Device device;
  bool contiguous;
  bool is_parameter = false;
  int64_t numel;
  int64_t offset;
  Shape sizes, strides;
  AutogradMeta* meta = nullptr;  ///< owned; null until the tape needs it
};

/// Copies alias. A default-constructed Tensor is undefined: "no tensor here".
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}

  bool defined() const { return static_cast<bool>(impl_); }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return impl_->sizes; }
  const Shape& strides() const { return impl_->strides; }
  /// Extent of a dimension, negative from the end. Throws Error(index).
  int64_t size(int64_t dim) const { return impl_->sizes[wrap_dim(dim, dim_count())]; }
  int dim_count() const { return impl_->sizes.size(); }
  int dim() const { return dim_count(); }
  int64_t numel() const { return impl_->numel; }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->device; }
  bool is_meta() const { return impl_->device.type == DeviceType::meta; }
  TensorOptions options() const { return {impl_->dtype, impl_->device}; }
  bool is_contiguous() const { return impl_->contiguous; }
  /// True iff 4-d, dense, and the channel dimension (1) is innermost: N, H, W, C in memory.
  bool is_channels_last() const;
  /// True iff elements fill their memory without gaps or overlaps, in whatever order.
  bool is_dense() const;
  /// Pointer to element 0. T is not checked. Whoever writes through it calls bump_version then.
  template <class T = void>
  T* data() const {
    return reinterpret_cast<T*>(impl_->data);
  }
  /// What a kernel sees. An undefined tensor gives an empty View.
  View view() const;
  operator View() const { return view(); }

  /// Same storage, other window; no autograd. The floor under all view operations.
  Tensor as_strided(const Shape& sizes, const Shape& strides, int64_t offset) const;
  /// The only element as a number. Throws Error(runtime) if there are several, or on meta.
  Scalar item() const;
  /// All elements in row-major order, converted (f64, i64, f32, u8 …).
  template <class T>
  std::vector<T> to_vector() const;
  /// As PyTorch prints it: `tensor([[1., 2.]], grad_fn=<AddmmBackward0>)`. An undefined tensor is
  /// `None`.
  std::string repr() const;

  // Autograd (module-spec.md 2.7-2.9). Implemented on the autograd floor.
  bool requires_grad() const;
  /// Throws Error(runtime) for non-leaves being switched off and for integer tensors, as PyTorch.
  const Tensor& requires_grad_(bool on = true) const;
  bool is_leaf() const;
  Tensor grad() const;
  void set_grad(Tensor g) const;
  Ref<Node> grad_fn() const;  ///< null for leaves
  uint32_t output_nr() const;
  const char* grad_fn_name() const;  ///< PyTorch's, "AddmmBackward0"; null for leaves
  /// A tensor that shares the storage and has no history.
  Tensor detach() const;
  void retain_grad() const;
  /// True iff retain_grad was called on this non-leaf.
  bool retains_grad() const;
  /// A hook on the gradient w.r.t. this tensor, called with it once per backward (undefined where
  /// none arrived); what it returns replaces the gradient. `name` is what errors call it.
  RemovableHandle register_hook(TensorHook hook, std::string name = "<unknown>") const;
  /// A hook that only looks.
  template <class F>
  requires std::is_void_v<std::invoke_result_t<F&, const Tensor&>> RemovableHandle
  register_hook(F hook, std::string name = "<unknown>")
  const {
    return register_hook(TensorHook([hook = std::move(hook)](const Tensor& g) mutable {
                           hook(g);
                           return std::optional<Tensor>();
                         }),
                         std::move(name));
  }
  /// Called with the leaf after its .grad was accumulated.
  RemovableHandle register_post_accumulate_grad_hook(std::function<void(const Tensor&)> hook) const;
  /// Gradients of this (a scalar, unless `gradient` is given) into the leaves' .grad; of `inputs`
  /// alone, where there are some. Throws Error(not_implemented) for create_graph.
  void backward(const Tensor& gradient = {}, bool retain_graph = false, bool create_graph = false,
                const Tensors& inputs = {}) const;

  uint32_t version() const { return impl_->storage->version; }
  /// Every in-place kernel call is followed by it.
  void bump_version() const { ++impl_->storage->version; }
  bool is_same(const Tensor& o) const { return impl_ == o.impl_; }
  TensorImpl* impl() const { return impl_.get(); }
  const Ref<TensorImpl>& ref() const { return impl_; }

 private:
  Ref<TensorImpl> impl_;
};

/// A tuple of them, as hooks get gradients; undefined ones are None.
std::string str(const Tensors& tensors);

/// Uninitialised, row-major. Throws Error(runtime) for negative sizes, Error(device) out of memory.
Tensor empty(const Shape& sizes, TensorOptions options = {});
/// Uninitialised, with the sizes, dtype, device and (if x is dense) the strides of x, so that
/// channels_last is kept through pointwise operations.
Tensor empty_like(const Tensor& x);
Tensor empty_like(const Tensor& x, DType dtype);
Tensor empty_strided(const Shape& sizes, const Shape& strides, TensorOptions options = {});
/// A (N, C, H, W) tensor laid out N, H, W, C, or a (N, C, D, H, W) one laid out N, D, H, W, C.
Tensor empty_channels_last(const Shape& sizes, TensorOptions options = {});
/// Row-major copy of numbers.
template <class T>
Tensor tensor_of(std::span<const T> values, const Shape& shape, TensorOptions options);

/// PyTorch's promotion of two element types (torch.promote_types).
DType promote_types(DType a, DType b);
/// "torch.FloatTensor": the legacy name some of PyTorch's messages use.
std::string legacy_type_name(DType t);

template <>
struct ValueHandle<Tensor> {
  static constexpr Value::Kind kind = Value::Kind::tensor;
  static constexpr const char* name = "Tensor";
  static Object* get(const Tensor& t) { return t.impl(); }
  static Tensor make(Object* o) { return Tensor(Ref<TensorImpl>(static_cast<TensorImpl*>(o))); }
};
template <>
struct Codec<Tensor> {
  static ArgType type() { return {.base = ArgType::Base::tensor}; }
  static Tensor read(const Value& v) { return v.is_none() ? Tensor() : v.as<Tensor>(); }
  static Value write(const Tensor& t) { return t; }
};

}  // namespace nnm
