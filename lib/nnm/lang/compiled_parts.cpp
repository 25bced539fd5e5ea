// What is known item by item before running: containers of a known module and their slices, lists
// of children, and what enumerate, zip and their like make of them.
#include <algorithm>

#include "nnm/lang/compiled_nodes.h"
#include "nnm/nn/layers/container.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;
using Parts = std::vector<NodeRef>;

NodeRef known_part(const Span& at, Value v) {
  return std::make_shared<ConstantNode>(at, std::move(v));
}

}  // namespace

std::optional<Parts> ConstantNode::parts() const {
  if (!value_.is_sequence()) return std::nullopt;
  Parts out;
  for (const Value& v : value_.items()) out.push_back(known_part(span, v));
  return out;
}

std::optional<Parts> ChildNode::parts() const {
  Parts out;
  if (!slot->value) return std::nullopt;
  if (has_keys(*slot->value)) {
    for (std::string& key : keys_of(*slot->value)) out.push_back(known_part(span, std::move(key)));
    return out;
  }
  for (const std::string& name : positions()) {
    NodeRef part = member(name, span);
    const ChildNode* child = part ? part->child() : nullptr;
    if (part && !(child && !child->slot->value)) out.push_back(std::move(part));
  }
  return out;
}

std::optional<Parts> SequenceNode::parts() const {
  const auto settled = [](const NodeRef& n) {
    // A buffer may be another one when it is read.
    const auto* tensor = dynamic_cast<const TensorSlotNode*>(n.get());
    return n->constant() || n->child() ||
           (tensor && is_parameter(tensor->slot->value) && !tensor->slot->source) || n->parts();
  };
  if (!std::all_of(items_.begin(), items_.end(), settled)) return std::nullopt;
  return items_;
}

Value ChildSliceNode::eval(Frame& f) const { return subscript(container_->eval(f), slice_); }

NodeRef sliced_children(const NodeRef& of, const Value& key, const Span& at) {
  if (!key.is(Kind::slice)) return nullptr;
  const ChildNode& child = *of->child();
  const Module* m = child.slot->value.get();
  const bool list = dynamic_cast<const nn::IndexedContainer*>(m);
  if (!list && !dynamic_cast<const nn::ParameterList*>(m)) return nullptr;
  const std::vector<std::string> names = child.positions();
  Parts parts;
  for (const size_t i : slice_positions(key, names.size()))
    if (NodeRef member = child.member(names[i], at)) parts.push_back(std::move(member));
  return std::make_shared<ChildSliceNode>(at, of, key, std::move(parts));
}

namespace {

NodeRef listed(const Span& at, Parts items, bool tuple = false) {
  return std::make_shared<SequenceNode>(at, tuple, std::move(items));
}

NodeRef numbered(const Span& at, Parts items, int64_t start) {
  for (NodeRef& item : items) item = listed(at, {known_part(at, start++), std::move(item)}, true);
  return listed(at, std::move(items));
}

NodeRef zipped(const Span& at, const std::vector<Parts>& columns) {
  size_t n = columns[0].size();
  for (const Parts& c : columns) n = std::min(n, c.size());
  Parts rows;
  for (size_t i = 0; i < n; ++i) {
    Parts row;
    for (const Parts& c : columns) row.push_back(c[i]);
    rows.push_back(listed(at, std::move(row), true));
  }
  return listed(at, std::move(rows));
}

/// keys(d), values(d) and items(d) of a child.
NodeRef entries(const Span& at, const std::string& what, const ChildNode& dict) {
  Parts out;
  for (const std::string& key : keys_of(*dict.slot->value)) {
    NodeRef name = known_part(at, key), value = dict.member(key, at);
    if (what == "items") out.push_back(listed(at, {std::move(name), std::move(value)}, true));
    else out.push_back(what == "keys" ? std::move(name) : std::move(value));
  }
  return listed(at, std::move(out));
}

}  // namespace

NodeRef Compiler::call_on_parts(const std::string& name, const CallArgs& args, const Expr& callee) {
  // What is known as values is computed like everything else.
  if (args.all.empty() || args.constant() || !find_native(name)) return nullptr;
  const Span& at = callee.span;
  std::vector<Parts> columns;
  int64_t start = 0;
  for (size_t i = 0; i < args.all.size(); ++i) {
    const CallArgs::One& a = args.all[i];
    const Value* v = a.value->constant();
    if (name == "enumerate" && i == 1 && v && v->is(Kind::integer) &&
        (a.name.empty() || a.name == "start")) {
      start = v->integer();
      continue;
    }
    std::optional<Parts> parts = a.name.empty() ? a.value->parts() : std::nullopt;
    if (!parts) return nullptr;
    columns.push_back(std::move(*parts));
  }
  if (name == "zip") return zipped(at, columns);
  if (columns.size() != 1) return nullptr;
  Parts& items = columns[0];
  const ChildNode* child = args.all[0].value->child();
  if (name == "len") return constant(at, static_cast<int64_t>(items.size()));
  if (name == "enumerate") return numbered(at, std::move(items), start);
  if (name == "list" || name == "tuple") return listed(at, std::move(items), name == "tuple");
  if (name == "reversed") return listed(at, Parts(items.rbegin(), items.rend()));
  if (name == "pairs" && !items.empty())
    return zipped(at, {items, Parts(items.begin() + 1, items.end())});
  const bool dict = child && child->slot->value && has_keys(*child->slot->value);
  if (dict && (name == "items" || name == "keys" || name == "values"))
    return entries(at, name, *child);
  return nullptr;
}

}  // namespace nnm::lang
