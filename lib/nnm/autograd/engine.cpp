// backward: runs the nodes of a graph, newest first, leaf accumulation before all.
#include <algorithm>
#include <deque>
#include <vector>

#include "kernels/statistics.h"
#include "nnm/autograd/node.h"
#include "nnm/autograd/onlooker.h"
#include "nnm/base/log.h"

namespace nnm {

const char kOnlookerName[] = "BackwardHookFunctionBackward";

detail::AnomalyMode detail::anomaly_mode;

void set_detect_anomaly(bool on, bool check_nan) { detail::anomaly_mode = {on, check_nan}; }

class GraphTask;

namespace {

thread_local int running_tasks = 0;
thread_local uint64_t next_task = 1;
thread_local GraphTask* running = nullptr;

void check_replacement(const Tensor& was, const Tensor& got, const std::string& hook) {
  if (!was.defined() && got.defined()) {
    fail(ErrorKind::runtime, "can't replace a None gradient with a non-None value");
  }
  if (!got.defined() || !was.defined()) return;
  NNM_CHECK(was.shape() == got.shape(), runtime, "hook '{}' has changed the size of value", hook);
  NNM_CHECK(was.dtype() == got.dtype(), runtime,
            "hook '{}' has changed the type of value (was {} got {})", hook,
            legacy_type_name(was.dtype()), legacy_type_name(got.dtype()));
}

/// Node::apply under set_detect_anomaly.
void apply_watched(Node& n, std::span<Tensor> in, std::span<Tensor> out) {
  try {
    n.apply(in, out);
  } catch (...) {
    log_warning("Error detected in {}.", n.name);
    throw;
  }
  if (!detail::anomaly_mode.check_nan) return;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!out[i].defined() || !is_floating(out[i].dtype()) || out[i].is_meta()) continue;
    TensorStatistics s;
    kernels::moments(out[i].view(), &s, nullptr);
    if (s.nan == 0) continue;
    log_warning("Error detected in {}.", n.name);
    fail(ErrorKind::runtime, "Function '{}' returned nan values in its {}th output.", n.name, i);
  }
}

}  // namespace

/// One run of the engine: the nodes it reaches, how many gradients each still waits for, and what
/// has arrived. Slots are found through the node itself; a task inside a hook restores what it
/// overwrote.
class GraphTask {
 public:
  GraphTask(bool retain_graph, bool accumulate)
      : retain_graph_(retain_graph), accumulate_(accumulate) {
    ++running_tasks;
    running = this;
  }
  ~GraphTask() {
    --running_tasks;
    running = outer_;
    for (const Stash& s : stash_) {
      s.node->task_ = s.task;
      s.node->slot_ = s.slot;
    }
  }

  void add_root(const Edge& edge, Tensor grad) {
    Slot& s = visit(edge.node.get());
    ++s.pending;
    roots_.push_back({edge, std::move(grad)});
  }

  /// Restricts the run to what leads to these; their gradients are captured where asked.
  void add_target(const Edge& edge) { targets_.push_back(edge); }

  uint64_t id() const { return id_; }
  bool will_run(const Node& n) const {
    return n.task_ == id_ && (slots_[n.slot_].needed || is_target(&n));
  }

  std::vector<Tensor> run() {
    captured_.resize(targets_.size());
    count_dependencies();
    if (!targets_.empty()) mark_needed();
    NoGradGuard no_grad;
    for (Root& r : roots_) deliver(r.edge, std::move(r.grad));
    while (!ready_.empty()) {
      std::pop_heap(ready_.begin(), ready_.end(), older);
      const uint32_t slot = ready_.back().second;
      ready_.pop_back();
      execute(slot);
    }
    return std::move(captured_);
  }

 private:
  struct Slot {
    Node* node;
    uint32_t pending = 0;
    bool needed = true, looks_on = false;
    SmallVector<Tensor, 1> grads;
  };
  struct Root {
    Edge edge;
    Tensor grad;
  };
  struct Stash {
    Node* node;
    uint64_t task;
    uint32_t slot;
  };
  using Ready = std::pair<uint64_t, uint32_t>;

  // By number alone: leaves, which share one, then leave the heap as they leave PyTorch's.
  static bool older(const Ready& a, const Ready& b) { return a.first < b.first; }

  Slot& visit(Node* n) {
    if (n->task_ == id_) return slots_[n->slot_];
    if (running_tasks > 1) stash_.push_back({n, n->task_, n->slot_});
    n->task_ = id_;
    n->slot_ = static_cast<uint32_t>(slots_.size());
    slots_.push_back({n, 0, true, looks_on(*n), SmallVector<Tensor, 1>(n->outputs.size())});
    return slots_.back();
  }

  void count_dependencies() {
    for (size_t i = 0; i < slots_.size(); ++i) {
      Node* n = slots_[i].node;
      for (const Edge& e : n->next) {
        if (e.node) ++visit(e.node.get()).pending;
      }
    }
  }

