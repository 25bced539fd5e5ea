// Tape nodes, the autograd records of tensors, and recording.
#include "nnm/autograd/node.h"

#include <algorithm>
#include <limits>

#include "kernels/pointwise.h"
#include "nnm/autograd/record.h"
#include "nnm/autograd/saved_hooks.h"
#include "nnm/tensor/late_reads.h"

namespace nnm {

EngineOps engine_ops{};

namespace {

thread_local uint64_t next_sequence_nr = 0;
thread_local bool grad_mode = true;

[[noreturn]] void throw_custom_view(const AutogradMeta& meta, const char* what) {
  fail(ErrorKind::runtime,
       "Output {} of {} is a view and {}. This view was created inside a custom Function (or "
       "because an input was returned as-is) and the autograd logic to handle view+inplace would "
       "override the custom backward associated with the custom Function, leading to incorrect "
       "gradients. This behavior is forbidden. You can fix this by cloning the output of the "
       "custom Function.",
       meta.output_nr, meta.no_inplace, what);
}

}  // namespace

bool grad_enabled() { return grad_mode; }
void set_grad_enabled(bool on) { grad_mode = on; }

Node::Node(const char* name, size_t forward_outputs, size_t forward_inputs)
    : name(name), sequence_nr(next_sequence_nr++), outputs(forward_outputs), next(forward_inputs) {}

Node::~Node() = default;

NodeHooks::~NodeHooks() {
  if (tensor_pre) tensor_pre->clear();
  if (pre) pre->clear();
  if (post) post->clear();
  if (post_accumulate) post_accumulate->clear();
}

NodeHooks& Node::hooks() {
  if (!hooks_) hooks_ = std::make_unique<NodeHooks>();
  return *hooks_;
}

RemovableHandle Node::register_prehook(NodePreHook fn, std::string hook_name) {
  auto& list = hooks().pre;
  if (!list) list = make_ref<HookList<NodeHooks::Pre>>();
  return list->add({std::move(fn), std::move(hook_name)});
}

RemovableHandle Node::register_hook(NodePostHook fn, std::string hook_name) {
  auto& list = hooks().post;
  if (!list) list = make_ref<HookList<NodeHooks::Post>>();
  return list->add({std::move(fn), std::move(hook_name)});
}

void Node::destroy() const {
  // A graph is a long chain of owners: freeing it by plain recursion would overflow the stack.
  thread_local std::vector<const Node*>* pending = nullptr;
  if (pending) {
    pending->push_back(this);
    return;
  }
  std::vector<const Node*> queue;
  pending = &queue;
  delete this;
  while (!queue.empty()) {
    const Node* n = queue.back();
    queue.pop_back();
    delete n;
  }
  pending = nullptr;
}

AccumulateGrad::AccumulateGrad(TensorImpl* leaf)
    : Node("torch::autograd::AccumulateGrad", 1, 0), leaf(leaf) {
  sequence_nr = std::numeric_limits<uint64_t>::max();
  outputs[0] = {leaf->sizes, leaf->dtype, leaf->device};
}

namespace {

/// A copy of g that lies in memory as its leaf does: what update kernels run over.
Tensor laid_out_as(const Tensor& leaf, const Tensor& g) {
  if (!leaf.is_dense()) return engine_ops.clone(g);
  Tensor y = empty_strided(leaf.shape(), leaf.strides(), g.options());
  kernels::copy(y, g);
  return y;
}

}  // namespace

void AccumulateGrad::apply(std::span<Tensor> grads, std::span<Tensor>) {
  if (!leaf) return;
  if (leaf->meta->requires_grad && grads[0].defined()) accumulate(grads[0]);
  if (!has_hooks() || !hooks().post_accumulate) return;
  const Tensor self{Ref<TensorImpl>(leaf)};
  if (const auto snapshot = hooks().post_accumulate->snapshot()) {
    for (const auto& item : *snapshot) item.hook(self);
  }
}

void AccumulateGrad::accumulate(Tensor& g) {
  AutogradMeta& meta = *leaf->meta;
  if (meta.grad.defined()) {
    engine_ops.add_(meta.grad, g);
  } else if (g.impl()->use_count() == 1 && g.ref()->storage->use_count() == 1 &&
             g.strides() == leaf->strides) {
    meta.grad = std::move(g);
  } else {
    meta.grad = laid_out_as(Tensor(Ref<TensorImpl>(leaf)), g);
  }
}

AutogradMeta& autograd_meta(const Tensor& t) {
  if (!t.impl()->meta) t.impl()->meta = new AutogradMeta;
  return *t.impl()->meta;
}

void destroy_autograd_meta(TensorImpl* t) {
  AutogradMeta* meta = t->meta;
  if (meta->accumulator) meta->accumulator->leaf = nullptr;
  if (meta->retains_grad && meta->grad_fn) {
    std::erase_if(meta->grad_fn->hooks().retain_grad, [&](const auto& e) { return e.second == t; });
  }
  delete meta;
}

Edge gradient_edge(const Tensor& t) {
  if (!t.defined() || !t.impl()->meta || !t.impl()->meta->requires_grad) return {};
  AutogradMeta& meta = *t.impl()->meta;
  if (meta.grad_fn) return {meta.grad_fn, meta.output_nr};
  if (!meta.accumulator) meta.accumulator = make_ref<AccumulateGrad>(t.impl());
  return {meta.accumulator, 0};
}

Saved::Saved(const Tensor& t) {
  if (!t.defined()) return;
  version_ = t.version();
  packed_ = detail::pack(t);
  if (!packed_) alias_ = t.detach();
  const AutogradMeta* meta = t.impl()->meta;
  if (!meta || !meta->grad_fn) return;
  op_ = meta->grad_fn->name;
  output_nr_ = static_cast<uint16_t>(meta->output_nr);
  is_view_ = meta->is_view;
}

Saved Saved::output(const Tensor& y, const char* op) {
  Saved s(y);
  s.op_ = op;
  s.is_output_ = true;
  return s;
}

const Tensor& Saved::get() const {
  if (packed_) [[unlikely]]
    return alias_ = detail::unpack(*packed_);
  if (alias_.defined() && alias_.version() != version_) [[unlikely]]
    throw_modified();
  return alias_;
}

namespace {

// What PyTorch 2.13 calls the operation of a node in this error: "Mul" for MulBackward0.
std::string operation_of(std::string node) {
  const size_t end = node.find_last_not_of("0123456789") + 1;
  constexpr std::string_view kSuffix = "Backward";
  if (!std::string_view(node).substr(0, end).ends_with(kSuffix)) return node;
  node.erase(end - kSuffix.size(), kSuffix.size());
  return node.ends_with('0') ? node.substr(0, node.size() - 1) : node;
}

}  // namespace

void Saved::throw_modified() const {
  // A write that was recorded has replaced the operation that the tensor came from; of a view, the
  // rest of the way from its base.
  const char* op = op_;
  uint32_t nr = output_nr_;
  if (is_view_) {
    op = "AsStridedBackward0";
    nr = 0;
  } else if (op && !is_output_ && alias_.ref()->storage->written_by) {
    op = alias_.ref()->storage->written_by;
    nr = 0;
  }
  const std::string source =
      op ? fmt::format(", which is output {} of {},", nr, operation_of(op)) : std::string();
  fail(ErrorKind::runtime,
       "one of the variables needed for gradient computation has been modified by an inplace "
       "operation: [{} {}]{} is at version {}; expected version {} instead. Hint: {}",
       legacy_type_name(alias_.dtype()), alias_.shape().str(), source, alias_.version(), version_,
       detail::anomaly_mode.on
           ? "the backtrace further above shows the operation that failed to compute its gradient. "
             "The variable in question was changed in there or anywhere later. Good luck!"
           : "enable anomaly detection to find the operation that failed to compute its gradient, "
             "with torch.autograd.set_detect_anomaly(True, check_nan=False).");
}

const Tensor& Backward::grad(size_t i) {
  if (!grads_[i].defined()) {
    const InputMeta& m = node_.outputs[i];
    grads_[i] = engine_ops.zeros(m.sizes, {m.dtype, m.device});
  }
  return grads_[i];
}

bool needs_grad(std::initializer_list<const Tensor*> inputs) {
  if (!grad_mode) return false;
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const Tensor* t) { return t->defined() && t->requires_grad(); });
}

