// Looking up the names of a class.
#include "nnm/lang/forward_names.h"

#include "nnm/base/literal.h"
#include "nnm/lang/forward_steps.h"

namespace nnm::lang {

namespace {

void plain_keys(const Block& block, std::set<std::string>& out) {
  for (const BlockItem& item : block.items) {
    if (item.kind == BlockItem::Kind::entry && item.key && item.key->is_plain())
      out.insert(item.key->plain());
    if (item.body) plain_keys(*item.body, out);
    for (const auto& branch : item.branches) plain_keys(*branch.body, out);
  }
}

}  // namespace

ForwardNames::ForwardNames(const ForwardScope& scope) : scope_(scope) {
  for (const Block* b :
       {&scope.definition->modules, &scope.definition->params, &scope.definition->buffers})
    plain_keys(*b, declared_);
}

NodeRef ForwardNames::value(const std::string& path, const Span& at) const {
  const auto found = scope_.values->find(path);
  return found == scope_.values->end() ? nullptr
                                       : std::make_shared<ConstantNode>(at, found->second);
}

NodeRef ForwardNames::child(const std::string& path, const Span& at) const {
  const size_t dot = path.find('.');
  const std::string first = path.substr(0, dot);
  if (scope_.failed->count(first)) return std::make_shared<FailedNode>(at);
  Ref<ModuleSlot> slot = child_slot(*scope_.self, first);
  if (!slot) return nullptr;
  NodeRef node = std::make_shared<ChildNode>(at, std::move(slot), first);
  for (size_t from = dot; from != std::string::npos;) {
    const size_t next = path.find('.', from + 1);
    const std::string part = path.substr(from + 1, next - from - 1);
    const ChildNode* child = node->child();
    NodeRef member = child ? child->member(part, at) : nullptr;
    if (!member || !member->child()) return nullptr;
    node = std::move(member);
    from = next;
  }
  return node;
}

NodeRef ForwardNames::member(const std::string& path, const Span& at) const {
  if (NodeRef found = child(path, at)) return found;
  const size_t dot = path.rfind('.');
  if (dot == std::string::npos) {
    if (NodeRef tensor = tensor_member(*scope_.self, path, at)) return tensor;
    return left_out(path) ? std::make_shared<ConstantNode>(at, Value()) : nullptr;
  }
  const NodeRef owner = child(path.substr(0, dot), at);
  const ChildNode* of = owner ? owner->child() : nullptr;
  return of ? of->member(path.substr(dot + 1), at) : nullptr;
}

NodeRef ForwardNames::made_with(const std::string& path, const Span& at) const {
  const Module* m = scope_.self;
  const ForwardSource* of = nullptr;  // the innermost class on the way
  size_t from = 0, own = 0;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', from)) {
    m = m->child(path.substr(from, dot - from));
    if (!m) return nullptr;
    from = dot + 1;
    if (const auto* c = dynamic_cast<const ClassModule*>(m)) {
      of = &c->source();
      own = from;
    }
  }
  const std::string name = path.substr(own);
  const bool argument = of && own == from;
  const auto& values = argument ? of->values : of ? of->made : *scope_.made;
  const auto found = values.find(name);
  return found == values.end() || found->second.is(Value::Kind::callable)
             ? nullptr
             : std::make_shared<ConstantNode>(at, found->second);
}

bool ForwardNames::left_out(const std::string& name) const {
  return declared_.count(name) && !scope_.failed->count(name) && !child_slot(*scope_.self, name) &&
         !is_tensor(name);
}

bool ForwardNames::is_tensor(const std::string& name) const {
  return tensor_member(*scope_.self, name, {}) != nullptr;
}

bool ForwardNames::known(const std::string& name) const {
  static const std::set<std::string> words = {"training", "self", "inf", "nan", "pi"};
  return words.count(name) || scope_.values->count(name) || scope_.failed->count(name) ||
         declared_.count(name) || child_slot(*scope_.self, name) || is_tensor(name) ||
         !find_dtype(name).is_none();
}

void ForwardNames::list(std::vector<std::string>& out) const {
  for (const auto& [name, value] : *scope_.values) out.push_back(name);
  for (const auto& s : scope_.self->parameter_slots()) out.push_back(s->name);
  for (const auto& s : scope_.self->buffer_slots()) out.push_back(s->name);
}

}  // namespace nnm::lang
