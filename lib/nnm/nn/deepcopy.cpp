// Deep copies of modules: who is copied to what, and where the copies' members look.
#include <unordered_map>

#include "nnm/autograd/node.h"
#include "nnm/nn/copying.h"
#include "nnm/nn/module.h"
#include "nnm/ops/ops.h"

namespace nnm {

namespace {

/// What one deepcopy has copied so far. Members of copies find their slots here, since C++ copies
/// the base class, and with it the slots, before the members.
class Copying {
 public:
  Copying() : before_(current) { current = this; }
  ~Copying() { current = before_; }
  Copying(const Copying&) = delete;

  Ref<Module> module(const Module& m, const std::function<Ref<Module>()>& copied);
  Tensor tensor(const Tensor& t);
  Value value(const Value& v);

  std::unordered_map<const Object*, Object*> slots;
  static thread_local Copying* current;

 private:
  Tensor parameter_of(const Tensor& t);
  Tensor buffer_of(const Tensor& t);

  Copying* before_;
  std::unordered_map<const Module*, Ref<Module>> modules_;  // null: being copied
  std::unordered_map<const TensorImpl*, Tensor> tensors_;
  std::unordered_map<const Storage*, Ref<Storage>> storages_;
};

thread_local Copying* Copying::current = nullptr;

Ref<Module> Copying::module(const Module& m, const std::function<Ref<Module>()>& copied) {
  const auto [at, fresh] = modules_.try_emplace(&m);
  NNM_CHECK(fresh || at->second, runtime, "{} contains itself and cannot be copied", m.type_name());
  if (!fresh) return at->second;
  Ref<Module> copy = copied ? copied() : m.copied();
  const Module& made = *copy;
  NNM_CHECK(typeid(made) == typeid(m), not_implemented,
            "{} cannot be copied: its base class {} copies itself alone; give it `Ref<Module> "
            "copied() const override {{ return make_ref<{}>(*this); }}`",
            m.type_name(), made.type_name(), m.type_name());
  return modules_[&m] = copy;
}

Tensor Copying::tensor(const Tensor& t) {
  if (!t.defined()) return {};
  const auto [at, fresh] = tensors_.try_emplace(t.impl());
  if (!fresh) return at->second;
  NNM_CHECK(t.is_leaf(), runtime,
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001");
  const NoGradGuard no_grad;
  return tensors_[t.impl()] = is_parameter(t) ? parameter_of(t) : buffer_of(t);
}

Tensor Copying::parameter_of(const Tensor& t) { return parameter(clone(t), t.requires_grad()); }

// The whole memory, once, so that views of it stay views of one another.
Tensor Copying::buffer_of(const Tensor& t) {
  const auto& storage = t.ref()->storage;
  Ref<Storage>& copy = storages_[storage.get()];
  if (!copy) {
    const auto bytes = static_cast<int64_t>(storage->bytes);
    const Tensor from(make_ref<TensorImpl>(storage, Shape{bytes}, Shape{1}, 0, DType::u8));
    copy = clone(from).ref()->storage;
  }
  Tensor out(make_ref<TensorImpl>(copy, t.shape(), t.strides(), t.impl()->offset, t.dtype()));
  if (t.requires_grad()) out.requires_grad_();
  if (const Tensor grad = t.grad(); grad.defined()) out.set_grad(tensor(grad));
  return out;
}

Value Copying::value(const Value& v) {
  const auto each = [this](const Values& items) {
    Values out;
    for (const Value& item : items) out.push_back(value(item));
    return out;
  };
  switch (v.kind()) {
    case Value::Kind::tensor: return tensor(v.as<Tensor>());
    case Value::Kind::module: return module(*v.as<Ref<Module>>(), {});
    case Value::Kind::list: return Value::list(each(v.items()));
    case Value::Kind::tuple: return Value::tuple(each(v.items()));
    case Value::Kind::dict: {
      Items out;
      for (const auto& [key, item] : v.entries()) out.emplace_back(key, value(item));
      return Value::dict(std::move(out));
    }
    default: return v;
  }
}

template <class Slot>
Ref<Slot> slot_of_copy(const Ref<Slot>& slot) {
  if (!Copying::current || !slot) return slot;
  const auto at = Copying::current->slots.find(slot.get());
  return at == Copying::current->slots.end() ? slot : Ref<Slot>(static_cast<Slot*>(at->second));
}

}  // namespace

namespace detail {

Ref<TensorSlot> copied_slot(const Ref<TensorSlot>& slot) { return slot_of_copy(slot); }
Ref<ModuleSlot> copied_slot(const Ref<ModuleSlot>& slot) { return slot_of_copy(slot); }

Value copied_value(const Value& v) { return Copying::current ? Copying::current->value(v) : v; }

Ref<Module> deepcopy(const Module& m, const std::function<Ref<Module>()>& copied) {
  Copying copying;
  return copying.module(m, copied);
}

}  // namespace detail

Module::Module(const Module& o)
    : Object(o), training_(o.training_), tensor_to_tensor_(o.tensor_to_tensor_) {
  Copying* const copying = Copying::current;
  NNM_CHECK(copying, type, "{} is not copied by value; deepcopy(m) makes a copy", o.type_name());
  auto copy_tensors = [copying](const auto& from, auto& to) {
    for (const auto& slot : from) {
      to.push_back(
          make_ref<TensorSlot>(slot->name, copying->tensor(slot->value), slot->persistent));
      copying->slots[slot.get()] = to.back().get();
    }
  };
  copy_tensors(o.parameters_, parameters_);
  copy_tensors(o.buffers_, buffers_);
  for (const auto& slot : o.modules_) {
    Ref<Module> child;
    if (slot->value) child = copying->module(*slot->value, {});
    modules_.push_back(make_ref<ModuleSlot>(slot->name, std::move(child)));
    copying->slots[slot.get()] = modules_.back().get();
  }
  for (const auto& slot : o.computed_) {
    Tensor value;
    if (!slot->source) value = copying->tensor(slot->value);
    computed_.push_back(make_ref<TensorSlot>(slot->name, std::move(value), slot->persistent));
    if (slot->source)
      computed_.back()->source = slot->source->copied(
          [copying](const Module& child) { return copying->module(child, {}); });
    copying->slots[slot.get()] = computed_.back().get();
  }
  if (o.hooks_) hooks().copy_from(*o.hooks_);
}

Ref<Module> Module::copied() const {
  if (typeid(*this) == typeid(Module)) return Ref<Module>(new Module(*this));
  fail(ErrorKind::not_implemented,
       "{0} cannot be copied: give it `Ref<Module> copied() const override {{ return "
       "make_ref<{0}>(*this); }}`",
       type_name());
}

}  // namespace nnm
