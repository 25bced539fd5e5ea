// Module: the base of all networks, with PyTorch's names, order and messages.
//
//   struct Net : nnm::Module {
//     Child<nn::Linear> fc1 = register_module("fc1", nn::Linear(784, 128));
//     Child<nn::Linear> fc2 = register_module("fc2", nn::Linear(128, 10));
//     Tensor forward(const Tensor& x) override { return fc2(relu(fc1(x))); }
//   };
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "nnm/base/registry.h"
#include "nnm/nn/hooks.h"
#include "nnm/nn/slot.h"
#include "nnm/nn/state_dict.h"
#include "nnm/tensor/tensor.h"

namespace nnm {

class Module;
template <class T>
class Child;
class Streams;

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using NamedModules = std::vector<std::pair<std::string, Module*>>;

template <>
struct ValueHandle<Ref<Module>> {
  static constexpr Value::Kind kind = Value::Kind::module;
  static constexpr const char* name = "Module";
  static Object* get(const Ref<Module>& m);
  static Ref<Module> make(Object* o);
};
template <>
struct Codec<Ref<Module>> {
  static ArgType type() { return {.base = ArgType::Base::module}; }
  static Ref<Module> read(const Value& v) {
    return v.is_none() ? Ref<Module>() : v.as<Ref<Module>>();
  }
  static Value write(const Ref<Module>& m) { return m; }
};

/// A network or layer: ordered parameters, buffers and children, a forward, and hooks. Held by
/// Ref<Module>; one on the stack works as a root, but must not become a child.
class Module : public Object {
 public:
  static constexpr const char* kRegistryKind = "layer";

  Module() = default;
  Module& operator=(const Module&) = delete;
  ~Module() override;

  // Calling. Runs the hooks around forward; without hooks anywhere it costs one branch. An Error
  // that passes through carries the dotted path of the innermost module (Error::module_path).
  Tensor operator()(const Tensor& x);
  Value operator()(const Args& args);
  /// One argument of any kind in, anything out: what chains of modules use. No arguments are boxed
  /// where the module computes a tensor from a tensor.
  Value operator()(const Value& x);
  /// m(), m(a, b, …): positional arguments of any kind.
  template <class... A>
  requires(sizeof...(A) != 1) Value operator()(const A&... args) {
    return (*this)(Args{{Value(args)...}, {}});
  }

  /// True iff a call is nothing but forward(const Tensor&): no hooks, and (as the first call has
  /// shown) tensors in and out. Chains then need no Value in between.
  bool is_plain() const { return tensor_to_tensor_ && !hooked(); }
  /// True iff hooks, own or global ones, run around a call: somebody sees what goes in and out.
  bool is_watched() const { return hooked() && has_call_hooks(); }
  /// True iff hooks other than these, sorted by id, run around a call.
  bool is_watched_beyond(std::span<const uint64_t> ids) const;

  /// What the module computes. A layer of one tensor overrides the second, everything else the
  /// first; each calls the other by default. With neither: Error(not_implemented)
  /// `Module [Net] is missing the required "forward" function`.
  virtual Value forward(const Args& args);
  virtual Tensor forward(const Tensor& x);
  /// For chains: one of the above, whichever the module has.
  virtual Value forward(const Value& x);

  // Registration (module-spec 1.2). Errors: key ('parameter name can't contain "."', "attribute
  // 'x' already exists"), type, value (non-leaf parameter).
  /// `t` is a parameter(…) or undefined, which keeps the slot for None.
  Parameter register_parameter(const std::string& name, const Tensor& t);
  Buffer register_buffer(const std::string& name, const Tensor& t, bool persistent = true);
  template <class T>
  Child<T> register_module(const std::string& name, Ref<T> m) {
    return Child<T>(register_slot(name, std::move(m)));
  }
  /// register_module("fc1", nn::Linear(784, 128))
  template <std::derived_from<Module> T>
  Child<T> register_module(const std::string& name, T&& m) {
    return register_module(name, Ref<T>(std::forward<T>(m)));
  }
  void add_module(const std::string& name, Ref<Module> m) { register_slot(name, std::move(m)); }

  // Attributes by name, as Python's getattr, setattr and delattr treat them (1.3).
  /// Parameter, buffer or child; none for an empty slot. Throws Error(attribute).
  Value get_attribute(std::string_view name) const;
  /// A parameter displaces anything, a module displaces buffers, a plain tensor only replaces a
  /// buffer, none empties a slot. Throws Error(type) otherwise.
  void set_attribute(const std::string& name, const Value& value);
  /// set_attribute("fc1", nn::Linear(784, 128))
  template <std::derived_from<Module> T>
  void set_attribute(const std::string& name, T&& m) {
    set_attribute(name, Value(Ref<Module>(std::forward<T>(m))));
  }
  void delete_attribute(std::string_view name);
  /// True iff the name is a slot or one of PyTorch's names of members ("train", "type").
  bool has_attribute(std::string_view name) const;
  /// What Python's dir() lists for completion, sorted: members' names and slots that do not begin
  /// with a digit. Private names of Python's are left out.
  std::vector<std::string> dir() const;

