// Clocks around module calls, and around the nodes that these leave on the tape.
#include "nnm/run/module_clock.h"

#include <algorithm>
#include <unordered_set>

#include "nnm/nn/hooks.h"
#include "nnm/ops/ops.h"
#include "nnm/tensor/allocator.h"

namespace nnm::run {

namespace {

using Clock = std::chrono::steady_clock;

// The time, once the device has done all so far.
Clock::time_point now() {
  synchronize(default_device());
  return Clock::now();
}

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(now() - begin).count();
}

int64_t allocated() { return static_cast<int64_t>(memory_stats(default_device()).allocated); }

/// A node that no graph holds: its number is where the tape stands.
class Mark final : public Node {
 public:
  Mark() : Node("Mark", 0, 0) {}
  void apply(std::span<Tensor>, std::span<Tensor>) override {}
};

}  // namespace

ModuleClock::ModuleClock(Module& root) {
  std::unordered_map<std::string, Stack> paths;
  for (const auto& [name, m] : root.named_modules()) {
    const size_t dot = name.rfind('.');
    Stack path;
    if (!name.empty()) path = paths[dot == std::string::npos ? "" : name.substr(0, dot)];
    path.push_back(&*m);
    for (const auto& slot : m->parameter_slots())
      if (slot->value.defined()) parameters_.try_emplace(slot->value.impl(), path);
    paths[name] = std::move(path);
    module_hooks_.emplace_back(
        m->register_forward_pre_hook([this](Module& called, const Values&) { enter(called); }));
    module_hooks_.emplace_back(
        m->register_forward_hook([this](Module&, const Args&, const Value&) { leave(); }));
  }
}

void ModuleClock::start() {
  costs_.clear();
  calls_.clear();
  made_.clear();
  node_hooks_.clear();
  below_ = 0, bytes_below_ = 0;
  mark();
  begin_ = now();
}

void ModuleClock::mark() {
  Stack stack;
  for (const Call& c : calls_) stack.push_back(c.module);
  made_.emplace_back(make_ref<Mark>()->sequence_nr, std::move(stack));
}

void ModuleClock::enter(const Module& m) {
  calls_.push_back({&m, {}, allocated()});
  mark();
  calls_.back().begin = now();
}

void ModuleClock::leave() {
  const Call call = calls_.back();
  const double seconds = since(call.begin);
  const int64_t bytes = allocated() - call.bytes;
  calls_.pop_back();
  Cost& cost = costs_[call.module];
  ++cost.calls;
  cost.forward += seconds;
  cost.forward_self += seconds - call.below;
  cost.memory += bytes;
  cost.memory_self += bytes - call.bytes_below;
  (calls_.empty() ? below_ : calls_.back().below) += seconds;
  (calls_.empty() ? bytes_below_ : calls_.back().bytes_below) += bytes;
  mark();
}

const ModuleClock::Stack& ModuleClock::makers(const Node& n) const {
  const auto after =
      std::upper_bound(made_.begin(), made_.end(), n.sequence_nr,
                       [](uint64_t number, const auto& m) { return number < m.first; });
  static const Stack nobody;
  return after == made_.begin() ? nobody : std::prev(after)->second;
}

void ModuleClock::spend(const Stack& owners, double seconds) {
  costs_[owners.empty() ? nullptr : owners.back()].backward_self += seconds;
  if (owners.empty()) costs_[nullptr].backward += seconds;
  for (size_t i = 0; i < owners.size(); ++i) {
    // A module that calls itself is not counted twice.
    if (std::find(owners.begin(), owners.begin() + static_cast<int64_t>(i), owners[i]) ==
        owners.begin() + static_cast<int64_t>(i))
      costs_[owners[i]].backward += seconds;
  }
}

void ModuleClock::watch(Node& n, const Stack& owners) {
  node_hooks_.emplace_back(n.register_prehook([this](const Tensors&) -> std::optional<Tensors> {
    node_begin_ = now();
    return std::nullopt;
  }));
  node_hooks_.emplace_back(
      n.register_hook([this, owners](const Tensors&, const Tensors&) -> std::optional<Tensors> {
        spend(owners, since(node_begin_));
        return std::nullopt;
      }));
}

void ModuleClock::watch_backward(const Tensor& loss) {
  Cost& outside = costs_[nullptr];
  outside.forward = outside.forward_self = since(begin_) - below_;
  std::vector<Node*> todo = {gradient_edge(loss).node.get()};
  std::unordered_set<Node*> seen(todo.begin(), todo.end());
  static const Stack nobody;
  while (!todo.empty()) {
    Node* n = todo.back();
    todo.pop_back();
    if (auto* leaf = dynamic_cast<AccumulateGrad*>(n)) {
      const auto owner = parameters_.find(leaf->leaf);
      watch(*n, owner == parameters_.end() ? nobody : owner->second);
      continue;
    }
    watch(*n, makers(*n));
    for (const Edge& e : n->next)
      if (e.node && seen.insert(e.node.get()).second) todo.push_back(e.node.get());
  }
}

ModuleClock::Costs ModuleClock::take() {
  node_hooks_.clear();
  return std::exchange(costs_, {});
}

}  // namespace nnm::run
