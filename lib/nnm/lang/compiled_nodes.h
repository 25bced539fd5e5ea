// The nodes of compiled expressions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/compiled.h"

namespace nnm::lang {

/// Stands for the result of something that failed: in a check, what follows from an error is not
/// reported again.
Value poison();
bool is_poison(const Value& v);

/// What a slot holds that was never set.
Value unset();

/// Arguments that do not fit the inputs of a class.
struct CallError : Error {
  CallError(const std::string& message, std::string hint)
      : Error(ErrorKind::type, message, std::move(hint)) {}
};

/// Makes a Fault of what an operation threw: "`relu`: …" at the place. Faults, and errors that are
/// not the config's (a full disk, an interrupt), pass as they are.
[[noreturn]] void throw_at_place(const Frame& f, const Span& at, const std::string& what,
                                 const Error& e, std::vector<Note> notes = {});
/// The same; in a check it is reported and the result is poison. Call it where e is caught.
Value failed(const Frame& f, const Span& at, const std::string& what, const Error& e,
             std::vector<Note> notes = {});

/// The items of a value in a forward; the rows of a tensor are told to who looks on.
Values iterate_at(const Frame& f, const Value& v);

class TextNode final : public Node {
 public:
  TextNode(Span span, std::vector<NodeRef> pieces)
      : Node(std::move(span)), pieces_(std::move(pieces)) {}
  Value eval(Frame& f) const override;

 private:
  std::vector<NodeRef> pieces_;
};

class SequenceNode final : public Node {
 public:
  SequenceNode(Span span, bool tuple, std::vector<NodeRef> items)
      : Node(std::move(span)), tuple_(tuple), items_(std::move(items)) {}
  Value eval(Frame& f) const override;
  std::optional<std::vector<NodeRef>> parts() const override;

 private:
  bool tuple_;
  std::vector<NodeRef> items_;
};

/// `layers[1:]` of a known container.
class ChildSliceNode final : public Node {
 public:
  ChildSliceNode(Span span, NodeRef container, Value slice, std::vector<NodeRef> parts)
      : Node(std::move(span)),
        container_(std::move(container)),
        slice_(std::move(slice)),
        parts_(std::move(parts)) {}
  Value eval(Frame& f) const override;
  std::optional<std::vector<NodeRef>> parts() const override { return parts_; }

 private:
  NodeRef container_;
  Value slice_;
  std::vector<NodeRef> parts_;
};

/// The node of a slice of a list of children, or null.
NodeRef sliced_children(const NodeRef& of, const Value& key, const Span& at);

/// A call of a variable that is called as a function is: of the module that it holds, if it does.
class HeldCallNode final : public Node {
 public:
  HeldCallNode(Span span, NodeRef held, NodeRef module, NodeRef function)
      : Node(std::move(span)),
        held_(std::move(held)),
        module_(std::move(module)),
        function_(std::move(function)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef held_, module_, function_;
};

/// The items of a list, or one value, as a tuple.
class SpreadNode final : public Node {
 public:
  SpreadNode(Span span, NodeRef list) : Node(std::move(span)), list_(std::move(list)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef list_;
};

/// A local variable that is not set on every way here.
class CheckedSlotNode final : public Node {
 public:
  CheckedSlotNode(Span span, int slot, std::string name)
      : Node(std::move(span)), slot_(slot), name_(std::move(name)) {}
  Value eval(Frame& f) const override;

 private:
  int slot_;
  std::string name_;
};

/// A comprehension whose list is known only while running.
class ComprehensionNode final : public Node {
 public:
  ComprehensionNode(Span span, NodeRef iterable, Destination place, NodeRef condition,
                    NodeRef element)
      : Node(std::move(span)),
        iterable_(std::move(iterable)),
        condition_(std::move(condition)),
        element_(std::move(element)),
        place_(std::move(place)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef iterable_, condition_, element_;
  Destination place_;
};

class UnaryNode final : public Node {
 public:
  UnaryNode(Span span, std::string op, NodeRef a)
      : Node(std::move(span)), op_(std::move(op)), a_(std::move(a)) {}
  Value eval(Frame& f) const override;

 private:
  std::string op_;
  NodeRef a_;
};

class BinaryNode final : public Node {
 public:
  /// The span is that of the operator; `label` names it in messages (`+=`).
  BinaryNode(Span span, std::string op, std::string label, NodeRef a, NodeRef b)
      : Node(std::move(span)),
        op_(std::move(op)),
        label_(std::move(label)),
        a_(std::move(a)),
        b_(std::move(b)) {}
  Value eval(Frame& f) const override;
  const std::string& op() const { return op_; }
  const NodeRef& a() const { return a_; }
  const NodeRef& b() const { return b_; }
  /// The same of other operands.
  NodeRef with(NodeRef a, NodeRef b) const {
    return std::make_shared<BinaryNode>(span, op_, label_, std::move(a), std::move(b));
  }

 private:
  Value complain(const Frame& f, const Value& a, const Value& b, const Error& e) const;
  std::string op_, label_;
  NodeRef a_, b_;
};

class CompareNode final : public Node {
 public:
  CompareNode(Span span, std::vector<std::string> ops, std::vector<NodeRef> items)
      : Node(std::move(span)), ops_(std::move(ops)), items_(std::move(items)) {}
  Value eval(Frame& f) const override;

 private:
  std::vector<std::string> ops_;
  std::vector<NodeRef> items_;
};

/// `and` of values (Python's: the deciding value itself), or `or`.
class LogicNode final : public Node {
 public:
  LogicNode(Span span, bool is_and, std::vector<NodeRef> items)
      : Node(std::move(span)), and_(is_and), items_(std::move(items)) {}
  Value eval(Frame& f) const override;

