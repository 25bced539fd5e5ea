// record: how an operation puts its gradient on the tape, under its forward.
#pragma once

#include <initializer_list>
#include <type_traits>
#include <utility>

#include "nnm/autograd/node.h"

namespace nnm {

/// A tensor kept for backward: an alias without history (so that saving an output makes no cycle)
/// and the version it had. `get` throws PyTorch's in-place error where it was modified since.
/// Under SavedTensorsHooks (saved_hooks.h) it keeps what they make of the tensor instead.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& t);
  /// Of what the operation recorded as `op` computes itself, which has no history yet.
  static Saved output(const Tensor& y, const char* op);
  const Tensor& get() const;
  bool defined() const { return alias_.defined() || packed_; }

 private:
  [[noreturn]] void throw_modified() const;

  mutable Tensor alias_;  // of a packed tensor: what it was unpacked to last
  uint32_t version_ = 0;
  // What computed the tensor, for the error: its output `output_nr_`; null of leaves.
  uint16_t output_nr_ = 0;
  bool is_view_ = false, is_output_ = false;
  const char* op_ = nullptr;
  Ref<Object> packed_;
};

/// A number among an operation's operands. PyTorch saves it as a tensor, so that a second backward
/// finds it released: hence the destructor, by which nodes know what is to be released.
struct SavedNumber {
  explicit SavedNumber(Scalar number) : value(number) {}
  SavedNumber(const SavedNumber&) = default;
  ~SavedNumber() {}
  Scalar value;
};
/// Stands for that number among the inputs that a node is recorded with.
inline const Tensor kNumber;

/// What a recorded closure works with.
class Backward {
 public:
  Backward(Node& node, std::span<Tensor> grads, std::span<Tensor> out)
      : node_(node), grads_(grads), out_(out) {}
  /// The gradient w.r.t. output i; zeros where none arrived.
  const Tensor& grad(size_t i = 0);
  /// The same, undefined where none arrived.
  const Tensor& maybe_grad(size_t i = 0) const { return grads_[i]; }
  /// Whether anybody asks for the gradient w.r.t. forward input i, in this very backward.
  bool needs(size_t i) const { return node_.needs(i) && detail::is_wanted(*node_.next[i].node); }
  /// Shape, type and device of forward input i, without keeping the input. Only where needs(i).
  const InputMeta& input(size_t i) const {
    const Edge& e = node_.next[i];
    return e.node->outputs[e.input_nr];
  }
  /// Shape, type and device of forward output i.
  const InputMeta& output(size_t i) const { return node_.outputs[i]; }
  /// Sets the gradient w.r.t. forward input i. Gradients of broadcast inputs are the closure's
  /// duty.
  void set(size_t i, Tensor g) { out_[i] = std::move(g); }

 private:
  Node& node_;
  std::span<Tensor> grads_, out_;
};

namespace detail {
[[noreturn]] void throw_released();

template <class F>
class FnNode final : public Node {
 public:
  FnNode(const char* op, size_t forward_outputs, size_t forward_inputs, F f)
      : Node(op, forward_outputs, forward_inputs), f_(std::move(f)) {}
  void apply(std::span<Tensor> grads, std::span<Tensor> out) override {
    if (released_) throw_released();
    Backward b(*this, grads, out);
    (*f_)(b);
  }
  void release_saved() override {
    // A closure that holds nothing but numbers may run again, as in PyTorch.
    if constexpr (!std::is_trivially_destructible_v<F>) {
      f_.reset();
      released_ = true;
    }
  }

 private:
  std::optional<F> f_;
  bool released_ = false;
};

void attach(Node* node, std::span<const Tensor> outputs,
            std::initializer_list<const Tensor*> inputs);
void attach(Node* node, std::span<const Tensor> outputs, std::span<const Tensor> inputs);
void attach_inplace(Node* node, const Tensor& self, std::initializer_list<const Tensor*> inputs);
void mark_view(const Tensor& view);
}  // namespace detail

/// True iff grad mode is on and one of the inputs requires grad: only then is a closure worth
/// making. Undefined inputs count as not requiring grad.
bool needs_grad(std::initializer_list<const Tensor*> inputs);
bool needs_grad(std::span<const Tensor> inputs);

/// Puts the op that made `out` from `inputs` on the tape. f(Backward&) is its gradient. Call it
/// only if needs_grad(inputs). Integer outputs stay off the tape. Returns out.
///   if (needs_grad({&x})) record("SoftmaxBackward0", y, {&x}, [y = Saved(y), dim](Backward& b)
///   {…});
template <class F>
Tensor record(const char* name, Tensor out, std::initializer_list<const Tensor*> inputs, F f) {
  auto* node = new detail::FnNode<F>(name, 1, inputs.size(), std::move(f));
  detail::attach(node, {&out, 1}, inputs);
  return out;
}
/// Several outputs, or inputs known only at run time.
template <class F>
void record(const char* name, std::span<const Tensor> outputs, std::span<const Tensor> inputs,
            F f) {
  auto* node = new detail::FnNode<F>(name, outputs.size(), inputs.size(), std::move(f));
  detail::attach(node, outputs, inputs);
}
/// A view of its (first) input: also forbids in-place writes through it while it needs grad.
template <class F>
Tensor record_view(const char* name, Tensor out, std::initializer_list<const Tensor*> inputs, F f) {
  record(name, out, inputs, std::move(f));
  detail::mark_view(out);
  return out;
}

/// Call before an in-place kernel on self: throws PyTorch's errors for leaves that require grad and
/// for views that do (in grad mode), and for shared memory that a source with a gradient goes to.
void check_inplace(const Tensor& self, std::initializer_list<const Tensor*> sources = {});
/// Call after it: bumps the version and, where needed, puts the node in the place of self's old
/// one. inputs[0] is self's history before the write.
template <class F>
void record_inplace(const char* name, const Tensor& self,
                    std::initializer_list<const Tensor*> inputs, F f) {
  self.bump_version();
  if (!needs_grad(inputs)) return;
  detail::attach_inplace(new detail::FnNode<F>(name, 1, inputs.size(), std::move(f)), self, inputs);
}

}  // namespace nnm
