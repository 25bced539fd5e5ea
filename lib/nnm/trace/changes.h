// Changes: the hooks of a config that give new values, at work on a model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nnm/trace/hook_config.h"

namespace nnm::tracing {

struct Targets;
struct Calls;

/// Registers each hook with PyTorch's semantics for its kind, and removes them when it goes.
class Changes {
 public:
  explicit Changes(Module& root);
  ~Changes();
  Changes(const Changes&) = delete;

  /// After those that are there. Adds an error to `d` where its selector matches nothing, with the
  /// nearest names, unless `optional`.
  void add(const ChangeHook& hook, Diagnostics& d);
  /// The root is about to be called in this step, 0 for the first: what `when` counts. `call`
  /// counts within each call of the root.
  void begin(int64_t step);
  /// What expressions see of the batch, by the names of fields.
  void see_fields(const std::vector<std::string>& names, const Values& values);
  /// How often each hook changed something, in the order in which they were added.
  std::vector<int64_t> fired() const;
  /// For each hook whether it is due in this step; nothing where one is that must be called: a GPU
  /// does not read files again. `accumulates`: a gradient is complete after several backwards.
  std::optional<std::vector<bool>> repeats(int64_t step, bool training, bool accumulates) const;
  /// Counts as `fired` what is done again without calling them.
  void repeat(const std::vector<int64_t>& times);
  void ids(std::vector<uint64_t>& out) const;

 private:
  struct Live;

  void attach(Live& h, HookKind kind, const Targets& targets);
  void attach_forward_pre(Live& h, Module& m);
  void attach_forward(Live& h, Module& m);
  void attach_backward(Live& h, HookKind kind, Module& m);
  void attach_tensor(Live& h, Module& m, bool of_input);
  void attach_parameter(Live& h, HookKind kind, const Tensor& p);
  Calls& new_calls();

  Module& root_;
  std::vector<std::unique_ptr<Live>> hooks_;
  std::vector<std::unique_ptr<Calls>> calls_;
  std::vector<RemovableHandle> handles_;
  int64_t step_ = 0;
};

}  // namespace nnm::tracing
