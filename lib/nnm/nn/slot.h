// Slots: the named places of a module's registry, and the members that read through them.
#pragma once

#include <functional>
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
const Tensor& computed(const TensorSlot& slot);
/// Puts another tensor's data into t, which stays the object that optimizers and ties refer to.
void set_data(const Tensor& t, const Tensor& data);
}  // namespace detail

/// What computes a tensor anew whenever it is read, such as a parametrization.
struct TensorSource : Object {
  /// `caller`: the module whose call asks; null outside of one.
  virtual Tensor compute(const Module* caller) = 0;
  /// Whether the module's class is called Parametrized… for it.
  virtual bool is_parametrization() const { return false; }
  /// Changes what it is computed from, so that `value` is what comes out, as far as it can.
  virtual void assign(const Tensor& value) = 0;
  /// Starts anew what else it keeps, from the streams of `path`, after `assign`.
  virtual void start(uint64_t seed, const std::string& path) = 0;
  /// The source of a copy of the module; `copy_of` gives the copies of its children.
  virtual Ref<TensorSource> copied(
      const std::function<Ref<Module>(const Module&)>& copy_of) const = 0;
};

/// A named parameter or buffer; an undefined tensor is PyTorch's None.
struct TensorSlot final : Object {
  TensorSlot(std::string slot_name, Tensor tensor, bool persists)
      : name(std::move(slot_name)), value(std::move(tensor)), persistent(persists) {}
  /// The tensor: `value`, or what the source makes of its parameters now (see ComputedScope).
  const Tensor& read() const { return source ? detail::computed(*this) : value; }
  std::string name;
  mutable Tensor value;  ///< of a computed one what was read last, outside of calls
  bool persistent;       ///< of a buffer: part of the state dict
  Ref<TensorSource> source;
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
  const Tensor& get() const { return slot_ ? slot_->read() : kUndefined; }
  bool defined() const { return slot_ && (slot_->source || slot_->value.defined()); }
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
