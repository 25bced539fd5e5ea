// Recognising calls that one pass does together, and doing them.
#include "nnm/lang/fused_nodes.h"

#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/norm.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

/// What stands in the slot of a y that is still to be computed.
const Value& deferred() {
  struct Mark final : Object {};
  static const Ref<Mark> one = make_ref<Mark>();
  static const Value v(Kind::object, one.get());
  return v;
}

bool is_deferred(const Value& v) { return v.is(Kind::object) && v.object() == deferred().object(); }

/// A call of a child with one argument, or null.
const ModuleCallNode* child_call(const NodeRef& n) {
  const auto* call = dynamic_cast<const ModuleCallNode*>(n.get());
  return call && call->callee()->child() && call->argument() ? call : nullptr;
}

template <class Layer>
bool is_layer(const Ref<ModuleSlot>& slot) {
  return dynamic_cast<const Layer*>(slot->value.get()) != nullptr;
}

/// A call of the function relu, or null.
const FunctionNode* relu_call(const NodeRef& n) {
  const auto* call = dynamic_cast<const FunctionNode*>(n.get());
  return call && call->function()->name() == "relu" ? call : nullptr;
}

FusedRef as_fused(const NodeRef& n) { return std::dynamic_pointer_cast<const FusedNode>(n); }

const ModuleCallNode* conv_call(const NodeRef& n) {
  const ModuleCallNode* call = child_call(n);
  return call && is_layer<nn::Conv2d>(call->callee()->child()->slot) ? call : nullptr;
}

}  // namespace

NodeRef with_fusion(const NodeRef& node, const std::function<int()>& new_slot) {
  const ModuleCallNode* call = child_call(node);
  const FunctionNode* function = relu_call(node);
  if (!call && !function) return node;
  const NodeRef& argument = call ? call->argument() : function->args()[0].value;
  FusedNode::Layers added;
  if (function) {
    added.relu_function = true;
  } else {
    const Ref<ModuleSlot>& slot = call->callee()->child()->slot;
    if (is_layer<nn::BatchNorm2d>(slot)) added.norm = slot;
    else if (is_layer<nn::ReLU>(slot)) added.relu = slot;
    else return node;
  }
  const auto around = [&](NodeRef inner) {
    return call ? call->with_argument(std::move(inner)) : function->with_first(std::move(inner));
  };
  if (const ModuleCallNode* conv = conv_call(argument)) {
    const int slot = new_slot();
    added.conv = conv->callee()->child()->slot;
    NodeRef input = conv->argument();
    NodeRef on_slot = conv->with_argument(std::make_shared<SlotNode>(input->span, slot));
    return std::make_shared<FusedNode>(node, around(std::move(on_slot)), std::move(input), slot,
                                       std::move(added));
  }
  const FusedRef inner = as_fused(argument);
  if (!inner || inner->has_relu() || added.norm) return node;
  added.conv = inner->layers().conv;
  added.norm = inner->layers().norm;
  return std::make_shared<FusedNode>(node, around(inner->body()), inner->input(), inner->slot(),
                                     std::move(added));
}

nn::FusedCall FusedNode::call() const {
  const auto module = [](const Ref<ModuleSlot>& s) { return s ? s->value.get() : nullptr; };
  return {module(layers_.conv), module(layers_.norm), module(layers_.relu)};
}

bool FusedNode::possible(const Frame& f) const {
  if (f.check) return false;
  const bool there =
      (!layers_.norm || layers_.norm->value) && (!layers_.relu || layers_.relu->value);
  return there && call().possible();
}

Tensor FusedNode::run(Frame& f, const Tensor& addend, bool relu) const {
  Value& x = f.slots[slot_];
  if (!x.holds<Tensor>() || !possible(f)) return {};
  Tensor y = call().run(x.as<Tensor>(), addend, relu || layers_.relu_function);
  // Nothing else reads the input there: it may go.
  if (y.defined()) x = Value();
  return y;
}

Value FusedNode::eval(Frame& f) const {
  if (!possible(f)) return plain_->eval(f);
  take_input(f);
  if (const Tensor y = run(f, {}, false); y.defined()) return y;
  return run_calls(f);
}

Value FusedNode::run_calls(Frame& f) const {
  Value y = body_->eval(f);
  f.slots[slot_] = Value();
  return y;
}

bool DeferredStep::run(Frame& f) const {
  if (!value_->possible(f)) return plain_->run(f);
  value_->take_input(f);
  f.slots[slot_] = deferred();
  return false;
}

Value FusedSumNode::eval(Frame& f) const {
  if (!is_deferred(f.slots[slot_])) return plain_->eval(f);
  f.slots[addend_slot_] = addend_->eval(f);
  const Value& addend = f.slots[addend_slot_];
  if (addend.holds<Tensor>()) {
    if (const Tensor y = value_->run(f, addend.as<Tensor>(), true); y.defined()) return y;
  }
  f.slots[slot_] = value_->run_calls(f);
  return body_->eval(f);
}

namespace {

/// The node for `sum`, if it is relu of y (in `slot`, from `value`) and something that does not
/// read y; else null.
NodeRef fused_sum(const NodeRef& node, const FusedRef& value, int slot,
                  const std::function<int()>& new_slot) {
  const FunctionNode* relu = relu_call(node);
  const auto* sum = relu ? dynamic_cast<const BinaryNode*>(relu->args()[0].value.get()) : nullptr;
  if (!sum || sum->op() != "+") return nullptr;
  const auto slot_of = [](const NodeRef& n) {
    const auto* s = dynamic_cast<const SlotNode*>(n.get());
    return s ? s->slot() : -1;
  };
  const bool first = slot_of(sum->a()) == slot;
  if (!first && slot_of(sum->b()) != slot) return nullptr;
  const NodeRef& addend = first ? sum->b() : sum->a();
  // Something simple enough to see that it does not read y: `x`, `downsample(x)`.
  const ModuleCallNode* call = child_call(addend);
  const int read = slot_of(call ? call->argument() : addend);
  if (read < 0 || read == slot) return nullptr;
  const int addend_slot = new_slot();
  const NodeRef held = std::make_shared<SlotNode>(addend->span, addend_slot);
  NodeRef body = relu->with_first(first ? sum->with(sum->a(), held) : sum->with(held, sum->b()));
  return std::make_shared<FusedSumNode>(node, std::move(body), value, slot, addend, addend_slot);
}

}  // namespace

void fuse_return(NodeRef& value, Steps& before, const std::function<int()>& new_slot) {
  const auto* assigned =
      before.empty() ? nullptr : dynamic_cast<const AssignStep*>(before.back().get());
  const FusedRef chain = assigned ? as_fused(assigned->value()) : nullptr;
  if (!chain || chain->has_relu() || assigned->slot() < 0) return;
  const int slot = assigned->slot();
  NodeRef sum = fused_sum(value, chain, slot, new_slot);
  if (!sum) return;
  value = std::move(sum);
  before.back() = std::make_unique<DeferredStep>(std::move(before.back()), chain, slot);
}

}  // namespace nnm::lang
