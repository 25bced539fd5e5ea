// The process-wide hooks, and warnings that are said once.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "nnm/base/warn_once.h"
#include "nnm/nn/hooks.h"

namespace nnm {

struct GlobalHooks {
  Ref<HookList<ForwardPreEntry>> forward_pre = make_ref<HookList<ForwardPreEntry>>();
  Ref<HookList<ForwardEntry>> forward = make_ref<HookList<ForwardEntry>>();
  Ref<HookList<BackwardPreHook>> backward_pre = make_ref<HookList<BackwardPreHook>>();
  Ref<HookList<BackwardHook>> backward = make_ref<HookList<BackwardHook>>();
  Ref<HookList<RegistrationHook>> buffer = make_ref<HookList<RegistrationHook>>();
  Ref<HookList<RegistrationHook>> module = make_ref<HookList<RegistrationHook>>();
  Ref<HookList<RegistrationHook>> parameter = make_ref<HookList<RegistrationHook>>();
  /// Whether `backward` holds full hooks; kept once set, as PyTorch does.
  std::optional<bool> full_backward;

  bool any_call_hooks() const {
    return !(forward_pre->empty() && forward->empty() && backward_pre->empty() &&
             backward->empty());
  }
};
GlobalHooks& global_hooks();

/// Whether all hooks of the list are of these, sorted by id.
template <class Entry>
bool all_within(const HookList<Entry>& list, std::span<const uint64_t> ids) {
  const auto items = list.snapshot();
  return !items || std::all_of(items->begin(), items->end(), [&](const auto& i) {
    return std::binary_search(ids.begin(), ids.end(), i.id);
  });
}

/// Whatever the registration hooks of `list` make of the value.
Value run_registration_hooks(const HookList<RegistrationHook>& list, Module& m,
                             const std::string& name, Value value);

}  // namespace nnm
