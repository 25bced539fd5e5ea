// Copies of buffers, made where they have changed.
#include "nnm/train/kept_buffers.h"

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm::train {

bool KeptBuffers::Kept::changed() {
  const bool now = copy.defined() && (!slot->value.is_same(tensor) || tensor.version() != version);
  moves |= now;
  return now;
}

KeptBuffers::KeptBuffers(Module& model) {
  for (const Module* m : model.modules()) {
    for (const Ref<TensorSlot>& slot : m->buffer_slots()) {
      const Tensor& t = slot->value;
      if (!slot->source && t.defined() && t.device() == Device()) kept_.push_back({.slot = slot});
    }
  }
}

void KeptBuffers::keep() {
  if (kept_.empty()) return;
  const NoGradGuard no_grad;
  if (steps_++ == 1) std::erase_if(kept_, [](Kept& k) { return !k.changed() && !k.moves; });
  for (Kept& k : kept_) {
    const Tensor& now = k.slot->value;
    if (k.copy.defined() && !k.changed()) continue;
    if (k.copy.defined() && k.copy.shape() == now.shape()) copy_(k.copy, now);
    else k.copy = clone(now);
    k.tensor = now;
    k.version = now.version();
  }
}

void KeptBuffers::put_back() {
  const NoGradGuard no_grad;
  for (Kept& k : kept_) {
    if (!k.changed()) continue;
    k.slot->value = k.tensor;
    copy_(k.tensor, k.copy);
    k.version = k.tensor.version();
  }
}

}  // namespace nnm::train
