// Layers that one pass over an image can do together.
#include "nnm/nn/layers/fused.h"

#include <typeinfo>
#include <utility>

#include "nnm/autograd/node.h"
#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/layers/pool.h"

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

bool PooledCall::possible() const {
  if (!grad_enabled() || one_by_one) return false;
  if (conv && (!is_exactly<Conv2d>(*conv) || conv->is_watched())) return false;
  if (relu && (!is_exactly<ReLU>(*relu) || relu->is_watched())) return false;
  if (relu && !conv && static_cast<const ReLU&>(*relu).options.inplace) return false;
  if (!pool) return true;
  return is_exactly<MaxPool2d>(*pool) && !pool->is_watched() &&
         !static_cast<const MaxPool2d&>(*pool).options.return_indices;
}

Tensor PooledCall::run(const Tensor& x, const MaxPooling& pooling) const {
  const auto with = [&](const MaxPooling& p) {
    return conv ? static_cast<Conv2d&>(*conv).forward(x, p) : relu_max_pool2d(x, p);
  };
  if (!pool) return with(pooling);
  const auto& o = static_cast<const MaxPool2d&>(*pool).options;
  return with({o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode});
}

namespace {

using Slots = std::span<const Ref<ModuleSlot>>;

Module* layer(Slots slots, size_t i) { return i < slots.size() ? slots[i]->value.get() : nullptr; }

template <class Layer>
bool is_layer(const Module* m) {
  return m && is_exactly<Layer>(*m);
}

size_t run_pooled(Slots slots, size_t first, Tensor& x) {
  PooledCall call;
  size_t count = 0;
  if (is_layer<Conv2d>(layer(slots, first))) call.conv = layer(slots, first + count++);
  if (!is_layer<ReLU>(layer(slots, first + count))) return 0;
  call.relu = layer(slots, first + count++);
  if (!is_layer<MaxPool2d>(layer(slots, first + count))) return 0;
  call.pool = layer(slots, first + count++);
  if (!call.possible()) return 0;
  const Tensor y = call.run(x);
  if (!y.defined()) return 0;
  x = y;
  return count;
}

}  // namespace

size_t run_fused(Slots slots, size_t first, Tensor& x) {
  if (grad_enabled()) return run_pooled(slots, first, x);
  FusedCall call{layer(slots, first)};
  if (!is_layer<Conv2d>(call.conv)) return 0;
  size_t count = 1;
  if (is_layer<BatchNorm2d>(layer(slots, first + count))) call.norm = layer(slots, first + count++);
  if (is_layer<ReLU>(layer(slots, first + count))) call.relu = layer(slots, first + count++);
  if (count == 1 || !call.possible()) return 0;
  const Tensor y = call.run(x);
  if (!y.defined()) return 0;
  x = y;
  return count;
}

}  // namespace nnm::nn
