// The steps that statements of a forward become.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/compiled_nodes.h"
#include "nnm/lang/forward.h"

namespace nnm::lang {

/// name = value, or an unpacking.
class AssignStep final : public Step {
 public:
  AssignStep(Span span, Destination place, NodeRef value)
      : span_(std::move(span)), place_(std::move(place)), value_(std::move(value)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;
  const NodeRef& value() const { return value_; }
  int slot() const { return place_.slot; }  ///< below 0 for an unpacking

 private:
  Span span_;
  Destination place_;
  NodeRef value_;
};

/// self.name = value, of a buffer.
class BufferStep final : public Step {
 public:
  BufferStep(Span span, Ref<TensorSlot> slot, NodeRef value)
      : span_(std::move(span)), slot_(std::move(slot)), value_(std::move(value)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;

 private:
  Span span_;
  Ref<TensorSlot> slot_;
  NodeRef value_;
};

class ReturnStep final : public Step {
 public:
  ReturnStep(std::vector<NodeRef> values, std::vector<std::string> names)
      : values_(std::move(values)), names_(std::move(names)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;

 private:
  std::vector<NodeRef> values_;
  std::vector<std::string> names_;
};

class RequireStep final : public Step {
 public:
  RequireStep(Span span, NodeRef condition, NodeRef text, std::string code)
      : span_(std::move(span)),
        condition_(std::move(condition)),
        text_(std::move(text)),
        code_(std::move(code)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;

 private:
  Span span_;
  NodeRef condition_, text_;
  std::string code_;
};

class IfStep final : public Step {
 public:
  struct Branch {
    NodeRef condition;  ///< null for else
    Steps body;
  };
  explicit IfStep(std::vector<Branch> branches) : branches_(std::move(branches)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;

 private:
  std::vector<Branch> branches_;
};

/// A loop whose list is known only while running.
class LoopStep final : public Step {
 public:
  LoopStep(Span span, NodeRef iterable, Destination place, Steps body)
      : span_(std::move(span)),
        iterable_(std::move(iterable)),
        place_(std::move(place)),
        body_(std::move(body)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;

 private:
  Span span_;
  NodeRef iterable_;
  Destination place_;
  Steps body_;
};

/// One round of a loop that was expanded; a check says which.
class RoundStep final : public Step {
 public:
  RoundStep(Steps body, std::function<Note()> note)
      : body_(std::move(body)), note_(std::move(note)) {}
  bool run(Frame& f) const override;
  bool fail(Frame& f) const override;

 private:
  Steps body_;
  std::function<Note()> note_;
};

/// Whether an input was given.
class GivenNode final : public Node {
 public:
  GivenNode(Span span, int slot) : Node(std::move(span)), slot_(slot) {}
  Value eval(Frame& f) const override { return !f.slots[slot_].is_none(); }

 private:
  int slot_;
};

/// A child that could not be built: what follows from it is not reported.
class FailedNode final : public Node {
 public:
  using Node::Node;
  Value eval(Frame&) const override { return poison(); }
  bool lost() const override { return true; }
};

}  // namespace nnm::lang