  // Lookup by dotted path; "" is this module. Throw Error(attribute) with PyTorch's texts.
  Module& get_submodule(std::string_view path);
  const Module& get_submodule(std::string_view path) const;
  /// strict: the path must exist already. Throws Error(value) for "".
  void set_submodule(std::string_view path, Ref<Module> m, bool strict = false);
  Tensor get_parameter(std::string_view path) const;
  Tensor get_buffer(std::string_view path) const;
  /// Direct child or null.
  Module* child(std::string_view name) const;

  // Traversal: depth first, parents first, in order of registration; empty slots are skipped and
  // objects met before are not repeated (unless remove_duplicate is false).
  std::vector<Module*> children() const;
  NamedModules named_children() const;
  std::vector<Module*> modules();
  NamedModules named_modules(const std::string& prefix = "", bool remove_duplicate = true);
  Tensors parameters(bool recurse = true) const;
  NamedTensors named_parameters(const std::string& prefix = "", bool recurse = true,
                                bool remove_duplicate = true) const;
  Tensors buffers(bool recurse = true) const;
  NamedTensors named_buffers(const std::string& prefix = "", bool recurse = true,
                             bool remove_duplicate = true) const;
  /// The slots themselves, empty ones included.
  std::span<const Ref<TensorSlot>> parameter_slots() const { return parameters_; }
  std::span<const Ref<TensorSlot>> buffer_slots() const { return buffers_; }
  std::span<const Ref<ModuleSlot>> module_slots() const { return modules_; }
  /// Parameters and buffers of the class that are out of the registry, computed of others.
  std::span<const Ref<TensorSlot>> computed_slots() const { return computed_; }
  /// Takes one out of the registry. Its member of the class reads what `source` computes from then
  /// on; without a source, the value that is put into the slot.
  Ref<TensorSlot> make_computed(const std::string& name, Ref<TensorSource> source);
  /// Registers a computed one again, as that parameter or buffer.
  void end_computed(const std::string& name, const Tensor& value);

  // Modes and gradients.
  bool training() const { return training_; }
  virtual Module& train(bool mode = true);
  Module& eval() { return train(false); }
  Module& requires_grad_(bool on = true);
  void zero_grad(bool set_to_none = true);
  /// fn on every module, children first.
  Module& apply(const std::function<void(Module&)>& fn);

  // Conversion: parameters stay the same objects, buffers are replaced (1.7). Casts to a floating
  // type leave integer and bool tensors alone, `type` casts all of them.
  Module& to(DType dtype);    ///< Throws Error(type) for non-floating types.
  Module& to(Device device);  ///< Throws Error(not_implemented) out of meta, naming to_empty.
  Module& to(TensorOptions options);
  Module& to(const Tensor& other) { return to(other.options()); }  ///< its dtype and device
  Module& to_float() { return to(DType::f32); }
  Module& to_double() { return to(DType::f64); }
  Module& half() { return to(DType::f16); }
  Module& bfloat16() { return to(DType::bf16); }
  Module& type(DType dtype);
  Module& cpu() { return to(Device{}); }
  Module& cuda(int index = 0) { return to(Device{DeviceType::cuda, static_cast<int8_t>(index)}); }
  /// Uninitialised memory of the same shapes on a device: how a meta module becomes real.
  Module& to_empty(Device device, bool recurse = true);
  /// Moves the CPU tensors into memory that processes forked later share with this one.
  Module& share_memory();
  /// f on every parameter, its grad and every buffer, children first.
  Module& convert(const std::function<Tensor(const Tensor&)>& f, bool recurse = true);

  /// Draws the module's own parameters (not its children's) from the streams, by PyTorch's default
  /// rules. Layers call it in their constructors unless Construction::defer_init.
  virtual void reset_parameters(const Streams& streams);

