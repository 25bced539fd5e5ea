// Global hooks and the registration of backward hooks.
#include "nnm/nn/hooks.h"

#include "nnm/nn/hooks_detail.h"
#include "nnm/nn/module.h"

namespace nnm {

GlobalHooks& global_hooks() {
  // Never destroyed: handles and modules of other static objects may outlive it.
  static auto* hooks = new GlobalHooks;
  return *hooks;
}

Value run_registration_hooks(const HookList<RegistrationHook>& list, Module& m,
                             const std::string& name, Value value) {
  if (const auto snapshot = list.snapshot()) {
    for (const auto& item : *snapshot) {
      if (Value replaced = item.hook(m, name, value); !replaced.is_none()) value = replaced;
    }
  }
  return value;
}

namespace detail {

Tensor only_tensor(const Args& args) {
  NNM_CHECK(args.pos.size() + args.kw.size() == 1, type,
            "a hook of (Module&, const Tensor&) meets a call of {} arguments; (Module&, const "
            "Values&, Items&) takes them all",
            args.pos.size() + args.kw.size());
  return (args.pos.empty() ? args.kw[0].second : args.pos[0]).as<Tensor>();
}

bool global_hooks_used = false;

std::optional<Args> new_arguments(const Value& result) {
  if (result.is_none()) return std::nullopt;
  const bool pair = result.is(Value::Kind::tuple) && result.items().size() == 2;
  NNM_CHECK(pair, runtime,
            "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {}.",
            result.str());
  const Value &pos = result.items()[0], &kw = result.items()[1];
  NNM_CHECK(pos.is_sequence() && kw.is(Value::Kind::dict), type,
            "the new arguments of a forward pre-hook must be a tuple and a dict, not {} and {}",
            pos.type_name(), kw.type_name());
  return Args{pos.items(), kw.entries()};
}

RemovableHandle add_global(ForwardPreEntry e) {
  global_hooks_used = true;
  return global_hooks().forward_pre->add(std::move(e));
}

RemovableHandle add_global(ForwardEntry e) {
  global_hooks_used = true;
  return global_hooks().forward->add(std::move(e));
}

RemovableHandle add_global_backward_pre(BackwardPreHook h) {
  global_hooks_used = true;
  return global_hooks().backward_pre->add(std::move(h));
}

RemovableHandle add_global_backward(BackwardHook h, bool full) {
  GlobalHooks& g = global_hooks();
  NNM_CHECK(g.full_backward.value_or(full) == full, runtime,
            "Cannot use both regular backward hooks and full backward hooks as a global Module "
            "hook. Please use only one of them.");
  g.full_backward = full;
  global_hooks_used = true;
  return g.backward->add(std::move(h));
}

}  // namespace detail

RemovableHandle register_module_buffer_registration_hook(RegistrationHook hook) {
  return global_hooks().buffer->add(std::move(hook));
}

RemovableHandle register_module_module_registration_hook(RegistrationHook hook) {
  return global_hooks().module->add(std::move(hook));
}

RemovableHandle register_module_parameter_registration_hook(RegistrationHook hook) {
  return global_hooks().parameter->add(std::move(hook));
}

void ModuleHooks::abandon() {
  owner = nullptr;
  forward_pre->clear();
  forward->clear();
  backward_pre->clear();
  backward->clear();
  state_dict_pre->clear();
  state_dict_post->clear();
  load_pre->clear();
  load_post->clear();
}

void ModuleHooks::copy_from(const ModuleHooks& o) {
  forward_pre->copy_from(*o.forward_pre);
  forward->copy_from(*o.forward);
  backward_pre->copy_from(*o.backward_pre);
  backward->copy_from(*o.backward);
  state_dict_pre->copy_from(*o.state_dict_pre);
  state_dict_post->copy_from(*o.state_dict_post);
  load_pre->copy_from(*o.load_pre);
  load_post->copy_from(*o.load_post);
  full_backward = o.full_backward;
}

ModuleHooks& Module::hooks() {
  if (!hooks_) hooks_ = make_ref<ModuleHooks>(this);
  return *hooks_;
}

RemovableHandle Module::add_backward_hook(BackwardHook h, bool full, bool prepend) {
  ModuleHooks& own = hooks();
  NNM_CHECK(own.full_backward.value_or(full) == full, runtime,
            "Cannot use both regular backward hooks and full backward hooks on a single Module. "
            "Please use only one of them.");
  own.full_backward = full;
  return own.backward->add(std::move(h), prepend);
}

}  // namespace nnm
