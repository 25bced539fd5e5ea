// Tensors that are computed when they are read, and for how long one computation holds.
#include "nnm/nn/computed.h"

#include <algorithm>

#include "nnm/nn/module.h"

namespace nnm {

namespace {
thread_local ComputedScope* innermost_scope = nullptr;
}  // namespace

ComputedScope::ComputedScope(const Module* of)
    : of_(of), outer_(std::exchange(innermost_scope, this)) {}

ComputedScope::~ComputedScope() { innermost_scope = outer_; }

bool ComputedScope::holds(const TensorSlot& slot) const {
  if (!of_) return true;
  const auto own = of_->computed_slots();
  return std::any_of(own.begin(), own.end(), [&](const auto& s) { return s.get() == &slot; });
}

const Tensor* ComputedScope::held(const TensorSlot& slot) {
  ComputedScope* keeper = nullptr;
  const Module* caller = nullptr;
  for (ComputedScope* scope = innermost_scope; scope; scope = scope->outer_) {
    if (!scope->holds(slot)) continue;
    if (!caller) caller = scope->of_;
    if (!keeper || !scope->of_) keeper = scope;
  }
  if (!keeper) return nullptr;
  auto& values = keeper->values_;
  const auto at =
      std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == &slot; });
  if (at != values.end()) return &at->second;
  Tensor value = slot.source->compute(caller);
  return &values.emplace_front(&slot, std::move(value)).second;
}

const Tensor& detail::computed(const TensorSlot& slot) {
  if (const Tensor* held = ComputedScope::held(slot)) return *held;
  slot.value = slot.source->compute(nullptr);
  return slot.value;
}

}  // namespace nnm
