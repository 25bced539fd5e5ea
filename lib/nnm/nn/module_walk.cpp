// Walking the tree of modules: traversal, modes, gradients and conversion.
#include <algorithm>
#include <unordered_set>

#include "nnm/autograd/node.h"
#include "nnm/nn/module.h"
#include "nnm/ops/ops.h"

namespace nnm {

namespace {

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// M is Module, or const Module.
template <class M>
void walk_modules(M& m, const std::string& prefix, bool remove_duplicate,
                  std::unordered_set<const Module*>& seen,
                  std::vector<std::pair<std::string, M*>>& out) {
  if (remove_duplicate && !seen.insert(&m).second) return;
  out.emplace_back(prefix, &m);
  for (const auto& slot : m.module_slots()) {
    if (slot->value) {
      walk_modules<M>(*slot->value, joined(prefix, slot->name), remove_duplicate, seen, out);
    }
  }
}

template <class M>
std::vector<std::pair<std::string, M*>> modules_below(M& root, const std::string& prefix,
                                                      bool remove_duplicate) {
  std::vector<std::pair<std::string, M*>> out;
  std::unordered_set<const Module*> seen;
  walk_modules(root, prefix, remove_duplicate, seen, out);
  return out;
}

using SlotsOf = std::span<const Ref<TensorSlot>> (Module::*)() const;

NamedTensors named_tensors(const Module& root, SlotsOf slots, const std::string& prefix,
                           bool recurse, bool remove_duplicate) {
  NamedTensors out;
  std::unordered_set<const TensorImpl*> seen;
  auto modules = recurse ? modules_below(root, prefix, remove_duplicate)
                         : std::vector<std::pair<std::string, const Module*>>{{prefix, &root}};
  for (const auto& [path, m] : modules) {
    for (const auto& slot : (m->*slots)()) {
      if (!slot->value.defined()) continue;
      if (remove_duplicate && !seen.insert(slot->value.impl()).second) continue;
      out.emplace_back(joined(path, slot->name), slot->value);
    }
  }
  return out;
}

Tensors values_of(const NamedTensors& named) {
  Tensors out;
  for (const auto& [name, t] : named) out.push_back(t);
  return out;
}

}  // namespace

void detail::set_data(const Tensor& t, const Tensor& data) {
  if (t.is_same(data)) return;
  TensorImpl &to = *t.impl(), &from = *data.impl();
  to.storage = from.storage;
  to.data = from.data;
  to.dtype = from.dtype;
  to.device = from.device;
  to.contiguous = from.contiguous;
  to.numel = from.numel;
  to.offset = from.offset;
  to.sizes = from.sizes;
  to.strides = from.strides;
  if (to.meta && to.meta->accumulator) {
    to.meta->accumulator->outputs[0] = {to.sizes, to.dtype, to.device};
  }
}

NamedModules Module::named_children() const {
  NamedModules out;
  std::unordered_set<const Module*> seen;
  for (const auto& slot : modules_) {
    if (slot->value && seen.insert(slot->value.get()).second) {
      out.emplace_back(slot->name, slot->value.get());
    }
  }
  return out;
}

std::vector<Module*> Module::children() const {
  std::vector<Module*> out;
  for (const auto& [name, m] : named_children()) out.push_back(m);
  return out;
}

NamedModules Module::named_modules(const std::string& prefix, bool remove_duplicate) {
  return modules_below(*this, prefix, remove_duplicate);
}

std::vector<Module*> Module::modules() {
  std::vector<Module*> out;
  for (const auto& [name, m] : named_modules()) out.push_back(m);
  return out;
}

NamedTensors Module::named_parameters(const std::string& prefix, bool recurse,
                                      bool remove_duplicate) const {
  return named_tensors(*this, &Module::parameter_slots, prefix, recurse, remove_duplicate);
}

NamedTensors Module::named_buffers(const std::string& prefix, bool recurse,
                                   bool remove_duplicate) const {
  return named_tensors(*this, &Module::buffer_slots, prefix, recurse, remove_duplicate);
}

Tensors Module::parameters(bool recurse) const { return values_of(named_parameters("", recurse)); }
Tensors Module::buffers(bool recurse) const { return values_of(named_buffers("", recurse)); }

Module& Module::train(bool mode) {
  training_ = mode;
  for (Module* c : children()) c->train(mode);
  return *this;
}

Module& Module::requires_grad_(bool on) {
  for (const Tensor& p : parameters()) p.requires_grad_(on);
  return *this;
}

void Module::zero_grad(bool set_to_none) {
  for (const Tensor& p : parameters()) {
    const Tensor grad = p.grad();
    if (!grad.defined()) continue;
    if (set_to_none) p.set_grad({});
    else zero_(grad);
  }
}

Module& Module::apply(const std::function<void(Module&)>& fn) {
  for (Module* c : children()) c->apply(fn);
  fn(*this);
  return *this;
}

Module& Module::convert(const std::function<Tensor(const Tensor&)>& f, bool recurse) {
  if (recurse) {
    for (Module* c : children()) c->convert(f);
  }
  const NoGradGuard no_grad;
  for (const auto& slot : parameters_) {
    if (!slot->value.defined()) continue;
    detail::set_data(slot->value, f(slot->value));
    if (const Tensor grad = slot->value.grad(); grad.defined()) detail::set_data(grad, f(grad));
  }
  for (const auto& slot : buffers_) {
    if (slot->value.defined()) slot->value = f(slot->value);
  }
  return *this;
}

Module& Module::to(DType dtype) {
  NNM_CHECK(is_floating(dtype), type,
            "nn.Module.to only accepts floating point or complex dtypes, but got desired "
            "dtype=torch.{}",
            info(dtype).torch_name);
  return convert(
      [dtype](const Tensor& t) { return is_floating(t.dtype()) ? nnm::to(t, dtype) : t; });
}

namespace {

Tensor move_to(const Tensor& t, TensorOptions options) {
  if (t.device() == options.device && t.dtype() == options.dtype) return t;
  NNM_CHECK(
      !t.is_meta() || options.device.type == DeviceType::meta, not_implemented,
      "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead "
      "of torch.nn.Module.to() when moving module from meta to a different device.");
  return nnm::to(t, options);
}

}  // namespace

Module& Module::to(Device device) {
  return convert([device](const Tensor& t) { return move_to(t, {t.dtype(), device}); });
}

Module& Module::to(TensorOptions o) {
  NNM_CHECK(is_floating(o.dtype), type,
            "nn.Module.to only accepts floating point or complex dtypes, but got desired "
            "dtype=torch.{}",
            info(o.dtype).torch_name);
  return convert([o](const Tensor& t) {
    return move_to(t, {is_floating(t.dtype()) ? o.dtype : t.dtype(), o.device});
  });
}

Module& Module::type(DType dtype) {
  return convert([dtype](const Tensor& t) { return nnm::to(t, dtype); });
}

Module& Module::to_empty(Device device, bool recurse) {
  return convert(
      [device](const Tensor& t) {
        const TensorOptions options{t.dtype(), device};
        return t.is_dense() ? empty_strided(t.shape(), t.strides(), options)
                            : empty(t.shape(), options);
      },
      recurse);
}

}  // namespace nnm
