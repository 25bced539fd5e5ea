// What the tape keeps of tensors in place of the tensors themselves (torch.autograd.graph's hooks
// for saved tensors), and hooks over several tensors.
#pragma once

#include <functional>
#include <string>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// torch.autograd.graph.saved_tensors_hooks: while it lives, on this thread, what operations save
/// for backward goes through `pack`, and backward gets what `unpack` makes of the result, each time
/// it asks. Only the innermost pair applies. Throws Error(runtime) with the message of a
/// DisableSavedTensorsHooks around it.
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
/// that take no part. Throws Error(runtime) for tensors that require no grad.
RemovableHandle register_multi_grad_hook(const Tensors& tensors,
                                         std::function<void(const Tensors&)> fn);
/// The same with mode="any": called with the first gradient of each backward.
RemovableHandle register_multi_grad_hook_any(const Tensors& tensors,
                                             std::function<void(const Tensor&)> fn);

}  // namespace nnm
