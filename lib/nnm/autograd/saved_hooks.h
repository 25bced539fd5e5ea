// What the tape keeps of tensors in place of the tensors themselves (torch.autograd.graph's hooks
// for saved tensors), and hooks over several tensors.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// torch.autograd.graph.saved_tensors_hooks: while it lives, on this thread, what operations save
/// for backward goes through `pack`, and backward gets what `unpack` makes of the result, each time
/// it asks. Only the innermost pair applies. Throws Error(runtime) with the message of a
/// DisableSavedTensorsHooks around it; so do operations into whose tensor `pack` writes.
///   SavedTensorsHooks half([](const Tensor& t) { return Value(to(t, DType::bf16)); },
///                          [](const Value& v) { return to(v.as<Tensor>(), DType::f32); });
class SavedTensorsHooks {
 public:
  using Pack = std::function<Value(const Tensor&)>;
  using Unpack = std::function<Tensor(const Value&)>;
  SavedTensorsHooks(Pack pack, Unpack unpack);
  ~SavedTensorsHooks();
  SavedTensorsHooks(const SavedTensorsHooks&) = delete;
};

/// torch.autograd.graph.disable_saved_tensors_hooks: SavedTensorsHooks are refused with the message
/// while it lives, on this thread. Throws Error(runtime) where some are in force.
class DisableSavedTensorsHooks {
 public:
  explicit DisableSavedTensorsHooks(std::string message);
  ~DisableSavedTensorsHooks();
  DisableSavedTensorsHooks(const DisableSavedTensorsHooks&) = delete;

 private:
  std::string before_;
};

namespace detail {
/// What the hooks in force make of t; null without hooks.
Ref<Object> pack(const Tensor& t);
Tensor unpack(const Object& packed);
}  // namespace detail

/// torch.autograd.graph.register_multi_grad_hook(mode="all"): once per backward, when the gradients
/// of all tensors that take part have been computed, fn is called with them, undefined for those
/// that take no part. Throws Error(assertion) "Expected gradient function to be set" where a tensor
/// requires no grad; no hook is left behind then.
RemovableHandle register_multi_grad_hook(const Tensors& tensors,
                                         std::function<void(const Tensors&)> fn);
/// The same with mode="any": called with the first gradient of each backward. Tensors that require
/// no grad are passed over.
RemovableHandle register_multi_grad_hook_any(const Tensors& tensors,
                                             std::function<void(const Tensor&)> fn);

namespace detail {
void check_multi_grad_mode(std::string_view mode);
}  // namespace detail

/// The mode by name, for an fn of both shapes or of the mode's: (const Tensors&) for "all",
/// (const Tensor&) for "any". Throws Error(value) for another mode, Error(type) for another shape.
template <class F>
RemovableHandle register_multi_grad_hook(const Tensors& tensors, F fn, std::string_view mode) {
  detail::check_multi_grad_mode(mode);
  if (mode == "all") {
    if constexpr (std::is_invocable_v<F&, const Tensors&>)
      return register_multi_grad_hook(tensors, std::function<void(const Tensors&)>(std::move(fn)));
  } else if constexpr (std::is_invocable_v<F&, const Tensor&>) {
    return register_multi_grad_hook_any(tensors, std::move(fn));
  }
  fail(ErrorKind::type, "a multi-grad hook of mode '{}' takes {}", mode,
       mode == "all" ? "const Tensors&" : "const Tensor&");
}

}  // namespace nnm