 private:
  bool and_;
  std::vector<NodeRef> items_;
};

class ConditionalNode final : public Node {
 public:
  ConditionalNode(Span span, NodeRef value, NodeRef condition, NodeRef otherwise)
      : Node(std::move(span)),
        value_(std::move(value)),
        condition_(std::move(condition)),
        otherwise_(std::move(otherwise)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef value_, condition_, otherwise_;
};

class IndexNode final : public Node {
 public:
  IndexNode(Span span, NodeRef a, NodeRef b)
      : Node(std::move(span)), a_(std::move(a)), b_(std::move(b)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef a_, b_;
};

/// start:stop:step; absent parts are null.
class SliceNode final : public Node {
 public:
  SliceNode(Span span, std::vector<NodeRef> parts)
      : Node(std::move(span)), parts_(std::move(parts)) {}
  Value eval(Frame& f) const override;

 private:
  std::vector<NodeRef> parts_;
};

class AttributeNode final : public Node {
 public:
  AttributeNode(Span span, NodeRef a, std::string name)
      : Node(std::move(span)), a_(std::move(a)), name_(std::move(name)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef a_;
  std::string name_;
};

/// A parameter or buffer, by its slot in the registry.
class TensorSlotNode final : public Node {
 public:
  TensorSlotNode(Span span, Ref<TensorSlot> slot) : Node(std::move(span)), slot(std::move(slot)) {}
  Value eval(Frame&) const override { return slot->read(); }
  Ref<TensorSlot> slot;
};

class TrainingNode final : public Node {
 public:
  using Node::Node;
  Value eval(Frame& f) const override { return f.training; }
};

/// `scaled_dot_product_attention` drops in training mode only.
class WhenTrainingNode final : public Node {
 public:
  explicit WhenTrainingNode(NodeRef p) : Node(p->span), p_(std::move(p)) {}
  Value eval(Frame& f) const override { return f.training ? p_->eval(f) : Value(0.0); }

 private:
  NodeRef p_;
};

/// Evaluates nodes into slots, then the last one: arguments that two functions share.
class LetNode final : public Node {
 public:
  LetNode(Span span, std::vector<std::pair<int, NodeRef>> lets, NodeRef body)
      : Node(std::move(span)), lets_(std::move(lets)), body_(std::move(body)) {}
  Value eval(Frame& f) const override;

 private:
  std::vector<std::pair<int, NodeRef>> lets_;
  NodeRef body_;
};

/// One name, two functions: the one of tensors where a tensor is among the slots.
class EitherNode final : public Node {
 public:
  EitherNode(Span span, std::vector<int> slots, NodeRef tensor, NodeRef plain)
      : Node(std::move(span)),
        slots_(std::move(slots)),
        tensor_(std::move(tensor)),
        plain_(std::move(plain)) {}
  Value eval(Frame& f) const override;

 private:
  std::vector<int> slots_;
  NodeRef tensor_, plain_;
};

/// A function with its arguments in signature order. Constants are converted already.
class FunctionNode final : public Node {
 public:
  struct Arg {
    NodeRef value;
    const Param* param;
    enum class Check : uint8_t { none, tensor, convert } check;
  };
  FunctionNode(Span span, const Function* function, std::vector<Arg> args)
      : Node(std::move(span)), function_(function), args_(std::move(args)) {}
  Value eval(Frame& f) const override;
  const Function* function() const { return function_; }
  const std::vector<Arg>& args() const { return args_; }
  /// The same with another first argument.
  NodeRef with_first(NodeRef value) const;

 private:
  void convert(const Frame& f, const Arg& a, Value& v) const;
  Value complain(const Frame& f, const Value* values, const Error& e) const;
  const Function* function_;
  std::vector<Arg> args_;
};

/// A call of a module: a child, or whatever the callee turns out to be.
class ModuleCallNode final : public Node {
 public:
  ModuleCallNode(Span span, NodeRef callee, std::string label, const CallArgs& args);
  Value eval(Frame& f) const override;
  const NodeRef& callee() const { return callee_; }
  /// The argument, where it is one alone and has no name; else null.
  NodeRef argument() const { return pos_.size() == 1 && kw_.empty() ? pos_[0] : nullptr; }
  /// The same with another argument, where there is one alone.
  NodeRef with_argument(NodeRef value) const;

 private:
  Value call(Frame& f, Module& m) const;
  NodeRef callee_;
  std::string label_;
  std::vector<NodeRef> pos_;
  std::vector<std::pair<std::string, NodeRef>> kw_;
};

/// A tensor that was read when the expression was compiled, where functions create.
class StoredNode final : public Node {
 public:
  StoredNode(Span span, Tensor tensor) : Node(std::move(span)), tensor_(std::move(tensor)) {}
  Value eval(Frame& f) const override;

 private:
  Tensor tensor_;
};

/// einops' rearrange: sizes by names of the pattern.
class RearrangeNode final : public Node {
 public:
  RearrangeNode(Span span, NodeRef x, NodeRef pattern,
                std::vector<std::pair<std::string, NodeRef>> sizes)
      : Node(std::move(span)),
        x_(std::move(x)),
        pattern_(std::move(pattern)),
        sizes_(std::move(sizes)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef x_, pattern_;
  std::vector<std::pair<std::string, NodeRef>> sizes_;
};

/// A child of the module itself whose name is made while running.
class DynamicChildNode final : public Node {
 public:
  DynamicChildNode(Span span, NodeRef name) : Node(std::move(span)), name_(std::move(name)) {}
  Value eval(Frame& f) const override;

 private:
  NodeRef name_;
};

}  // namespace nnm::lang