  // State.
  /// keep_vars: the parameters themselves instead of aliases without history.
  StateDict state_dict(const std::string& prefix = "", bool keep_vars = false);
  void state_dict(StateDict& into, const std::string& prefix, bool keep_vars);
  /// Copies the values in (assign: installs the dict's own tensors). Throws Error(runtime) with
  /// PyTorch's report; what fitted has been copied then.
  IncompatibleKeys load_state_dict(const StateDict& state_dict, bool strict = true,
                                   bool assign = false);
  /// Own entries alone, without children.
  virtual void save_to_state_dict(StateDict& into, const std::string& prefix, bool keep_vars);
  virtual void load_from_state_dict(LoadContext& c);
  /// Version of the state's layout, kept in the dict's metadata.
  virtual int64_t version() const { return 1; }
  virtual bool has_extra_state() const { return false; }
  virtual Value get_extra_state() const;
  virtual void set_extra_state(const Value& state);

  // Text.
  /// The class's name, without namespaces.
  virtual std::string type_name() const;
  /// The arguments inside the parentheses of repr; several lines are possible.
  virtual std::string extra_repr() const { return {}; }
  /// As PyTorch prints it.
  virtual std::string repr() const;
  std::string value_repr() const override { return repr(); }
  std::string value_text() const override { return type_name(); }

  /// A copy of the object itself, which deepcopy asks for: layers have it, classes of your own say
  ///   Ref<Module> copied() const override { return make_ref<Net>(*this); }
  /// The copy constructor gives the copy its own slots, children and hooks, to which its Parameter
  /// and Child members then refer; other members are copied as C++ copies them.
  virtual Ref<Module> copied() const;

  // Hooks; see hooks.h for the shapes a callable may have.
  template <class F>
  RemovableHandle register_forward_pre_hook(F hook, HookOptions o = {}) {
    return hooks().forward_pre->add({detail::forward_pre_hook(std::move(hook))}, o.prepend);
  }
  template <class F>
  RemovableHandle register_forward_hook(F hook, HookOptions o = {}) {
    return hooks().forward->add({detail::forward_hook(std::move(hook)), o.always_call}, o.prepend);
  }
  template <class F>
  RemovableHandle register_full_backward_pre_hook(F hook, HookOptions o = {}) {
    return hooks().backward_pre->add(detail::gradient_hook<BackwardPreHook>(std::move(hook)),
                                     o.prepend);
  }
  /// Throws Error(runtime) if a non-full hook was ever registered here.
  template <class F>
  RemovableHandle register_full_backward_hook(F hook, HookOptions o = {}) {
    return add_backward_hook(detail::gradient_hook<BackwardHook>(std::move(hook)), true, o.prepend);
  }
  /// Deprecated: grad_input is that of the last node of forward alone.
  template <class F>
  RemovableHandle register_backward_hook(F hook) {
    return add_backward_hook(detail::gradient_hook<BackwardHook>(std::move(hook)), false, false);
  }
  RemovableHandle register_state_dict_pre_hook(StateDictPreHook h) {
    return hooks().state_dict_pre->add(std::move(h));
  }
  RemovableHandle register_state_dict_post_hook(StateDictPostHook h) {
    return hooks().state_dict_post->add(std::move(h));
  }
  RemovableHandle register_load_state_dict_pre_hook(LoadStateDictPreHook h) {
    return hooks().load_pre->add(std::move(h));
  }
  RemovableHandle register_load_state_dict_post_hook(LoadStateDictPostHook h) {
    return hooks().load_post->add(std::move(h));
  }

 protected:
  /// A new module moves into the tree that it becomes a part of, or with the std::vector that holds
  /// it. What kept its address (a lambda in its constructor) is left behind, and one that others
  /// hold is left empty: what takes it by value throws Error(runtime) then (check_movable).
  Module(Module&& m) noexcept;
  /// Serves deepcopy alone; elsewhere Error(type): a Net is no value.
  Module(const Module& other);
  /// PyTorch's names of the members a class adds to Module's, sorted.
  virtual std::span<const std::string_view> member_names() const { return {}; }
  /// The arguments of a call in the order of forward's signature, converted, defaults filled in.
  /// Throws BindError, in Python's words where they do not fit: "Net.forward() missing 1 required
  /// positional argument: 'x'".
  Values forward_args(const Signature& signature, const Args& args) const;
  /// The same for a forward of one argument, `input`.
  Value only_input(const Args& args) const;
  /// What forward returned as a tensor; Error(type) where it is none.
  Tensor output_tensor(const Value& output) const;
  /// Containers work on the slots directly: no checks, no registration hooks.
  std::vector<Ref<ModuleSlot>>& mutable_module_slots() { return modules_; }
  std::vector<Ref<TensorSlot>>& mutable_parameter_slots() { return parameters_; }

