// Recognising calls that one pass does together, and doing them.
#include "nnm/lang/fused_nodes.h"

#include "nnm/nn/layers/activation.h"
#include "nnm/nn/layers/conv.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/layers/pool.h"

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

/// A call of the function of that name, or null.
const FunctionNode* function_call(const NodeRef& n, std::string_view name) {
  const auto* call = dynamic_cast<const FunctionNode*>(n.get());
  return call && call->function()->name() == name ? call : nullptr;
}
const FunctionNode* relu_call(const NodeRef& n) { return function_call(n, "relu"); }

FusedRef as_fused(const NodeRef& n) { return std::dynamic_pointer_cast<const FusedNode>(n); }

const ModuleCallNode* conv_call(const NodeRef& n) {
  const ModuleCallNode* call = child_call(n);
  return call && is_layer<nn::Conv2d>(call->callee()->child()->slot) ? call : nullptr;
}

/// A call of a layer with one argument or of a function, on its first argument.
struct Call {
  const ModuleCallNode* layer = nullptr;
  const FunctionNode* function = nullptr;

  template <class Layer>
  static Call of(const NodeRef& n, std::string_view function_name) {
    if (const FunctionNode* f = function_call(n, function_name)) return {nullptr, f};
    const ModuleCallNode* call = child_call(n);
    if (call && is_layer<Layer>(call->callee()->child()->slot)) return {call, nullptr};
    return {};
  }
  explicit operator bool() const { return layer || function; }
  Ref<ModuleSlot> slot() const { return layer ? layer->callee()->child()->slot : nullptr; }
  NodeRef argument() const { return layer ? layer->argument() : function->args()[0].value; }
  NodeRef on(NodeRef argument) const {
    return layer ? layer->with_argument(std::move(argument))
                 : function->with_first(std::move(argument));
  }
};

bool is_false(const NodeRef& n) {
  const Value* v = n->constant();
  return v && v->is(Kind::boolean) && !v->boolean();
}

/// The arguments of a call of max_pool2d that are known already; nothing where one is not, or where
/// places are asked for.
std::optional<MaxPooling> constant_pooling(const FunctionNode& n) {
  const auto& args = n.args();
  for (size_t i = 1; i < args.size(); ++i)
    if (!args[i].value->constant()) return {};
  const auto size = [&](size_t i) { return Codec<Size2>::read(*args[i].value->constant()); };
  const auto flag = [&](size_t i) { return Codec<bool>::read(*args[i].value->constant()); };
  if (flag(6)) return {};
  return MaxPooling{size(1), Codec<std::optional<Size2>>::read(*args[2].value->constant()), size(3),
                    size(4), flag(5)};
}

/// A max pooling of a relu, or null.
NodeRef pooled(const NodeRef& node, const std::function<int()>& new_slot) {
  const Call pool = Call::of<nn::MaxPool2d>(node, "max_pool2d");
  if (!pool) return nullptr;
  const FusedRef inner = as_fused(pool.argument());
  const Call relu = Call::of<nn::ReLU>(inner ? inner->plain() : pool.argument(), "relu");
  if (!relu || (relu.function && !is_false(relu.function->args()[1].value))) return nullptr;
  PooledNode::Layers layers{nullptr, relu.slot(), pool.slot(), {}};
  if (pool.function) {
    const auto arguments = constant_pooling(*pool.function);
    if (!arguments) return nullptr;
    layers.pooling = *arguments;
  }
  // Of what has been convolved, on a slot of its own.
  const auto behind = [&](const NodeRef& plain, const NodeRef& input) {
    const int slot = new_slot();
    NodeRef body = pool.on(relu.on(std::make_shared<SlotNode>(input->span, slot)));
    return std::make_shared<PooledNode>(plain, std::move(body), input, slot, layers);
  };
  const NodeRef before = relu.argument();
  const NodeRef apart = behind(node, before);
  const ModuleCallNode* conv = conv_call(before);
  if (!conv) return apart;
  const int slot = new_slot();
  const NodeRef& input = conv->argument();
  const NodeRef on_slot = conv->with_argument(std::make_shared<SlotNode>(input->span, slot));
  NodeRef body = behind(pool.on(relu.on(on_slot)), on_slot);
  layers.conv = conv->callee()->child()->slot;
  return std::make_shared<PooledNode>(apart, std::move(body), input, slot, layers);
}

}  // namespace

NodeRef with_fusion(const NodeRef& node, const std::function<int()>& new_slot) {
  if (NodeRef n = pooled(node, new_slot)) return n;
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

nn::PooledCall PooledNode::call() const {
  const auto module = [](const Ref<ModuleSlot>& s) { return s ? s->value.get() : nullptr; };
  return {module(layers_.conv), module(layers_.relu), module(layers_.pool)};
}

bool PooledNode::possible(const Frame& f) const {
  if (f.check) return false;
  for (const Ref<ModuleSlot>& s : {layers_.conv, layers_.relu, layers_.pool})
    if (s && !s->value) return false;
  return call().possible();
}

Value PooledNode::eval(Frame& f) const {
  if (!possible(f)) return plain_->eval(f);
  Value& x = f.slots[slot_];
  x = input_->eval(f);
  // What the input has called may have changed the layers.
  if (x.holds<Tensor>() && possible(f)) {
    if (const Tensor y = call().run(x.as<Tensor>(), layers_.pooling); y.defined()) {
      x = Value();
      return y;
    }
  }
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
