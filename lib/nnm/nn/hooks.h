// Hooks of modules: their kinds, how callables of several shapes become one, the global ones.
//
// The semantics are PyTorch's (torch/nn/modules/module.py, torch/utils/hooks.py): global hooks run
// before a module's own, each kind in registration order (prepend: to the front); a hook's result
// replaces what the next one and the caller see; lists are snapshots taken when the call reaches
// that kind; backward hooks are bound to a call when it begins.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>

#include "nnm/base/handle.h"
#include "nnm/nn/state_dict.h"

namespace nnm {

class Module;

/// Before forward: new arguments, or nothing. Keywords may be edited in place.
using ForwardPreHook = std::function<std::optional<Args>(Module&, Args&)>;
/// After forward: a new output, or none.
using ForwardHook = std::function<Value(Module&, const Args&, const Value& output)>;
/// Before the module's backward: new gradients of the outputs, as many as came, or nothing.
/// Entries of non-tensors and absent gradients are undefined.
using BackwardPreHook = std::function<std::optional<Tensors>(Module&, const Tensors& grad_output)>;
/// After the module's backward: new gradients of the positional inputs, or nothing.
using BackwardHook = std::function<std::optional<Tensors>(Module&, const Tensors& grad_input,
                                                          const Tensors& grad_output)>;
using StateDictPreHook = std::function<void(Module&, const std::string& prefix, bool keep_vars)>;
using StateDictPostHook = std::function<void(Module&, StateDict&, const std::string& prefix)>;
using LoadStateDictPreHook = std::function<void(Module&, LoadContext&)>;
using LoadStateDictPostHook = std::function<void(Module&, IncompatibleKeys&)>;

struct ForwardPreEntry {
  ForwardPreHook fn;
};
struct ForwardEntry {
  ForwardHook fn;
  bool always_call = false;
};

/// All hooks of one module; made when the first is registered. Calls under way hold it, and learn
/// from it whether the module still is.
struct ModuleHooks : Object {
  explicit ModuleHooks(Module* of) : owner(of) {}
  /// The module has died: so do its hooks, however long handles live.
  void abandon();
  void copy_from(const ModuleHooks& o);

