// Changes: the hooks of a config at work on a model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nnm/trace/hook_config.h"

namespace nnm::tracing {

/// Registers each hook with PyTorch's semantics for its kind, and removes them when it goes.
class Changes {
 public:
  /// Throws DiagnosticError where selectors match nothing, with the nearest names, unless
  /// `optional`; no hook is left on the model then.
  Changes(Module& root, std::vector<ChangeHook> hooks);
  ~Changes();
  Changes(const Changes&) = delete;

  /// The step that follows, 0 for the first: what `when` counts. `call` counts within each call of
  /// the root.
  void begin_step(int64_t step) { step_ = step; }
  /// Names of the hooks that never fired.
  std::vector<std::string> silent() const;
  size_t size() const { return hooks_.size(); }

 private:
  struct Live;

  void attach(Module& root, Live& h, Diagnostics& unmatched);
  void attach_module(Live& h, HookKind kind, Module& m);
  void attach_tensor(Live& h, Module& m);
  void attach_parameter(Live& h, const Tensor& p);

  Module& root_;
  std::vector<std::unique_ptr<Live>> hooks_;
  std::vector<RemovableHandle> handles_;
  int64_t step_ = 0;
};

}  // namespace nnm::tracing
