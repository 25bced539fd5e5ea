// Compiled expressions: trees of nodes over slots, in which names, functions, defaults and
// constants are settled.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/eval.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

class CheckSession;
class ForwardWatcher;

/// What one run works on.
struct Frame {
  Value* slots = nullptr;
  Module* self = nullptr;
  bool training = false;
  CheckSession* check = nullptr;  ///< collects errors instead of stopping at the first
  ForwardWatcher* watch = nullptr;
  bool building = false;  ///< a constant expression is being evaluated, not a forward run
  Value result;           ///< of `return`
};

class ChildNode;
class Node;
using NodeRef = std::shared_ptr<const Node>;

/// A value to be computed.
class Node {
 public:
  explicit Node(Span span) : span(std::move(span)) {}
  virtual ~Node() = default;
  virtual Value eval(Frame& f) const = 0;
  /// The value, where it is known before running; else null.
  virtual const Value* constant() const { return nullptr; }
  /// Itself, where it is a child of a known module; else null.
  virtual const ChildNode* child() const { return nullptr; }
  /// Its items, where they are known before running as values or as children of a known module: a
  /// loop over them is unrolled.
  virtual std::optional<std::vector<NodeRef>> parts() const { return std::nullopt; }
  /// Whether it stands for something that could not be made, which was reported.
  virtual bool lost() const { return false; }

  Span span;
};

class ConstantNode final : public Node {
 public:
  ConstantNode(Span span, Value value) : Node(std::move(span)), value_(std::move(value)) {}
  Value eval(Frame&) const override { return value_; }
  const Value* constant() const override { return &value_; }
  std::optional<std::vector<NodeRef>> parts() const override;

 private:
  Value value_;
};

class SlotNode final : public Node {
 public:
  SlotNode(Span span, int slot) : Node(std::move(span)), slot_(slot) {}
  Value eval(Frame& f) const override { return f.slots[slot_]; }
  int slot() const { return slot_; }

 private:
  int slot_;
};

/// A child by the slot it is registered in: one that is replaced later is seen.
class ChildNode final : public Node {
 public:
  ChildNode(Span span, Ref<ModuleSlot> slot, std::string path)
      : Node(std::move(span)), slot(std::move(slot)), path(std::move(path)) {}
  Value eval(Frame&) const override { return slot->value; }
  const ChildNode* child() const override { return this; }
  std::optional<std::vector<NodeRef>> parts() const override;
  /// The node of a member (child, parameter or buffer), or null.
  NodeRef member(const std::string& name, Span at) const;
  /// The names of what stands in it by position: children, or the entries of a ParameterList.
  std::vector<std::string> positions() const;

  Ref<ModuleSlot> slot;
  std::string path;  ///< from the module whose forward this is, for messages
};

/// The node of a module's parameter or buffer, or null.
NodeRef tensor_member(const Module& m, const std::string& name, Span at);
/// The slot of a module's child, or null.
Ref<ModuleSlot> child_slot(const Module& m, std::string_view name);

/// Where in the slots a target's values go: a slot, or a tuple of them.
struct Destination {
  int slot = -1;
  std::vector<Destination> items;
  /// Throws Error(value) where the lengths differ.
  void store(Frame& f, const Value& v) const;
};

/// Arguments of a call, compiled.
struct CallArgs {
  struct One {
    std::string name;  ///< "" for a positional one
    NodeRef value;
    Span span;       ///< of the value
    Span name_span;  ///< of the keyword
  };
  std::vector<One> all;
  /// Whether every argument is known.
  bool constant() const;
  /// The values of known arguments.
  Args values() const;
  /// Where to point for what binding threw.
  Span place(const BindError& e, const Span& callee) const;
  /// Where to point for what a layer says of its arguments: at the one that it names first.
  Span place(const std::string& message, const Signature& signature, const Span& callee) const;
};

/// Whether e is the bare name `self`.
inline bool is_self(const Expr& e) {
  return e.kind == Expr::Kind::name && e.name.is_plain() && e.name.plain() == "self";
}

/// Turns expressions into nodes. What names mean beside local variables is a subclass's.
class Compiler {
 public:
  virtual ~Compiler() = default;
  /// Throws Fault.
  NodeRef compile(const Expr& e);
  int slot_count() const { return slots_; }

 protected:
  struct Local {
    std::string name;
    int slot = -1;
    NodeRef known;       ///< its value at this point, where the compiler knows it
    bool maybe = false;  ///< not set on every way here
  };

