// Compiling expressions: names to slots and constants, operators to nodes, constants folded.
#include "nnm/lang/compiled.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "nnm/base/literal.h"
#include "nnm/base/text.h"
#include "nnm/lang/compiled_nodes.h"
#include "nnm/nn/layers/container.h"

namespace nnm::lang {

namespace {

constexpr int64_t kMaxWork = 2'000'000;  // nodes of one expression or forward
constexpr int kMaxDepth = 400;

bool is_known(const NodeRef& n) { return n->constant() != nullptr; }
bool all_known(const std::vector<NodeRef>& nodes) {
  return std::all_of(nodes.begin(), nodes.end(), is_known);
}

/// The node's value, if all that it is made of is known.
NodeRef folded(NodeRef node, bool known) {
  if (!known) return node;
  Frame f;
  f.building = true;
  return std::make_shared<ConstantNode>(node->span, node->eval(f));
}

/// true, false, or nothing where it is not known yet.
std::optional<bool> known_truth(const NodeRef& n) {
  if (!is_known(n)) return std::nullopt;
  try {
    return truth(*n->constant());
  } catch (const Error& e) {
    fault(n->span, "E0401", e.what(), e.hint());
  }
}

struct DepthGuard {
  explicit DepthGuard(int& depth) : depth(depth) { ++depth; }
  ~DepthGuard() { --depth; }
  int& depth;
};

}  // namespace

Ref<ModuleSlot> child_slot(const Module& m, std::string_view name) {
  for (const auto& slot : m.module_slots()) {
    if (slot->name == name) return slot;
  }
  return {};
}

NodeRef tensor_member(const Module& m, const std::string& name, Span at) {
  for (auto slots : {m.parameter_slots(), m.buffer_slots(), m.computed_slots()}) {
    for (const auto& slot : slots) {
      if (slot->name == name) return std::make_shared<TensorSlotNode>(std::move(at), slot);
    }
  }
  return nullptr;
}

NodeRef ChildNode::member(const std::string& name, Span at) const {
  if (!slot->value) return nullptr;
  if (auto s = child_slot(*slot->value, name))
    return std::make_shared<ChildNode>(std::move(at), std::move(s), path + "." + name);
  return tensor_member(*slot->value, name, std::move(at));
}

std::vector<std::string> ChildNode::positions() const {
  std::vector<std::string> out;
  if (!slot->value) return out;
  if (const auto* list = dynamic_cast<const nn::ParameterList*>(slot->value.get())) {
    for (size_t i = 0; i < list->size(); ++i) out.push_back(std::to_string(i));
    return out;
  }
  for (const auto& s : slot->value->module_slots()) out.push_back(s->name);
  return out;
}

NodeRef Compiler::resolve_call(const std::string&, const Expr&, const Expr&, CallArgs&) {
  return nullptr;
}
std::optional<Value> Compiler::word(const std::string&, const std::string&, const std::string&) {
  return std::nullopt;
}
NodeRef Compiler::resolve_callee(const std::string&, const Expr&) { return nullptr; }
NodeRef Compiler::dynamic_callee(const Expr& callee, std::vector<NodeRef>) {
  fault(callee.span, "E0302", "a name made with `${…}` must be known here");
}

void Compiler::spend(const Span& at) {
  if (++spent_ <= kMaxWork) return;
  Fault f(Diagnostic{
      .code = "E0404",
      .message = fmt::format("more than {} steps of evaluation: the loops are too long", kMaxWork),
      .span = at});
  f.silent = spent_ > kMaxWork + 1;  // said once
  throw f;
}

Compiler::Local* Compiler::local(const std::string& name) {
  const auto it = std::find_if(locals_.rbegin(), locals_.rend(),
                               [&](const Local& l) { return l.name == name; });
  return it == locals_.rend() ? nullptr : &*it;
}

NodeRef Compiler::compile(const Expr& e) {
  spend(e.span);
  const DepthGuard guard(depth_);
  if (depth_ > kMaxDepth) fault(e.span, "E0404", "the expression is nested too deeply");
  using Kind = Expr::Kind;
  switch (e.kind) {
    case Kind::literal: return constant(e.span, e.value);
    case Kind::text: return compile_text(e);
    case Kind::name: return compile_name(e);
    case Kind::list:
    case Kind::tuple: return compile_sequence(e);
    case Kind::comprehension: return compile_comprehension(e);
    case Kind::unary: return compile_unary(e);
    case Kind::binary: return compile_binary(e);
    case Kind::compare: return compile_compare(e);
    case Kind::logic: return compile_logic(e);
    case Kind::conditional: return compile_conditional(e);
    case Kind::call: return compile_call(*e.items[0], compile_args(e), e);
    case Kind::index: return compile_index(e);
    case Kind::slice: return compile_slice(e);
    case Kind::attribute: return compile_attribute(e);
    case Kind::pipe: return compile_pipe(e);
  }
  fault(e.span, "E0401", "not an expression");
}

std::vector<NodeRef> Compiler::pieces(const Template& t) {
  std::vector<NodeRef> out;
  for (const Template::Piece& p : t.pieces) {
    out.push_back(p.expr ? compile(*p.expr) : constant(t.span, p.text));
  }
  return out;
}

std::optional<std::string> Compiler::known_text(const Template& t) {
  if (t.is_plain()) return t.plain();
  std::vector<NodeRef> parts = pieces(t);
  if (!all_known(parts)) return std::nullopt;
  const TextNode text(t.span, std::move(parts));
  Frame f;
  f.building = true;
  return text.eval(f).string();
}

NodeRef Compiler::compile_text(const Expr& e) {
  std::vector<NodeRef> parts = pieces(e.name);
  const bool known = all_known(parts);
  return folded(std::make_shared<TextNode>(e.span, std::move(parts)), known);
}

std::optional<std::string> Compiler::dotted(const Expr& e) {
  if (e.kind == Expr::Kind::name) return known_text(e.name);
  if (e.kind != Expr::Kind::attribute) return std::nullopt;
  auto base = dotted(*e.items[0]);
  auto name = base ? known_text(e.name) : std::nullopt;
  if (!name) return std::nullopt;
  return *base + "." + *name;
}

NodeRef Compiler::compile_name(const Expr& e) {
  const auto name = known_text(e.name);
  if (!name) {
    fault(e.span, "E0301", "a name made with `${…}` must be known before running",
          "only a called child may have a name that changes while running");
  }
  if (Local* l = local(*name)) {
    if (l->known) return l->known;
    NodeRef read = std::make_shared<SlotNode>(e.span, l->slot);
    return l->maybe ? std::make_shared<CheckedSlotNode>(e.span, l->slot, *name) : read;
  }
  if (NodeRef n = resolve(*name, e)) return n;
  const Value dtype = find_dtype(*name);
  if (!dtype.is_none()) return constant(e.span, dtype);
  if (*name == "inf") return constant(e.span, INFINITY);
  if (*name == "nan") return constant(e.span, NAN);
  if (*name == "pi") return constant(e.span, M_PI);
  return unknown(*name, e);
}

namespace {

/// Of which programs in Python take PyTorch's names and numbers.
bool is_python_module(const std::string& name) {
  static constexpr std::array kModules = {"nn",   "F",      "torch",   "np",        "numpy",
                                          "math", "linalg", "special", "functional"};
  return std::find(kModules.begin(), kModules.end(), name) != kModules.end();
}

const Expr& root_of(const Expr& path) {
  return path.kind == Expr::Kind::attribute ? root_of(*path.items[0]) : path;
}

}  // namespace

void Compiler::refuse_qualified(const std::string& path, const Expr& at) {
  const std::string first = path.substr(0, path.find('.'));
  const Expr& root = root_of(at);
  if (!is_python_module(first) || local(first) || resolve(first, root)) return;
  const std::string name = path.substr(path.rfind('.') + 1);
  std::vector<std::string> all = {"inf", "nan", "pi"};
  callables(all);
  const bool called = std::find(all.begin(), all.end(), name) != all.end() || find_native(name) ||
                      find_function(name);
  if (!called && Registry<Module>::find(name)) unknown_callable(name, callable_kind(), at.span);
  if (!called) return;
  const bool constant = std::find(all.begin(), all.begin() + 3, name) != all.begin() + 3;
  fault(root.span, "E0301", fmt::format("unknown name `{}`", first),
        fmt::format("PyTorch's names stand by themselves: write `{}{}`", name,
                    constant ? "" : "(…)"));
}

namespace {

/// Whether a name is all that stands between quotes, which YAML has taken away: a text was meant.
bool is_quoted(const std::string& name, const Span& at) {
  if (!at) return false;
  const std::string_view line = at.file->line(at.line);
  for (const char quote : {'"', '\''}) {
    const std::string whole = quote + name + quote;
    for (size_t i = line.find(whole); i != line.npos; i = line.find(whole, i + 1))
      if (code_points(line.substr(0, i)) + 2 == static_cast<size_t>(at.column)) return true;
  }
  return false;
}

}  // namespace

NodeRef Compiler::unknown(const std::string& name, const Expr& at) {
  if (is_quoted(name, at.span))
    fault(at.span, "E0301", fmt::format("unknown name `{}`", name),
          fmt::format("YAML takes these quotes away; a text has its own: '\"{}\"'", name));
  std::vector<std::string> all;
  for (const Local& l : locals_) all.push_back(l.name);
  names(all);
  std::string help;
  if (is_python_module(name))
    help = "PyTorch's names stand by themselves: write `Linear(…)`, `relu(…)`";
  if (name == "self") help = "a child, parameter or buffer goes by its name: `fc(x)`, `self.scale`";
  if (name == "vars")
    help = "a class of `define:` sees its own arguments alone: pass the value as one";
  const Template& written = at.name;
  if (written.pieces.size() == 1 && written.pieces[0].expr) {
    const std::string code = expr_text(*written.pieces[0].expr);
    help = fmt::format("code has no `${{…}}` around values: write `{}`", code);
  }
  if (name == "yes" || name == "on") help = "write `true`";
  if (name == "no" || name == "off") help = "write `false`";
  if (help.empty()) help = did_you_mean(name, all);
  if (help.empty() && (find_native(name) || find_function(name))) {
    const Value dtype = find_dtype("torch." + name);
    help =
        fmt::format("`{0}` is a function: write `{0}(…)`{1}", name,
                    dtype.is_none() ? "" : fmt::format("; the type is `{}`", dtype.config_text()));
  }
  if (help.empty()) {
    std::vector<std::string> known = {"true", "false", "none", "inf", "nan", "pi"};
    for (const char* dtype : kDTypeNames) known.emplace_back(dtype);
    callables(known);
    help = did_you_mean(name, known);
  }
  fault(at.span, "E0301", fmt::format("unknown name `{}`", name), std::move(help));
}

void Compiler::unknown_member(const std::string& name, const Span& at) const {
  std::vector<std::string> all;
  names(all);
  fault(at, "E0301", fmt::format("`self` has no child, parameter or buffer `{}`", name),
        name == "device" ? "leave it away: `--device` places the model and what it is given"
                         : did_you_mean(name, all));
}

NodeRef Compiler::compile_sequence(const Expr& e) {
  std::vector<NodeRef> items;
  for (const ExprRef& item : e.items) items.push_back(compile(*item));
  const bool known = all_known(items);
  const bool tuple = e.kind == Expr::Kind::tuple;
  return folded(std::make_shared<SequenceNode>(e.span, tuple, std::move(items)), known);
}

void Compiler::bind_known(const Target& target, const NodeRef& node) {
  if (target.kind != Target::Kind::tuple) {
    const auto name = known_text(target.name);
    if (!name) fault(target.span, "E0301", "the name must be known before running");
    locals_.push_back({*name, -1, node, false});
    return;
  }
  std::vector<NodeRef> items;
  try {
    items = known_items(node);
    NNM_CHECK(items.size() == target.items.size(), value, "cannot unpack {} value{} into {} names",
              items.size(), items.size() == 1 ? "" : "s", target.items.size());
  } catch (const Error& e) {
    fault(target.span, "E0401", e.what(), e.hint());
  }
  for (size_t i = 0; i < items.size(); ++i) bind_known(target.items[i], items[i]);
}

std::vector<NodeRef> Compiler::known_items(const NodeRef& node) {
  if (auto parts = node->parts()) return std::move(*parts);
  Frame f;
  std::vector<NodeRef> out;
  for (Value& v : iterate(node->eval(f))) out.push_back(constant(node->span, std::move(v)));
  return out;
}

Destination Compiler::declare(const Target& target) {
  Destination place;
  if (target.kind != Target::Kind::tuple) {
    const auto name = known_text(target.name);
    if (!name) fault(target.span, "E0301", "the name must be known before running");
    place.slot = new_slot();
    locals_.push_back({*name, place.slot, nullptr, false});
    return place;
  }
  for (const Target& t : target.items) place.items.push_back(declare(t));
  return place;
}

namespace {

/// Whether what is no value yet can be gone through before running, and its items taken apart.
bool unrolls(const Node& iterable, const Target& target) {
  const auto parts = iterable.parts();
  return parts && (target.kind != Target::Kind::tuple ||
                   std::all_of(parts->begin(), parts->end(),
                               [](const NodeRef& n) { return n->parts().has_value(); }));
}

}  // namespace

NodeRef Compiler::compile_comprehension(const Expr& e) {
  const NodeRef iterable = compile(*e.items[1]);
  const ExprRef condition = e.items.size() > 2 ? e.items[2] : nullptr;
  const size_t scope = locals_.size();
  if (!is_known(iterable) && (condition || !unrolls(*iterable, *e.target))) {
    Destination place = declare(*e.target);
    NodeRef test = condition ? compile(*condition) : nullptr;
    NodeRef element = compile(*e.items[0]);
    locals_.resize(scope);
    return std::make_shared<ComprehensionNode>(e.span, iterable, std::move(place), std::move(test),
                                               std::move(element));
  }
  std::vector<NodeRef> items, out;
  try {
    items = known_items(iterable);
  } catch (const Error& error) {
    fault(iterable->span, "E0401", error.what(), error.hint());
  }
  for (const NodeRef& item : items) {
    bind_known(*e.target, item);
    const auto wanted = condition ? known_truth(compile(*condition)) : true;
    if (!wanted) fault(condition->span, "E0401", "the condition must be known before running");
    if (*wanted) out.push_back(compile(*e.items[0]));
    locals_.resize(scope);
  }
  const bool known = all_known(out);
  return folded(std::make_shared<SequenceNode>(e.span, false, std::move(out)), known);
}

namespace {

bool is_tensor(const NodeRef& n) { return n->constant() && n->constant()->is(Value::Kind::tensor); }

}  // namespace

NodeRef Compiler::compile_unary(const Expr& e) {
  NodeRef a = compile(*e.items[0]);
  const bool known = is_known(a) && (eager() || !is_tensor(a));
  return folded(std::make_shared<UnaryNode>(e.op_span ? e.op_span : e.span, e.op, a), known);
}

NodeRef Compiler::compile_binary(const Expr& e) {
  for (const ExprRef& operand : e.items) check_operand(*operand);
  NodeRef a = compile(*e.items[0]), b = compile(*e.items[1]);
  const bool known = is_known(a) && is_known(b) && (eager() || !(is_tensor(a) || is_tensor(b)));
  return folded(std::make_shared<BinaryNode>(e.op_span ? e.op_span : e.span, e.op, e.op, a, b),
                known);
}

NodeRef Compiler::compile_compare(const Expr& e) {
  std::vector<NodeRef> items;
  for (const ExprRef& item : e.items) items.push_back(compile(*item));
  const bool known = all_known(items);
  return folded(
      std::make_shared<CompareNode>(e.op_span ? e.op_span : e.span, e.ops, std::move(items)),
      known);
}

NodeRef Compiler::compile_logic(const Expr& e) {
  const bool is_and = e.op == "and";
  std::vector<NodeRef> rest;
  for (size_t i = 0; i < e.items.size(); ++i) {
    NodeRef n = compile(*e.items[i]);
    const auto known = known_truth(n);
    const bool last = i + 1 == e.items.size();
    if (known && *known != is_and) {  // it decides: nothing behind it is looked at
      rest.push_back(n);
      break;
    }
    if (!known || last) rest.push_back(n);
  }
  if (rest.size() == 1) return rest[0];
  return std::make_shared<LogicNode>(e.span, is_and, std::move(rest));
}

NodeRef Compiler::compile_conditional(const Expr& e) {
  NodeRef condition = compile(*e.items[1]);
  if (const auto known = known_truth(condition)) return compile(*e.items[*known ? 0 : 2]);
  NodeRef value = compile(*e.items[0]), otherwise = compile(*e.items[2]);
  return std::make_shared<ConditionalNode>(e.span, std::move(value), std::move(condition),
                                           std::move(otherwise));
}

NodeRef Compiler::compile_slice(const Expr& e) {
  std::vector<NodeRef> parts;
  bool known = true;
  for (const ExprRef& part : e.items) {
    parts.push_back(part ? compile(*part) : nullptr);
    known &= !part || is_known(parts.back());
  }
  return folded(std::make_shared<SliceNode>(e.span, std::move(parts)), known);
}

namespace {

/// A child, or an entry of a list of parameters, by its place or name, or null.
NodeRef indexed_child(const ChildNode& of, const Value& key, const Span& at) {
  if (key.is(Value::Kind::string)) return of.member(key.string(), at);
  if (!key.is(Value::Kind::integer)) return nullptr;
  const std::vector<std::string> names = of.positions();
  const auto n = static_cast<int64_t>(names.size());
  const int64_t i = key.integer() + (key.integer() < 0 ? n : 0);
  return i < 0 || i >= n ? nullptr : of.member(names[static_cast<size_t>(i)], at);
}

}  // namespace

NodeRef Compiler::compile_index(const Expr& e) {
  NodeRef a = compile(*e.items[0]), b = compile(*e.items[1]);
  const Span at = e.op_span ? e.op_span : e.span;
  if (const ChildNode* child = a->child(); child && is_known(b)) {
    // A child of a container is settled now, like one that is named.
    if (NodeRef member = indexed_child(*child, *b->constant(), e.span)) return member;
    if (NodeRef some = sliced_children(a, *b->constant(), e.span)) return some;
    if (b->constant()->is(Value::Kind::slice))
      fault(at, "E0401", fmt::format("`{}` has no slices", child->path),
            "ModuleList, Sequential and ParameterList have them");
    const size_t n = child->positions().size();
    fault(at, "E0401",
          fmt::format("`{}` has no child {}", child->path, b->constant()->config_text()),
          n ? "" : fmt::format("of what it returns: `{0}(x)[…]`, `x |> {0}()[…]`", child->path),
          {{fmt::format("it has {} children", n), {}}});
  }
  const bool known = is_known(a) && is_known(b) && (eager() || !is_tensor(a));
  return folded(std::make_shared<IndexNode>(at, a, b), known);
}

NodeRef Compiler::compile_attribute(const Expr& e) {
  // `self.x` is x of the module, whatever local variables there are.
  if (const auto path = dotted(e)) {
    const std::string first = path->substr(0, path->find('.'));
    NodeRef n = first == "self" ? resolve_member(path->substr(5), e)
                : !local(first) ? resolve(*path, e)
                                : nullptr;
    if (n) return n;
    refuse_qualified(*path, e);
  }
  const auto name = known_text(e.name);
  if (!name) fault(e.span, "E0301", "the name must be known before running");
  const Span at = e.op_span ? e.op_span : e.span;
  if (is_self(*e.items[0])) unknown_member(*name, at);
  NodeRef a = compile(*e.items[0]);
  if (const ChildNode* child = a->child()) {
    if (NodeRef member = child->member(*name, e.span)) return member;
    if (NodeRef value = resolve_member(child->path + "." + *name, e)) return value;
    std::vector<std::string> all;
    if (child->slot->value) {
      for (const auto& s : child->slot->value->module_slots()) all.push_back(s->name);
    }
    fault(at, "E0301",
          fmt::format("`{}` has no child, parameter or buffer `{}`", child->path, *name),
          *name == "forward" || *name == "__call__"
              ? fmt::format("a child is called by its name: `{}(…)`", child->path)
              : did_you_mean(*name, all));
  }
  const bool known = is_known(a) && (eager() || !is_tensor(a));
  return folded(std::make_shared<AttributeNode>(at, a, *name), known);
}

}  // namespace nnm::lang