bool needs_grad(std::span<const Tensor> inputs) {
  if (!grad_mode) return false;
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}

namespace detail {

void throw_released() {
  fail(ErrorKind::runtime,
       "Trying to backward through the graph a second time (or directly access saved tensors after "
       "they have "
       "already been freed). Saved intermediate values of the graph are freed when you call "
       ".backward() or "
       "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a "
       "second time or if "
       "you need to access saved tensors after calling backward.");
}

namespace {

Edge input_edge(const Tensor& t) {
  Edge e = gradient_edge(t);
  if (e.node && t.impl()->meta->is_view && t.impl()->meta->view_version != t.version())
      [[unlikely]] {
    const AutogradMeta& meta = *t.impl()->meta;
    if (meta.no_inplace) {
      throw_custom_view(meta, "its base or another view of its base has been modified inplace");
    }
    fail(ErrorKind::runtime,
         "a view of size {} that needs a gradient is used after its base was modified in place; "
         "take the view "
         "again after the modification",
         t.shape().str());
  }
  return e;
}

void set_history(const Tensor& out, Node* node, uint32_t nr) {
  node->outputs[nr] = {out.shape(), out.dtype(), out.device()};
  if (!is_floating(out.dtype())) return;
  AutogradMeta& meta = autograd_meta(out);
  meta.grad_fn = Ref<Node>(node);
  meta.output_nr = nr;
  meta.requires_grad = true;
}

}  // namespace

void attach(Node* node, std::span<const Tensor> outputs,
            std::initializer_list<const Tensor*> inputs) {
  const Ref<Node> owner(node);
  size_t i = 0;
  for (const Tensor* t : inputs) node->next[i++] = input_edge(*t);
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (outputs[k].defined()) set_history(outputs[k], node, static_cast<uint32_t>(k));
  }
}