  /// A name or dotted path that is no local variable, or null; nothing longer than `path` is meant.
  virtual NodeRef resolve(const std::string& path, const Expr& at) = 0;
  /// The same of `self.path`: what the module has comes before other meanings of the name.
  virtual NodeRef resolve_member(const std::string& path, const Expr& at) {
    return resolve(path, at);
  }
  /// Throws Fault for an operand of arithmetic whose name hides what is meant.
  virtual void check_operand(const Expr&) const {}
  /// A call of what a subclass knows (a layer, a class, `given`), or null.
  virtual NodeRef resolve_call(const std::string& name, const Expr& callee, const Expr& call,
                               CallArgs& args);
  /// Looked up before functions: whether a name is callable here (children).
  virtual NodeRef resolve_callee(const std::string& name, const Expr& at);
  /// A child whose name is made while running.
  virtual NodeRef dynamic_callee(const Expr& callee, std::vector<NodeRef> pieces);
  /// What a word means as a keyword argument of a call, where nothing has its name.
  virtual std::optional<Value> word(const std::string& callee, const std::string& argument,
                                    const std::string& text);
  /// A name that nothing knows: a node, or a Fault.
  virtual NodeRef unknown(const std::string& name, const Expr& at);
  /// Names for suggestions, beside local variables.
  virtual void names(std::vector<std::string>& out) const = 0;
  /// Callables for suggestions, beside functions.
  virtual void callables(std::vector<std::string>&) const {}
  virtual const char* callable_kind() const { return "function"; }
  /// Whether a class of `define:` has that name.
  virtual bool is_class(const std::string&) const { return false; }
  /// Whether functions of tensors of constants are computed at once (outside of forward).
  virtual bool eager() const { return true; }

  /// Counts work, so that no text keeps a compiler busy for ever. Throws Fault.
  void spend(const Span& at);
  Local* local(const std::string& name);
  int new_slot() { return slots_++; }
  /// The text of a template whose expressions are known, else nothing.
  std::optional<std::string> known_text(const Template& t);
  std::vector<NodeRef> pieces(const Template& t);
  NodeRef constant(const Span& span, Value v) {
    return std::make_shared<ConstantNode>(span, std::move(v));
  }
  /// `name`, `self.name`, `a.b.c` as a dotted text; nothing for other expressions.
  std::optional<std::string> dotted(const Expr& e);
  /// Binds a target's names to what is known before running, as local variables.
  void bind_known(const Target& target, const NodeRef& node);
  /// The items of what is known or has parts.
  std::vector<NodeRef> known_items(const NodeRef& node);
  /// Binds a target's names to fresh slots.
  Destination declare(const Target& target);
  NodeRef call_function(const std::string& name, CallArgs& args, const Expr& callee);
  NodeRef bind_function(const Function& function, CallArgs& args, const Expr& callee);
  /// `enumerate(layers)`, `len(layers)` and their like of what has parts; else null.
  NodeRef call_on_parts(const std::string& name, const CallArgs& args, const Expr& callee);
  NodeRef call_rearrange(CallArgs& args, const Expr& callee);
  NodeRef call_load(CallArgs& args, const Expr& callee);
  NodeRef call_method(const Expr& callee, CallArgs& args);
  void refuse_call(const Expr& callee) const;
  void refuse_namespace(const std::string& path, const Expr& callee);
  /// Throws for `nn.Linear`, `F.relu`, `math.pi`: of PyTorch and Python the last name alone.
  void refuse_qualified(const std::string& path, const Expr& at);
  [[noreturn]] void unknown_member(const std::string& name, const Span& at) const;
  [[noreturn]] void unknown_callable(const std::string& name, const char* kind, const Span& at);
  /// The node of a value that is known now.
  NodeRef fold(const NodeRef& n);

  std::vector<Local> locals_;
  int slots_ = 0;

 private:
  NodeRef compile_text(const Expr& e);
  NodeRef compile_name(const Expr& e);
  NodeRef compile_sequence(const Expr& e);
  NodeRef compile_comprehension(const Expr& e);
  NodeRef compile_unary(const Expr& e);
  NodeRef compile_binary(const Expr& e);
  NodeRef compile_compare(const Expr& e);
  NodeRef compile_logic(const Expr& e);
  NodeRef compile_conditional(const Expr& e);
  NodeRef compile_index(const Expr& e);
  NodeRef compile_slice(const Expr& e);
  NodeRef compile_attribute(const Expr& e);
  NodeRef compile_call(const Expr& callee, CallArgs args, const Expr& call);
  NodeRef compile_pipe(const Expr& e);
  NodeRef call_named(const Expr& callee, CallArgs& args, const Expr& call);
  CallArgs compile_args(const Expr& call);

  int64_t spent_ = 0;
  int depth_ = 0;
};

}  // namespace nnm::lang