  void mark_needed() {
    std::vector<uint32_t> order(slots_.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    // Leaf accumulators carry the highest number but end the graph: they come first here.
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return slots_[a].node->sequence_nr + 1 < slots_[b].node->sequence_nr + 1;
    });
    for (uint32_t i : order) {
      Slot& s = slots_[i];
      s.needed = false;
      for (const Edge& e : s.node->next) {
        if (!e.node) continue;
        const Slot& child = slots_[e.node->slot_];
        if (child.needed || is_target(e.node.get())) s.needed = true;
      }
      if (accumulate_ && is_target(s.node)) s.needed = true;
    }
  }

  bool is_target(const Node* n) const {
    return std::any_of(targets_.begin(), targets_.end(),
                       [n](const Edge& t) { return t.node.get() == n; });
  }

  /// Adds to what has come to a node; past those that look on, to what is behind them as well.
  void arrive(const Edge& e, Tensor g) {
    Slot& s = slots_[e.node->slot_];
    if (s.looks_on && e.node->next[e.input_nr].node) arrive(e.node->next[e.input_nr], g);
    Tensor& have = s.grads[e.input_nr];
    if (have.defined()) have = engine_ops.add(have, g);
    else have = std::move(g);
  }

  void deliver(const Edge& e, Tensor g) {
    const uint32_t index = e.node->slot_;
    Slot& s = slots_[index];
    if (g.defined()) arrive(e, std::move(g));
    if (--s.pending == 0) {
      ready_.emplace_back(s.node->sequence_nr, index);
      std::push_heap(ready_.begin(), ready_.end(), older);
    }
  }

  void execute(uint32_t index) {
    Slot& s = slots_[index];
    Node* n = s.node;
    SmallVector<Tensor, 1> grads = std::move(s.grads);
    const std::span<Tensor> in(grads.data(), grads.size());
    // What leads to none of the targets only passes the word on that it is done.
    // As in PyTorch, a node that runs itself hands out what came, any other what its hooks made.
    if (s.needed) capture(*n, in);
    if (n->has_hooks() && (s.needed || is_target(n))) run_tensor_hooks(*n, in);
    if (!s.needed) capture(*n, in);
    SmallVector<Tensor, 3> out(n->next.size());
    const std::span<Tensor> outs(out.data(), out.size());
    if (s.needed) call(*n, in, outs);
    for (size_t i = 0; i < n->next.size(); ++i) {
      const Edge& e = n->next[i];
      if (!e.node) continue;
      // What came to one that looks on has been handed on when it came.
      if (s.looks_on) out[i] = Tensor();
      if (out[i].defined()) conform(*n, i, out[i]);
      deliver(e, std::move(out[i]));
    }
  }

  void capture(const Node& n, std::span<const Tensor> grads) {
    for (size_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].node.get() == &n) captured_[t] = grads[targets_[t].input_nr];
    }
  }

  // The hooks of one tensor run together, the tensors in the order of their first hooks.
  static void run_tensor_pre_hooks(const std::vector<HookList<NodeHooks::TensorPre>::Item>& items,
                                   std::span<Tensor> grads) {
    std::vector<bool> done(grads.size());
    for (const auto& first : items) {
      const uint32_t nr = first.hook.output_nr;
      if (done[nr]) continue;
      done[nr] = true;
      for (const auto& item : items) {
        if (item.hook.output_nr != nr) continue;
        auto replaced = item.hook.fn(grads[nr]);
        if (!replaced) continue;
        check_replacement(grads[nr], *replaced, item.hook.name);
        grads[nr] = std::move(*replaced);
      }
    }
  }

  void run_tensor_hooks(Node& n, std::span<Tensor> grads) {
    NodeHooks& hooks = n.hooks();
    if (hooks.tensor_pre) {
      if (auto snapshot = hooks.tensor_pre->snapshot()) run_tensor_pre_hooks(*snapshot, grads);
    }
    for (const auto& [nr, tensor] : hooks.retain_grad) {
      if (!grads[nr].defined()) continue;
      Tensor& kept = tensor->meta->grad;
      kept = kept.defined() ? engine_ops.add(kept, grads[nr]) : grads[nr];
    }
  }

  void call(Node& n, std::span<Tensor> in, std::span<Tensor> out) {
    Tensors grad_outputs;
    if (n.has_hooks()) {
      run_pre_hooks(n, in);
      if (n.hooks().post) grad_outputs.assign(in.begin(), in.end());
    }
    if (n.runs_without_gradient() ||
        std::any_of(in.begin(), in.end(), [](const Tensor& g) { return g.defined(); })) {
      if (detail::anomaly_mode.on) [[unlikely]]
        apply_watched(n, in, out);
      else n.apply(in, out);
    }
    if (n.has_hooks()) run_post_hooks(n, out, grad_outputs);
    if (!retain_graph_) n.release_saved();
  }

  void run_pre_hooks(Node& n, std::span<Tensor> in) {
    if (!n.hooks().pre) return;
    const auto snapshot = n.hooks().pre->snapshot();
    if (!snapshot) return;
    for (const auto& item : *snapshot) {
      if (auto r = item.hook.fn(Tensors(in.begin(), in.end()))) replace(in, *r, item.hook.name);
    }
  }

  void run_post_hooks(Node& n, std::span<Tensor> out, const Tensors& grad_outputs) {
    if (!n.hooks().post) return;
    const auto snapshot = n.hooks().post->snapshot();
    if (!snapshot) return;
    for (const auto& item : *snapshot) {
      if (auto r = item.hook.fn(Tensors(out.begin(), out.end()), grad_outputs))
        replace(out, *r, item.hook.name);
    }
  }

  static void replace(std::span<Tensor> grads, Tensors& by, const std::string& hook) {
    NNM_CHECK(by.size() == grads.size(), runtime,
              "hook '{}' has returned an incorrect number of values (got {}, but expected {})",
              hook, by.size(), grads.size());
    for (size_t i = 0; i < by.size(); ++i) {
      check_replacement(grads[i], by[i], hook);
      grads[i] = std::move(by[i]);
    }
  }

  // The gradient must look like what it is the gradient of; a mere difference of type is cast.
  void conform(const Node& n, size_t i, Tensor& g) {
    const Edge& e = n.next[i];
    const InputMeta& want = e.node->outputs[e.input_nr];
    NNM_CHECK(g.shape() == want.sizes, runtime,
              "Function {} returned an invalid gradient at index {} - got {} but expected shape "
              "compatible with {}",
              n.name, i, g.shape().str(), want.sizes.str());
    if (g.dtype() != want.dtype) g = engine_ops.cast(g, want.dtype);
  }

  const uint64_t id_ = next_task++;
  GraphTask* const outer_ = running;
  const bool retain_graph_, accumulate_;
  std::deque<Slot> slots_;
  std::vector<Root> roots_;
  std::vector<Edge> targets_;
  std::vector<Tensor> captured_;
  std::vector<Ready> ready_;
  std::vector<Stash> stash_;
};

