// Where tensors that are computed when read, such as parametrized weights, stay the same for a
// while.
#pragma once

#include <forward_list>
#include <utility>

#include "nnm/nn/slot.h"

namespace nnm {

/// While it lives, on this thread, each computed tensor of a module is computed once, at its first
/// reading: what a call of the module does. Without a module it holds for those of all.
class ComputedScope {
 public:
  explicit ComputedScope(const Module* of = nullptr);
  ~ComputedScope();
  ComputedScope(const ComputedScope&) = delete;

  /// The slot's tensor in the scope that holds it; null where none does. The outermost one for all
  /// modules comes first, then the innermost.
  static const Tensor* held(const TensorSlot& slot);

 private:
  bool holds(const TensorSlot& slot) const;

  const Module* const of_;
  // A list: references to what is in it stay valid.
  std::forward_list<std::pair<const TensorSlot*, Tensor>> values_;
  ComputedScope* const outer_;
};

}  // namespace nnm