 private:
  ModuleHooks& hooks();
  Ref<Module> alive();
  /// Whether hooks may be there: false costs one branch, true is looked into by has_call_hooks.
  bool hooked() const { return hooks_ || detail::global_hooks_used; }
  bool has_call_hooks() const;
  Value call_hooked(const Args& args);
  void locate(Error& e) const;
  Ref<ModuleSlot> register_slot(const std::string& name, Ref<Module> m);
  Ref<ModuleSlot> put_module(const std::string& name, Ref<Module> m);
  RemovableHandle add_backward_hook(BackwardHook h, bool full, bool prepend);
  void load(StateDict& dict, const std::string& prefix, bool assign, IncompatibleKeys& keys,
            std::vector<std::string>& error_msgs);

  std::vector<Ref<TensorSlot>> parameters_, buffers_, computed_;
  std::vector<Ref<ModuleSlot>> modules_;
  Ref<ModuleHooks> hooks_;
  bool training_ = true;
  bool tensor_to_tensor_ = false;  ///< learnt in the first call: forward(const Tensor&) is its own
};

/// A child as a class member; reads the registry's slot, so that a replaced child is seen. Calls
/// work with any module; `->` needs a T there and throws Error(type) otherwise.
template <class T = Module>
class Child {
 public:
  Child() = default;
  explicit Child(Ref<ModuleSlot> slot) : slot_(std::move(slot)) {}
  Child(const Child& o) : slot_(detail::copied_slot(o.slot_)) {}
  Child(Child&&) noexcept = default;
  /// A child of a class is one of its bases': Child<> act = register_module("act", nn::ReLU());
  template <class U>
  requires(std::derived_from<U, T> && !std::same_as<U, T>)  //
      Child(const Child<U>& o)
      : slot_(detail::copied_slot(o.slot_)) {}
  Child& operator=(Child o) noexcept {
    slot_ = std::move(o.slot_);
    return *this;
  }
  template <class... A>
  decltype(auto) operator()(const A&... args) const {
    // A hook deeper down may replace the very module that is called.
    const Ref<Module> keep(&module());
    return (*keep)(args...);
  }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }
  T* get() const {
    if constexpr (std::is_same_v<T, Module>) return &module();
    else {
      T* m = dynamic_cast<T*>(&module());
      if (!m) wrong_type();
      return m;
    }
  }
  explicit operator bool() const { return slot_ && slot_->value; }
  Ref<Module> ref() const { return slot_ ? slot_->value : Ref<Module>(); }
  /// The child's, or "None".
  std::string repr() const { return Value(ref()).repr(); }

 private:
  template <class U>
  friend class Child;
  Module& module() const {
    if (!slot_ || !slot_->value) [[unlikely]]
      wrong_type();
    return *slot_->value;
  }
  [[noreturn]] void wrong_type() const {
    fail(ErrorKind::type, "child module '{}' {}", slot_ ? slot_->name : "",
         slot_ && slot_->value ? "was replaced by a " + slot_->value->type_name() : "is None");
  }
  Ref<ModuleSlot> slot_;
};

namespace detail {
Ref<Module> deepcopy(const Module& m, const std::function<Ref<Module>()>& copied);
}  // namespace detail

/// copy.deepcopy(m): the same structure with tensors of its own. What is shared inside (a module
/// under two names, a tied parameter, memory that buffers view) stays shared in the copy; hooks are
/// copied, and removing one by its handle leaves the copy's alone. Gradients of parameters are not
/// copied. The type given needs a copy constructor, modules inside a `copied` of their own: Error
/// (not_implemented) names the class that has none, Error(runtime) buffers that are no leaves.
template <class T>
Ref<T> deepcopy(const T& m) {
  std::function<Ref<Module>()> copied;
  if constexpr (std::is_copy_constructible_v<T>) {
    if (typeid(m) == typeid(T)) copied = [&m] { return Ref<Module>(make_ref<T>(m)); };
  }
  return Ref<T>(static_cast<T*>(detail::deepcopy(m, copied).get()));
}

template <class T>
Ref<T> deepcopy(const Ref<T>& m) {
  return deepcopy(*m);
}

/// A reference to any class of modules goes into a Value as a module.
template <class T>
requires(std::is_base_of_v<Module, T> && !std::is_same_v<Module, T>) struct ValueHandle<Ref<T>> {
  static constexpr Value::Kind kind = Value::Kind::module;
  static Object* get(const Ref<T>& m) { return m.get(); }
};

/// `_modules` as Python prints it: {'fc1': Linear(in_features=784, …), 'act': None}
std::string str(std::span<const Ref<ModuleSlot>> modules);

inline Object* ValueHandle<Ref<Module>>::get(const Ref<Module>& m) { return m.get(); }
inline Ref<Module> ValueHandle<Ref<Module>>::make(Object* o) {
  return Ref<Module>(static_cast<Module*>(o));
}

}  // namespace nnm
