// Slots of modules, and what makes a tensor a parameter.
#include "nnm/nn/slot.h"

#include "nnm/nn/module.h"

namespace nnm {

ModuleSlot::ModuleSlot(std::string slot_name, Ref<Module> module)
    : name(std::move(slot_name)), value(std::move(module)) {}

ModuleSlot::~ModuleSlot() = default;

Tensor parameter(const Tensor& data, bool requires_grad) {
  NNM_CHECK(!requires_grad || is_floating(data.dtype()), runtime,
            "Only Tensors of floating point and complex dtype can require gradients");
  Tensor p = data.detach();
  p.impl()->is_parameter = true;
  p.requires_grad_(requires_grad);
  return p;
}

}  // namespace nnm
