// Node: one recorded operation of the tape, and what surrounds it when backward runs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm {

/// Where a gradient goes: input `input_nr` of `node` is output `input_nr` of its forward op.
struct Edge {
  Ref<Node> node;
  uint32_t input_nr = 0;
};

/// A few elements in place, more on the heap.
template <class T, size_t N>
class SmallVector {
 public:
  SmallVector() = default;
  explicit SmallVector(size_t n) : size_(n) {
    if (n > N) heap_.resize(n);
  }
  size_t size() const { return size_; }
  T* data() { return size_ > N ? heap_.data() : inline_; }
  const T* data() const { return size_ > N ? heap_.data() : inline_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

 private:
  T inline_[N] = {};
  std::vector<T> heap_;
  size_t size_ = 0;
};

/// Shape and type of one output of the forward op: what its gradient must look like.
struct InputMeta {
  Shape sizes;
  DType dtype = DType::f32;
  Device device;
};

using NodePreHook = std::function<std::optional<Tensors>(const Tensors& grad_outputs)>;
using NodePostHook =
    std::function<std::optional<Tensors>(const Tensors& grad_inputs, const Tensors& grad_outputs)>;

/// Hooks of one node, in the engine's order: tensor hooks of each output, retain_grad, pre-hooks,
/// (the node), post-accumulate hooks of a leaf, post-hooks.
struct NodeHooks {
  struct TensorPre {
    uint32_t output_nr;
    TensorHook fn;
    std::string name;
  };
  struct Pre {
    NodePreHook fn;
    std::string name;
  };
  struct Post {
    NodePostHook fn;
    std::string name;
  };
  NodeHooks() = default;
  NodeHooks(const NodeHooks&) = delete;
  /// Hooks die with their node, however long handles live.
  ~NodeHooks();

  Ref<HookList<TensorPre>> tensor_pre;
  Ref<HookList<Pre>> pre;
  Ref<HookList<Post>> post;
  Ref<HookList<std::function<void(const Tensor&)>>> post_accumulate;
  /// Tensors whose .grad is to receive the gradient of an output: weak, cleared by their death.
  std::vector<std::pair<uint32_t, TensorImpl*>> retain_grad;
};

class Node : public Object, public Pooled {
 public:
  Node(const char* name, size_t forward_outputs, size_t forward_inputs);
  ~Node() override;

  /// Gradients w.r.t. the forward op's inputs from those w.r.t. its outputs. An undefined tensor is
  /// a zero gradient. `grad_inputs[i]` need only be set where `needs(i)`.
  virtual void apply(std::span<Tensor> grad_outputs, std::span<Tensor> grad_inputs) = 0;
  /// Drops saved tensors after a backward without retain_graph.
  virtual void release_saved() {}
  /// Whether apply is called where no gradient has arrived at all, as PyTorch calls custom
  /// functions; others then have none to give. Hooks run either way.
  virtual bool runs_without_gradient() const { return false; }

  /// True iff the gradient w.r.t. forward input i is wanted.
  bool needs(size_t i) const { return next[i].node != nullptr; }
  /// torch.autograd.graph.Node.register_prehook: fn(grad_outputs) before the node runs; as many
  /// tensors as came replace them. `hook_name` is what errors call it.
  RemovableHandle register_prehook(NodePreHook fn, std::string hook_name = "<unknown>");
  /// Node.register_hook: fn(grad_inputs, grad_outputs) after it; the result replaces grad_inputs.
  RemovableHandle register_hook(NodePostHook fn, std::string hook_name = "<unknown>");
  NodeHooks& hooks();  ///< made on first use
  bool has_hooks() const { return hooks_ != nullptr; }

  const char* name;      ///< PyTorch's: "AddmmBackward0"
  uint64_t sequence_nr;  ///< creation order; leaf accumulators have the highest
  SmallVector<InputMeta, 1> outputs;
  SmallVector<Edge, 3> next;

 protected:
  void destroy() const override;

