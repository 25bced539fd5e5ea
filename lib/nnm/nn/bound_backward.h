// BoundBackward: how one call's backward hooks stand on the tape (torch.utils.hooks.BackwardHook).
#pragma once

#include <optional>
#include <vector>

#include "nnm/autograd/node.h"
#include "nnm/nn/hooks.h"

namespace nnm {

/// The module that hooks of a backward are called with: kept alive where references count it; one
/// on the stack may have gone by then, which `get` notices.
class HookedModule {
 public:
  explicit HookedModule(Ref<ModuleHooks> hooks);
  ~HookedModule();
  HookedModule(const HookedModule&);
  /// Throws Error(runtime) where the module is no more.
  Module& get() const;

 private:
  Ref<ModuleHooks> hooks_;
  Ref<Module> keep_;
};

/// Makes a call the one that hooked_call() tells, as long as it lives.
class HooksOfCall {
 public:
  explicit HooksOfCall(uint64_t call);
  ~HooksOfCall();
  HooksOfCall(const HooksOfCall&) = delete;

 private:
  const uint64_t before_;
};

/// The hooks bound to one call. Two identity nodes share it: one over all positional tensors, one
/// over the top-level tensors of the output. The second node's backward sees grad_output and runs
/// the pre-hooks; the first one's sees grad_input and runs the hooks.
class BoundBackward final : public Object {
 public:
  using Pre = HookList<BackwardPreHook>::Snapshot;
  using Full = HookList<BackwardHook>::Snapshot;

  /// Of the call with this number (onlooker.h). Snapshots may be null; the global ones come first.
  BoundBackward(const Ref<ModuleHooks>& hooks, uint64_t call, std::vector<Pre> pre,
                std::vector<Full> full);
  ~BoundBackward() override;

  /// Puts the tensors among the arguments behind the node of the inputs, where one of them requires
  /// grad.
  void wrap_inputs(Values& args);
  /// The output with its tensors behind the node of the outputs.
  Value wrap_output(const Value& output);

 private:
  class Identity;
  struct Side {
    size_t size = 0;                           // values there were, tensors or not
    std::optional<std::vector<size_t>> index;  // of the tensors; none: no node was made
  };

  bool looks_on() const;
  bool wrap(Values& values, Side& side, bool output);
  void output_backward(std::span<const InputMeta> metas, std::span<Tensor> grads,
                       std::span<Tensor> out);
  void input_backward(std::span<const InputMeta> metas, std::span<Tensor> grads,
                      std::span<Tensor> out);
  void run_without_inputs();

  const HookedModule module_;
  const uint64_t call_;
  std::vector<Pre> pre_;
  std::vector<Full> full_;
  Side inputs_, outputs_;
  std::optional<Tensors> grad_output_;  // between the two nodes' backwards
};

}  // namespace nnm
