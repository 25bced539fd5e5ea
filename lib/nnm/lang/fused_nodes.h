// Calls that one pass over an image does together where nobody could tell: a convolution, then
// what there is of a batch norm, an addition and a relu. Everywhere else (gradients recorded,
// hooks, checks) the calls run as they are written.
#pragma once

#include <memory>

#include "nnm/lang/compiled_nodes.h"
#include "nnm/lang/forward_steps.h"
#include "nnm/nn/layers/fused.h"

namespace nnm::lang {

/// `x |> conv |> norm |> relu`, of which norm or relu may be missing.
class FusedNode final : public Node {
 public:
  struct Layers {
    Ref<ModuleSlot> conv, norm, relu;
    bool relu_function = false;
  };
  /// `plain` are the calls as they are written; `body` the same calls on what `slot` holds.
  FusedNode(NodeRef plain, NodeRef body, NodeRef input, int slot, Layers layers)
      : Node(plain->span),
        plain_(std::move(plain)),
        body_(std::move(body)),
        input_(std::move(input)),
        slot_(slot),
        layers_(std::move(layers)) {}
  Value eval(Frame& f) const override;

  bool possible(const Frame& f) const;
  /// Puts the input into its slot, for one of the next two.
  void take_input(Frame& f) const { f.slots[slot_] = input_->eval(f); }
  /// The result in one pass, with an addition and a relu if asked for; undefined where the tensors
  /// are not for it.
  Tensor run(Frame& f, const Tensor& addend, bool relu) const;
  /// The result by the calls as they are written.
  Value run_calls(Frame& f) const;

  const Layers& layers() const { return layers_; }
  bool has_relu() const { return layers_.relu || layers_.relu_function; }
  const NodeRef& input() const { return input_; }
  const NodeRef& body() const { return body_; }
  int slot() const { return slot_; }

 private:
  nn::FusedCall call() const;

  NodeRef plain_, body_, input_;
  int slot_;
  Layers layers_;
};
using FusedRef = std::shared_ptr<const FusedNode>;

/// The call with as much as can be done in one pass with it, or the call itself. `new_slot` gives a
/// slot where one is needed.
NodeRef with_fusion(const NodeRef& call, const std::function<int()>& new_slot);

/// y = x |> conv |> norm, which the `return relu(y + …)` that follows does with its addition.
class DeferredStep final : public Step {
 public:
  DeferredStep(std::unique_ptr<const Step> plain, FusedRef value, int slot)
      : plain_(std::move(plain)), value_(std::move(value)), slot_(slot) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override { return plain_->fail(f); }

 private:
  std::unique_ptr<const Step> plain_;
  FusedRef value_;
  int slot_;
};

/// relu(y + addend) or relu(addend + y) after the DeferredStep of y.
class FusedSumNode final : public Node {
 public:
  /// `body` is `plain` with what `addend_slot` holds for the addend.
  FusedSumNode(NodeRef plain, NodeRef body, FusedRef value, int slot, NodeRef addend,
               int addend_slot)
      : Node(plain->span),
        plain_(std::move(plain)),
        body_(std::move(body)),
        addend_(std::move(addend)),
        value_(std::move(value)),
        slot_(slot),
        addend_slot_(addend_slot) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef plain_, body_, addend_;
  FusedRef value_;
  int slot_, addend_slot_;
};

/// Where the last of the steps before a `return` is `y = x |> conv |> norm`, and what it returns
/// relu(y + …), lets one pass do both: behind it nothing reads y.
void fuse_return(NodeRef& value, Steps& before, const std::function<int()>& new_slot);

}  // namespace nnm::lang