 private:
  friend class GraphTask;
  std::unique_ptr<NodeHooks> hooks_;
  uint64_t task_ = 0;  ///< the running backward that last visited it …
  uint32_t slot_ = 0;  ///< … and its slot there
};

/// The sink of a leaf: adds into its .grad and runs its post-accumulate hooks.
class AccumulateGrad final : public Node {
 public:
  explicit AccumulateGrad(TensorImpl* leaf);
  void apply(std::span<Tensor> grad_outputs, std::span<Tensor> grad_inputs) override;
  /// PyTorch runs it, and with it the post-accumulate hooks, where no gradient came, too.
  bool runs_without_gradient() const override { return true; }
  TensorImpl* leaf;  ///< null once the leaf is gone

 private:
  void accumulate(Tensor& grad);
};

/// The autograd record of a tensor.
struct AutogradMeta {
  bool requires_grad = false;
  bool is_view = false;              ///< made by a differentiable view of another tensor
  const char* no_inplace = nullptr;  ///< name of the multi-view op that forbids in-place writes
  uint32_t output_nr = 0;
  uint32_t view_version = 0;  ///< of the storage, when the view was made
  Ref<Node> grad_fn;
  Ref<AccumulateGrad> accumulator;  ///< of a leaf, made on first use
  Tensor grad;
  bool retains_grad = false;
};

/// The record of t, made on first use.
AutogradMeta& autograd_meta(const Tensor& t);
/// The edge by which gradients reach t: its grad_fn, a leaf's accumulator, or null.
Edge gradient_edge(const Tensor& t);

/// Whether operations are recorded, per thread.
bool grad_enabled();
void set_grad_enabled(bool on);
class GradModeGuard {
 public:
  explicit GradModeGuard(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradModeGuard() { set_grad_enabled(before_); }
  GradModeGuard(const GradModeGuard&) = delete;

 private:
  bool before_;
};
struct NoGradGuard : GradModeGuard {
  NoGradGuard() : GradModeGuard(false) {}
};
struct EnableGradGuard : GradModeGuard {
  EnableGradGuard() : GradModeGuard(true) {}
};

/// Runs backward from `outputs` with gradients `grads` (undefined: ones, for scalars only). With
/// `inputs`, only these leaves are accumulated into. Throws Error(runtime) with PyTorch's texts,
/// and Error(not_implemented) for create_graph: what backward computes is not recorded.
void backward(const Tensors& outputs, const Tensors& grads = {}, bool retain_graph = false,
              bool create_graph = false, const Tensors& inputs = {});
/// torch.autograd.grad: gradients w.r.t. `inputs`, nothing accumulated. Throws Error(runtime) for
/// an input that was not used, unless allow_unused (then its entry is undefined), and
/// Error(not_implemented) for create_graph.
Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grads = {},
             bool retain_graph = false, bool create_graph = false, bool allow_unused = false);
/// torch.autograd.set_detect_anomaly, for all threads: an error inside backward is preceded by a
/// warning that names the operation whose gradient failed, and with check_nan an operation whose
/// gradient holds NaN is Error(runtime) "Function 'LogBackward0' returned nan values in its 0th
/// output."
void set_detect_anomaly(bool on, bool check_nan = true);
/// These under the names that PyTorch has them by.
namespace autograd {
using nnm::backward;
using nnm::grad;
using nnm::set_detect_anomaly;
}  // namespace autograd

namespace detail {
struct AnomalyMode {
  bool on = false, check_nan = true;
};
extern AnomalyMode anomaly_mode;
/// A number for the backward that runs on this thread, different for each; 0 outside.
uint64_t running_backward();
/// Whether the running backward passes through the node on its way.
bool will_run(const Node& node);
/// The same, and true where a node is applied outside of any backward.
bool is_wanted(const Node& node);
}  // namespace detail

/// Set by the ops floor: a + b, and zeros, which the engine needs to sum gradients.
struct EngineOps {
  Tensor (*add)(const Tensor&, const Tensor&);
  void (*add_)(const Tensor& into, const Tensor&);
  Tensor (*zeros)(const Shape&, TensorOptions);
  Tensor (*ones)(const Shape&, TensorOptions);
  Tensor (*cast)(const Tensor&, DType);
  Tensor (*clone)(const Tensor&);
};
extern EngineOps engine_ops;

}  // namespace nnm