void attach(Node* node, std::span<const Tensor> outputs, std::span<const Tensor> inputs) {
  const Ref<Node> owner(node);
  for (size_t i = 0; i < inputs.size(); ++i) node->next[i] = input_edge(inputs[i]);
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (outputs[k].defined()) set_history(outputs[k], node, static_cast<uint32_t>(k));
  }
}

void attach_inplace(Node* node, const Tensor& self, std::initializer_list<const Tensor*> inputs) {
  const Ref<Node> owner(node);
  size_t i = 0;
  for (const Tensor* t : inputs) node->next[i++] = gradient_edge(*t);
  AutogradMeta& meta = autograd_meta(self);
  // retain_grad follows the tensor to its new node; tensor hooks stay with the old value's node.
  if (meta.retains_grad && meta.grad_fn) {
    auto& old = meta.grad_fn->hooks().retain_grad;
    std::erase_if(old, [&](const auto& e) { return e.second == self.impl(); });
    node->hooks().retain_grad.emplace_back(0u, self.impl());
  }
  set_history(self, node, 0);
  meta.is_view = false;  // check_inplace lets no view through that has a base
  self.ref()->storage->written_by = node->name;
}

void mark_view(const Tensor& view) {
  AutogradMeta& meta = autograd_meta(view);
  meta.is_view = true;
  meta.view_version = view.version();
}

}  // namespace detail

void check_inplace(const Tensor& self, std::initializer_list<const Tensor*> sources) {
  detail::before_write(self);
  if (!grad_mode) return;
  if (!self.requires_grad()) {
    // Tensors that share the memory would not learn of the gradient that is now due through it.
    NNM_CHECK(!needs_grad(sources) || self.ref()->storage->use_count() == 1, runtime,
              "a tensor that needs a gradient cannot be written in place into a tensor whose "
              "memory others share (it is a view, or has views); build the result with cat, stack "
              "or where, or clone() the target first");
    return;
  }
  const AutogradMeta& meta = *self.impl()->meta;
  NNM_CHECK(meta.grad_fn, runtime,
            "a leaf Variable that requires grad is being used in an in-place operation.");
  if (meta.no_inplace) throw_custom_view(meta, "is being modified inplace");
  // A view that is alone with its memory has no base any more: what Conv1d returns was a row of an
  // image.
  NNM_CHECK(
      !meta.is_view || self.ref()->storage->use_count() == 1, runtime,
      "a view that needs a gradient cannot be modified in place (it is output {} of {}); use the "
      "out-of-place operation or clone() it first",
      meta.output_nr, meta.grad_fn->name);
}

}  // namespace nnm