namespace {

void refuse_double_backward(bool create_graph) {
  NNM_CHECK(!create_graph, not_implemented,
            "create_graph=True: gradients of gradients are not built; backward is not recorded "
            "itself. Leave create_graph out");
}

Tensor root_gradient(const Tensor& out, const Tensors& grads, size_t i) {
  NNM_CHECK(out.defined() && out.requires_grad(), runtime,
            "element {} of tensors does not require grad and does not have a grad_fn", i);
  if (i < grads.size() && grads[i].defined()) {
    NNM_CHECK(grads[i].shape() == out.shape(), runtime,
              "Mismatch in shape: grad_output[{}] has a shape of torch.Size({}) and output[{}] has "
              "a shape of "
              "torch.Size({}).",
              i, grads[i].shape().str(), i, out.shape().str());
    return grads[i].requires_grad() ? grads[i].detach() : grads[i];
  }
  NNM_CHECK(out.numel() == 1, runtime, "grad can be implicitly created only for scalar outputs");
  return engine_ops.ones(out.shape(), out.options());
}

}  // namespace

namespace detail {

uint64_t running_backward() { return running ? running->id() : 0; }
bool will_run(const Node& node) { return running && running->will_run(node); }
bool is_wanted(const Node& node) { return !running || running->will_run(node); }

}  // namespace detail

void backward(const Tensors& outputs, const Tensors& grads, bool retain_graph, bool create_graph,
              const Tensors& inputs) {
  refuse_double_backward(create_graph);
  GraphTask task(retain_graph, true);
  for (size_t i = 0; i < outputs.size(); ++i) {
    Tensor g = root_gradient(outputs[i], grads, i);
    task.add_root(gradient_edge(outputs[i]), std::move(g));
  }
  for (const Tensor& t : inputs) {
    t.retain_grad();
    task.add_target(gradient_edge(t));
  }
  task.run();
}

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grads, bool retain_graph,
             bool create_graph, bool allow_unused) {
  refuse_double_backward(create_graph);
  GraphTask task(retain_graph, false);
  for (size_t i = 0; i < outputs.size(); ++i) {
    Tensor g = root_gradient(outputs[i], grads, i);
    task.add_root(gradient_edge(outputs[i]), std::move(g));
  }
  for (const Tensor& t : inputs) {
    NNM_CHECK(t.requires_grad(), runtime,
              "One of the differentiated Tensors does not require grad");
    task.add_target(gradient_edge(t));
  }
  Tensors out = task.run();
  for (size_t i = 0; i < out.size(); ++i) {
    NNM_CHECK(allow_unused || out[i].defined(), runtime,
              "The differentiated Tensor at index {} appears to not have been used in the graph. "
              "Set allow_unused=True if this is the desired behavior.",
              i);
  }
  return out;
}

}  // namespace nnm