  Module* owner;
  Ref<HookList<ForwardPreEntry>> forward_pre = make_ref<HookList<ForwardPreEntry>>();
  Ref<HookList<ForwardEntry>> forward = make_ref<HookList<ForwardEntry>>();
  Ref<HookList<BackwardPreHook>> backward_pre = make_ref<HookList<BackwardPreHook>>();
  Ref<HookList<BackwardHook>> backward = make_ref<HookList<BackwardHook>>();
  Ref<HookList<StateDictPreHook>> state_dict_pre = make_ref<HookList<StateDictPreHook>>();
  Ref<HookList<StateDictPostHook>> state_dict_post = make_ref<HookList<StateDictPostHook>>();
  Ref<HookList<LoadStateDictPreHook>> load_pre = make_ref<HookList<LoadStateDictPreHook>>();
  Ref<HookList<LoadStateDictPostHook>> load_post = make_ref<HookList<LoadStateDictPostHook>>();
  /// Whether `backward` holds full hooks; set by the first one and kept, as PyTorch does.
  std::optional<bool> full_backward;
};

namespace detail {

/// Set by the first global call hook and kept: the one word a call without hooks reads.
extern bool global_hooks_used;

template <class>
inline constexpr bool kNever = false;

/// The only argument of a call. Throws Error(type) where there are more, or it is no tensor.
Tensor only_tensor(const Args& args);

inline Args replaced(Values pos, const Args& old) { return {std::move(pos), old.kw}; }

/// The result of a pre-hook that takes keywords: none, or a tuple of new arguments and keywords;
/// Error(runtime) otherwise.
std::optional<Args> new_arguments(const Value& result);

/// Accepts (m, args) and (m, args, kwargs), by const Values& and Items&, (m, Args&), and (m, x) for
/// modules of one tensor.
/// Results: nothing, Values, Args or an optional of them, or one tensor or value. The last is,
/// without keywords, the only new argument, or as a tuple all of them; with keywords it must be a
/// tuple of (args, kwargs), as PyTorch has it.
template <class F>
ForwardPreHook forward_pre_hook(F f) {
  constexpr bool kKeywords = std::is_invocable_v<F&, Module&, const Values&, Items&>;
  auto finish = [](auto r, Args& a) -> std::optional<Args> {
    using R = std::decay_t<decltype(r)>;
    if constexpr (std::is_same_v<R, std::optional<Args>>) return r;
    else if constexpr (std::is_same_v<R, Args>) return std::move(r);
    else if constexpr (std::is_same_v<R, Values>) return replaced(std::move(r), a);
    else if constexpr (kKeywords) return new_arguments(Value(r));
    else {
      const Value v(r);
      if (v.is_none()) return std::nullopt;
      return replaced(v.is(Value::Kind::tuple) ? v.items() : Values{v}, a);
    }
  };
  auto run = [finish](auto&& call, Args& a) -> std::optional<Args> {
    if constexpr (std::is_void_v<decltype(call())>) {
      call();
      return std::nullopt;
    } else {
      return finish(call(), a);
    }
  };
  return [f = std::move(f), run](Module& m, Args& a) mutable -> std::optional<Args> {
    if constexpr (kKeywords) {
      return run([&] { return f(m, a.pos, a.kw); }, a);
    } else if constexpr (std::is_invocable_v<F&, Module&, const Values&>) {
      return run([&] { return f(m, std::as_const(a.pos)); }, a);
    } else if constexpr (std::is_invocable_v<F&, Module&, const Tensor&>) {
      return run([&] { return f(m, only_tensor(a)); }, a);
    } else {
      static_assert(
          std::is_invocable_v<F&, Module&, Args&>,
          "a forward pre-hook takes (Module&, const Values&[, Items&]) or (Module&, Args&)");
      return run([&] { return f(m, a); }, a);
    }
  };
}

/// Accepts (m, args, out), (m, args, kwargs, out), and with tensors in the place of args and out
/// (m, x, y) and (m, args, y) for modules that take or return one.
/// Results: nothing, a tensor or a value, or an optional of them.
template <class F>
ForwardHook forward_hook(F f) {
  auto run = [](auto&& call) -> Value {
    if constexpr (std::is_void_v<decltype(call())>) {
      call();
      return {};
    } else if constexpr (requires { call().has_value(); }) {
      auto replaced = call();
      return replaced ? Value(std::move(*replaced)) : Value();
    } else {
      return Value(call());
    }
  };
  return [f = std::move(f), run](Module& m, const Args& a, const Value& out) mutable -> Value {
    if constexpr (std::is_invocable_v<F&, Module&, const Values&, const Items&, const Value&>) {
      return run([&] { return f(m, a.pos, a.kw, out); });
    } else if constexpr (std::is_invocable_v<F&, Module&, const Values&, const Value&>) {
      return run([&] { return f(m, a.pos, out); });
    } else if constexpr (std::is_invocable_v<F&, Module&, const Values&, const Tensor&>) {
      return run([&] { return f(m, a.pos, out.as<Tensor>()); });
    } else if constexpr (std::is_invocable_v<F&, Module&, const Tensor&, const Tensor&>) {
      return run([&] { return f(m, only_tensor(a), out.as<Tensor>()); });
    } else {
      static_assert(std::is_invocable_v<F&, Module&, const Args&, const Value&>,
                    "a forward hook takes (Module&, const Values&[, const Items&], const Value&)");
      return run([&] { return f(m, a, out); });
    }
  };
}

/// Hooks that return nothing become ones that return no replacement.
template <class Fn, class F>
Fn gradient_hook(F f) {
  if constexpr (std::is_constructible_v<Fn, F>) return Fn(std::move(f));
  else
    return [f = std::move(f)](auto&&... a) mutable -> std::optional<Tensors> {
      static_assert(std::is_void_v<decltype(f(a...))>,
                    "a backward hook returns nothing or Tensors, one for each gradient: "
                    "`return Tensors{g};`");
      f(a...);
      return std::nullopt;
    };
}

RemovableHandle add_global(ForwardPreEntry e);
RemovableHandle add_global(ForwardEntry e);
RemovableHandle add_global_backward_pre(BackwardPreHook h);
RemovableHandle add_global_backward(BackwardHook h, bool full);

}  // namespace detail

struct HookOptions {
  bool prepend = false;      ///< run before those registered earlier (local hooks only)
  bool always_call = false;  ///< forward hooks: run even if the call fails
};

/// Hooks on every module of the process.
template <class F>
RemovableHandle register_module_forward_pre_hook(F hook) {
  return detail::add_global(ForwardPreEntry{detail::forward_pre_hook(std::move(hook))});
}
template <class F>
RemovableHandle register_module_forward_hook(F hook, bool always_call = false) {
  return detail::add_global(ForwardEntry{detail::forward_hook(std::move(hook)), always_call});
}
template <class F>
RemovableHandle register_module_full_backward_pre_hook(F hook) {
  return detail::add_global_backward_pre(detail::gradient_hook<BackwardPreHook>(std::move(hook)));
}
/// Throws Error(runtime) where non-full global hooks have ever been registered.
template <class F>
RemovableHandle register_module_full_backward_hook(F hook) {
  return detail::add_global_backward(detail::gradient_hook<BackwardHook>(std::move(hook)), true);
}
/// Deprecated: sees the last node of forward alone. Throws Error(runtime) where full global hooks
/// have ever been registered.
template <class F>
RemovableHandle register_module_backward_hook(F hook) {
  return detail::add_global_backward(detail::gradient_hook<BackwardHook>(std::move(hook)), false);
}

/// On registration of a buffer, child or parameter anywhere: a value other than none replaces it.
using RegistrationHook = std::function<Value(Module&, const std::string& name, const Value&)>;
RemovableHandle register_module_buffer_registration_hook(RegistrationHook hook);
RemovableHandle register_module_module_registration_hook(RegistrationHook hook);
RemovableHandle register_module_parameter_registration_hook(RegistrationHook hook);

}  // namespace nnm
