// The members of Tensor that the tape implements.
#include "nnm/autograd/node.h"

namespace nnm {

bool Tensor::requires_grad() const { return impl_->meta && impl_->meta->requires_grad; }

bool Tensor::is_leaf() const { return !impl_->meta || !impl_->meta->grad_fn; }

const Tensor& Tensor::requires_grad_(bool on) const {
  if (on == requires_grad()) return *this;
  if (on) {
    NNM_CHECK(is_floating(dtype()), runtime,
              "only Tensors of floating point dtype can require gradients");
  } else {
    NNM_CHECK(is_leaf(), runtime,
              "you can only change requires_grad flags of leaf variables. If you want to use a "
              "computed variable "
              "in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
  }
  autograd_meta(*this).requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const { return impl_->meta ? impl_->meta->grad : Tensor(); }

void Tensor::set_grad(Tensor g) const {
  if (!g.defined() && !impl_->meta) return;
  if (g.defined()) {
    NNM_CHECK(g.shape() == shape(), runtime,
              "assigned grad has data of a different size: expected {}, got {}", shape().str(),
              g.shape().str());
    NNM_CHECK(g.dtype() == dtype(), runtime,
              "assigned grad has data of a different type: expected {}, got {}", info(dtype()).name,
              info(g.dtype()).name);
  }
  autograd_meta(*this).grad = std::move(g);
}

Ref<Node> Tensor::grad_fn() const { return impl_->meta ? impl_->meta->grad_fn : Ref<Node>(); }

const char* Tensor::grad_fn_name() const {
  return is_leaf() ? nullptr : impl_->meta->grad_fn->name;
}

uint32_t Tensor::output_nr() const { return impl_->meta ? impl_->meta->output_nr : 0; }

Tensor Tensor::detach() const { return as_strided(impl_->sizes, impl_->strides, impl_->offset); }

void Tensor::retain_grad() const {
  NNM_CHECK(requires_grad(), runtime, "can't retain_grad on Tensor that has requires_grad=False");
  AutogradMeta& meta = *impl_->meta;
  if (!meta.grad_fn || meta.retains_grad) return;
  meta.retains_grad = true;
  meta.grad_fn->hooks().retain_grad.emplace_back(meta.output_nr, impl_.get());
}

bool Tensor::retains_grad() const { return impl_->meta && impl_->meta->retains_grad; }

RemovableHandle Tensor::register_hook(TensorHook hook, std::string name) const {
  NNM_CHECK(requires_grad(), runtime,
            "cannot register a hook on a tensor that doesn't require gradient");
  const Edge edge = gradient_edge(*this);
  auto& list = edge.node->hooks().tensor_pre;
  if (!list) list = make_ref<HookList<NodeHooks::TensorPre>>();
  return list->add({edge.input_nr, std::move(hook), std::move(name)});
}

RemovableHandle Tensor::register_post_accumulate_grad_hook(
    std::function<void(const Tensor&)> hook) const {
  NNM_CHECK(requires_grad(), runtime,
            "cannot register a hook on a tensor that doesn't require gradient");
  NNM_CHECK(is_leaf(), runtime,
            "post accumulate grad hooks cannot be registered on non-leaf tensors");
  auto& list = gradient_edge(*this).node->hooks().post_accumulate;
  if (!list) list = make_ref<HookList<std::function<void(const Tensor&)>>>();
  return list->add(std::move(hook));
}

void Tensor::backward(const Tensor& gradient, bool retain_graph, bool create_graph,
                      const Tensors& inputs) const {
  nnm::backward({*this}, {gradient}, retain_graph, create_graph, inputs);
}

}  // namespace nnm
