// Registration of parameters, buffers and children, attributes by name, and lookup by path.
#include <algorithm>

#include "nnm/autograd/node.h"
#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/module.h"
#include "nnm/nn/repr.h"

namespace nnm {

namespace {

// dir(torch.nn.Module()) without the private names: what no slot may be called.
constexpr std::string_view kMemberNames[] = {
    // clang-format off
    "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children",
    "compile", "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward",
    "get_buffer", "get_extra_state", "get_parameter", "get_submodule", "half", "ipu",
    "load_state_dict", "modules", "mtia", "named_buffers", "named_children", "named_modules",
    "named_parameters", "parameters", "register_backward_hook", "register_buffer",
    "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter",
    "register_state_dict_post_hook", "register_state_dict_pre_hook", "requires_grad_",
    "set_extra_state", "set_submodule", "share_memory", "state_dict", "to", "to_empty", "train",
    "training", "type", "xpu", "zero_grad",
    // clang-format on
};

template <class Slot>
Slot* find(const std::vector<Ref<Slot>>& slots, std::string_view name) {
  for (const Ref<Slot>& s : slots) {
    if (s->name == name) return s.get();
  }
  return nullptr;
}

// Members of C++ classes keep the slot: it is emptied, so that they see the deletion.
template <class Slot>
bool drop(std::vector<Ref<Slot>>& slots, std::string_view name) {
  const auto at =
      std::find_if(slots.begin(), slots.end(), [&](const auto& s) { return s->name == name; });
  if (at == slots.end()) return false;
  (*at)->value = {};
  slots.erase(at);
  return true;
}

// What torch.typename says of a value.
std::string type_of(const Value& v) {
  if (v.holds<Tensor>()) return legacy_type_name(v.as<Tensor>().dtype());
  if (v.holds<Ref<Module>>()) return full_type_name(*v.as<Ref<Module>>());
  return v.is(Value::Kind::dtype) ? "torch.dtype" : v.type_name();
}

void check_tensor_name(const char* kind, const std::string& name) {
  NNM_CHECK(name.find('.') == std::string::npos, key, "{} name can't contain \".\"", kind);
  NNM_CHECK(!name.empty(), key, "{} name can't be empty string \"\"", kind);
}

void check_new(bool exists, const std::string& name) {
  NNM_CHECK(!exists, key, "attribute '{}' already exists", name);
}

}  // namespace

Module::Module(Module&& m) noexcept
    : parameters_(std::move(m.parameters_)),
      buffers_(std::move(m.buffers_)),
      computed_(std::move(m.computed_)),
      modules_(std::move(m.modules_)),
      hooks_(std::move(m.hooks_)),
      training_(m.training_),
      tensor_to_tensor_(m.tensor_to_tensor_) {
  if (hooks_) hooks_->owner = this;
}

Parameter Module::register_parameter(const std::string& name, const Tensor& t) {
  check_tensor_name("parameter", name);
  TensorSlot* slot = find(parameters_, name);
  check_new(!slot && has_attribute(name), name);
  Value value = t;
  if (t.defined()) {
    NNM_CHECK(is_parameter(t), type,
              "cannot assign '{}' object to parameter '{}' (torch.nn.Parameter or None required)",
              type_of(value), name);
    NNM_CHECK(!t.grad_fn(), value,
              "Cannot assign non-leaf Tensor to parameter '{0}'. Model parameters must be created "
              "explicitly. To express '{0}' as a function of another Tensor, compute the value in "
              "the forward() method.",
              name);
    value = run_registration_hooks(*global_hooks().parameter, *this, name, value);
  }
  if (!slot) {
    parameters_.push_back(make_ref<TensorSlot>(name, Tensor(), true));
    slot = parameters_.back().get();
  }
  slot->value = Codec<Tensor>::read(value);
  return Parameter(Ref<TensorSlot>(slot));
}

Buffer Module::register_buffer(const std::string& name, const Tensor& t, bool persistent) {
  check_tensor_name("buffer", name);
  TensorSlot* slot = find(buffers_, name);
  check_new(!slot && has_attribute(name), name);
  const Value value = run_registration_hooks(*global_hooks().buffer, *this, name, t);
  if (!slot) {
    buffers_.push_back(make_ref<TensorSlot>(name, Tensor(), persistent));
    slot = buffers_.back().get();
  }
  slot->value = Codec<Tensor>::read(value);
  slot->persistent = persistent;
  return Buffer(Ref<TensorSlot>(slot));
}

Ref<ModuleSlot> Module::register_slot(const std::string& name, Ref<Module> m) {
  check_new(!find(modules_, name) && has_attribute(name), name);
  NNM_CHECK(name.find('.') == std::string::npos, key, "module name can't contain \".\", got: {}",
            name);
  NNM_CHECK(!name.empty(), key, "module name can't be empty string \"\"");
  return put_module(name, std::move(m));
}

Ref<ModuleSlot> Module::put_module(const std::string& name, Ref<Module> m) {
  const Value value = run_registration_hooks(*global_hooks().module, *this, name, m);
  ModuleSlot* slot = find(modules_, name);
  if (!slot) {
    modules_.push_back(make_ref<ModuleSlot>(name, nullptr));
    slot = modules_.back().get();
  }
  slot->value = Codec<Ref<Module>>::read(value);
  return Ref<ModuleSlot>(slot);
}

bool Module::has_attribute(std::string_view name) const {
  const auto own = member_names();
  return find(parameters_, name) || find(buffers_, name) || find(modules_, name) ||
         find(computed_, name) ||
         std::binary_search(std::begin(kMemberNames), std::end(kMemberNames), name) ||
         std::binary_search(own.begin(), own.end(), name);
}

std::vector<std::string> Module::dir() const {
  std::vector<std::string> names(std::begin(kMemberNames), std::end(kMemberNames));
  for (const std::string_view name : member_names()) names.emplace_back(name);
  auto add = [&names](const auto& slots) {
    for (const auto& slot : slots) {
      if (slot->name.empty() || slot->name[0] < '0' || slot->name[0] > '9')
        names.push_back(slot->name);
    }
  };
  add(parameters_);
  add(modules_);
  add(buffers_);
  add(computed_);
  std::sort(names.begin(), names.end());
  return names;
}

Value Module::get_attribute(std::string_view name) const {
  if (const TensorSlot* p = find(parameters_, name)) return p->value;
  if (const TensorSlot* b = find(buffers_, name)) return b->value;
  if (const ModuleSlot* m = find(modules_, name)) return m->value;
  if (const TensorSlot* c = find(computed_, name)) return c->read();
  fail(ErrorKind::attribute, "'{}' object has no attribute '{}'", type_name(), name);
}

void Module::set_attribute(const std::string& name, const Value& value) {
  const bool tensor = value.holds<Tensor>();
  if (const TensorSlot* c = find(computed_, name); c && tensor) {
    if (c->source) c->source->assign(value.as<Tensor>());
    else c->value = value.as<Tensor>();
  } else if (tensor && is_parameter(value.as<Tensor>())) {
    drop(buffers_, name);
    drop(modules_, name);
    register_parameter(name, value.as<Tensor>());
  } else if (find(parameters_, name)) {
    NNM_CHECK(value.is_none(), type,
              "cannot assign '{}' as parameter '{}' (torch.nn.Parameter or None expected)",
              type_of(value), name);
    register_parameter(name, Tensor());
  } else if (value.holds<Ref<Module>>()) {
    drop(buffers_, name);
    put_module(name, value.as<Ref<Module>>());
  } else if (find(modules_, name)) {
    NNM_CHECK(value.is_none(), type,
              "cannot assign '{}' as child module '{}' (torch.nn.Module or None expected)",
              type_of(value), name);
    put_module(name, nullptr);
  } else if (const TensorSlot* b = find(buffers_, name)) {
    NNM_CHECK(value.is_none() || tensor, type,
              "cannot assign '{}' as buffer '{}' (torch.nn.Buffer, torch.Tensor or None expected)",
              type_of(value), name);
    register_buffer(name, Codec<Tensor>::read(value), b->persistent);
  } else {
    fail(ErrorKind::type,
         "'{}' object holds parameters, buffers and modules, and '{}' names none to assign '{}' to",
         type_name(), name, type_of(value));
  }
}

void Module::delete_attribute(std::string_view name) {
  if (drop(parameters_, name) || drop(buffers_, name) || drop(modules_, name)) return;
  fail(ErrorKind::attribute, "'{}' object has no attribute '{}'", type_name(), name);
}

Ref<TensorSlot> Module::make_computed(const std::string& name, Ref<TensorSource> source) {
  for (auto* slots : {&parameters_, &buffers_}) {
    const auto at =
        std::find_if(slots->begin(), slots->end(), [&](const auto& s) { return s->name == name; });
    if (at == slots->end()) continue;
    Ref<TensorSlot> slot = *at;
    slots->erase(at);
    slot->source = std::move(source);
    if (slot->source) slot->value = {};
    computed_.push_back(slot);
    hooks();  // calls look at nothing else in a module without hooks
    return slot;
  }
  fail(ErrorKind::attribute, "'{}' object has no parameter or buffer '{}'", type_name(), name);
}

void Module::end_computed(const std::string& name, const Tensor& value) {
  const auto at = std::find_if(computed_.begin(), computed_.end(),
                               [&](const auto& s) { return s->name == name; });
  NNM_CHECK(at != computed_.end(), attribute, "'{}' of '{}' is not computed", name, type_name());
  const Ref<TensorSlot> slot = *at;
  computed_.erase(at);
  slot->source = nullptr;
  const bool is_buffer = !is_parameter(value);
  if (is_buffer) register_buffer(name, value);
  else register_parameter(name, value);
  // Members of the class go on reading their own slot.
  Ref<TensorSlot>& registered = (is_buffer ? buffers_ : parameters_).back();
  slot->value = registered->value;
  slot->persistent = true;
  registered = slot;
}

Module* Module::child(std::string_view name) const {
  const ModuleSlot* slot = find(modules_, name);
  return slot ? slot->value.get() : nullptr;
}

namespace {

void check_attribute(const Module& m, std::string_view name) {
  NNM_CHECK(m.has_attribute(name), attribute, "{} has no attribute `{}`", m.type_name(), name);
}

/// The module at a path that is not empty.
Module& submodule(const Module& root, std::string_view path) {
  const Module* m = &root;
  for (;;) {
    const size_t dot = path.find('.');
    const std::string_view atom = path.substr(0, dot);
    check_attribute(*m, atom);
    Module* const next = m->child(atom);
    NNM_CHECK(next, attribute, "`{}` is not an nn.Module", atom);
    if (dot == std::string_view::npos) return *next;
    m = next;
    path.remove_prefix(dot + 1);
  }
}

struct SplitPath {
  std::string_view parent, name;
  explicit SplitPath(std::string_view path) {
    const size_t dot = path.rfind('.');
    if (dot != std::string_view::npos) parent = path.substr(0, dot);
    name = dot == std::string_view::npos ? path : path.substr(dot + 1);
  }
};

}  // namespace

Module& Module::get_submodule(std::string_view path) {
  return path.empty() ? *this : submodule(*this, path);
}
const Module& Module::get_submodule(std::string_view path) const {
  return path.empty() ? *this : submodule(*this, path);
}

void Module::set_submodule(std::string_view path, Ref<Module> m, bool strict) {
  NNM_CHECK(!path.empty(), value, "Cannot set the submodule without a target name!");
  NNM_CHECK(m, value, "`module` is not an nn.Module, found <class 'NoneType'>");
  const SplitPath split(path);
  Module& parent = get_submodule(split.parent);
  const bool exists = parent.has_attribute(split.name);
  NNM_CHECK(exists || !strict, attribute, "{} has no attribute `{}`", parent.type_name(),
            split.name);
  NNM_CHECK(!exists || parent.child(split.name), attribute, "`{}` is not an nn.Module", split.name);
  parent.set_attribute(std::string(split.name), m);
}

Tensor Module::get_parameter(std::string_view path) const {
  const SplitPath split(path);
  const Module& m = get_submodule(split.parent);
  check_attribute(m, split.name);
  const TensorSlot* slot = find(m.parameters_, split.name);
  // A parameter may stand among the buffers, too.
  if (!slot) slot = find(m.buffers_, split.name);
  NNM_CHECK(slot && is_parameter(slot->value), attribute, "`{}` is not an nn.Parameter",
            split.name);
  return slot->value;
}

Tensor Module::get_buffer(std::string_view path) const {
  const SplitPath split(path);
  const Module& m = get_submodule(split.parent);
  check_attribute(m, split.name);
  const TensorSlot* slot = find(m.buffers_, split.name);
  NNM_CHECK(slot, attribute, "`{}` is not a buffer", split.name);
  return slot->value;
}

}  // namespace nnm
