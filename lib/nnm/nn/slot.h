// Slots: the named places of a module's registry, and the members that read through them.
#pragma once

#include <string>

#include "nnm/tensor/tensor.h"

namespace nnm {

class Module;
struct TensorSlot;
struct ModuleSlot;

namespace detail {
/// The slot itself; while deepcopy copies the slot's module, the copy's slot instead.
Ref<TensorSlot> copied_slot(const Ref<TensorSlot>& slot);
Ref<ModuleSlot> copied_slot(const Ref<ModuleSlot>& slot);
}  // namespace detail

/// A named parameter or buffer; an undefined tensor is PyTorch's None.
struct TensorSlot final : Object {
  TensorSlot(std::string slot_name, Tensor tensor, bool persists)
      : name(std::move(slot_name)), value(std::move(tensor)), persistent(persists) {}
  std::string name;
  Tensor value;
  bool persistent;  ///< of a buffer: part of the state dict
};

/// A named child; null is PyTorch's None.
struct ModuleSlot final : Object {
  ModuleSlot(std::string slot_name, Ref<Module> module);
  ~ModuleSlot() override;
  std::string name;
  Ref<Module> value;
};

/// A parameter or buffer as a class member. It reads the registry's slot (one indirection), so
/// that loading with assign, tying and replacing are seen by the layer.
///   Parameter weight = register_parameter("weight", parameter(empty({out, in})));
///   Tensor forward(const Tensor& x) override { return linear(x, weight, bias); }
class Parameter {
 public:
  Parameter() = default;
  explicit Parameter(Ref<TensorSlot> slot) : slot_(std::move(slot)) {}
  Parameter(const Parameter& o) : slot_(detail::copied_slot(o.slot_)) {}
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(Parameter o) noexcept {
    slot_ = std::move(o.slot_);
    return *this;
  }
  operator const Tensor&() const { return get(); }
  const Tensor& operator*() const { return get(); }
  const Tensor* operator->() const { return &get(); }
  /// The tensor; undefined where the slot holds none or was deleted.
  const Tensor& get() const { return slot_ ? slot_->value : kUndefined; }
  bool defined() const { return slot_ && slot_->value.defined(); }
  explicit operator bool() const { return defined(); }
  std::string repr() const { return get().repr(); }
  /// Puts another tensor into the slot, without checks and hooks.
  void set(Tensor t) const { slot_->value = std::move(t); }

 private:
  inline static const Tensor kUndefined;
  Ref<TensorSlot> slot_;
};
using Buffer = Parameter;

/// A leaf that an optimizer may update (torch.nn.Parameter): shares data's memory, not its history.
Tensor parameter(const Tensor& data, bool requires_grad = true);
/// True iff made by `parameter` (or registered as one).
inline bool is_parameter(const Tensor& t) { return t.defined() && t.impl()->is_parameter; }

}  // namespace nnm
