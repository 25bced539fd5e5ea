// ModuleClock: how long each module's forward and backward take, by hooks on modules and nodes.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "nnm/autograd/node.h"
#include "nnm/nn/module.h"

namespace nnm::run {

class ModuleClock {
 public:
  /// What one step cost a module; null stands for what no module did.
  struct Cost {
    int64_t calls = 0;
    double forward = 0, forward_self = 0, backward = 0, backward_self = 0;  ///< seconds
    int64_t memory = 0, memory_self = 0;                                    ///< bytes
  };
  using Costs = std::map<const Module*, Cost>;

  explicit ModuleClock(Module& root);
  ModuleClock(const ModuleClock&) = delete;

  /// A step: start(), the forward, watch_backward() of the loss, its backward, then take().
  void start();
  void watch_backward(const Tensor& loss);
  Costs take();

 private:
  using Time = std::chrono::steady_clock::time_point;
  using Stack = std::vector<const Module*>;  // outermost first
  struct Call {
    const Module* module;
    Time begin;
    int64_t bytes, bytes_below = 0;
    double below = 0;  // seconds of the calls within
  };
  void enter(const Module& m);
  void leave();
  void mark();
  const Stack& makers(const Node& n) const;
  void watch(Node& n, const Stack& owners);
  void spend(const Stack& owners, double seconds);

  std::vector<ScopedHandle> module_hooks_, node_hooks_;
  std::unordered_map<const TensorImpl*, Stack> parameters_;  // who owns each
  std::vector<Call> calls_;
  std::vector<std::pair<uint64_t, Stack>> made_;  // from this node on, who made them
  Costs costs_;
  Time begin_, node_begin_;
  int64_t bytes_below_ = 0;
  double below_ = 0;
};

}  // namespace nnm::run
