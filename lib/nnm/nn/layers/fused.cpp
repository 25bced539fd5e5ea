// Layers that one pass over an image can do together.
#include "nnm/nn/layers/fused.h"

#include <typeinfo>
#include <utility>

#include "nnm/autograd/node.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/norm.h"

namespace nnm::nn {

namespace {

thread_local bool one_by_one = false;

// A class of one's own may have a forward of its own.
template <class Layer>
bool is_exactly(const Module& m) {
  return typeid(m) == typeid(Layer);
}

bool is_norm(const Module& m) { return is_exactly<BatchNorm2d>(m); }

}  // namespace

OneByOneGuard::OneByOneGuard() : before_(std::exchange(one_by_one, true)) {}
OneByOneGuard::~OneByOneGuard() { one_by_one = before_; }

bool FusedCall::possible() const {
  if (grad_enabled() || one_by_one || !conv || !is_exactly<Conv2d>(*conv) || conv->is_watched())
    return false;
  if (norm && (!is_norm(*norm) || norm->training() || norm->is_watched())) return false;
  if (norm && !static_cast<const BatchNorm2d&>(*norm).running_mean.defined()) return false;
  return !relu || (is_exactly<ReLU>(*relu) && !relu->is_watched());
}

Tensor FusedCall::run(const Tensor& x, const Tensor& addend, bool with_relu) const {
  ConvTail tail;
  tail.addend = addend;
  tail.relu = with_relu || relu;
  if (norm) {
    const auto& n = static_cast<const BatchNorm2d&>(*norm);
    tail.mean = n.running_mean, tail.var = n.running_var;
    tail.weight = n.weight, tail.bias = n.bias;
    tail.eps = n.options.eps.d;
  }
  return static_cast<Conv2d&>(*conv).forward(x, tail);
}

size_t run_fused(std::span<const Ref<ModuleSlot>> slots, size_t first, Tensor& x) {
  if (grad_enabled()) return 0;
  const auto at = [&](size_t i) { return i < slots.size() ? slots[i]->value.get() : nullptr; };
  FusedCall call{at(first)};
  if (!call.conv || !is_exactly<Conv2d>(*call.conv)) return 0;
  size_t count = 1;
  if (Module* next = at(first + count); next && is_norm(*next)) call.norm = next, ++count;
  if (Module* next = at(first + count); next && is_exactly<ReLU>(*next)) call.relu = next, ++count;
  if (count == 1 || !call.possible()) return 0;
  const Tensor y = call.run(x);
  if (!y.defined()) return 0;
  x = y;
  return count;
}

}  // namespace nnm::nn
