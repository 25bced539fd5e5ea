// What the nodes of compiled expressions compute, and what they say when it fails.
#include "nnm/lang/compiled_nodes.h"

#include <algorithm>
#include <array>

#include "nnm/lang/check_session.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

struct Poison final : Object {
  std::string value_repr() const override { return "<failed>"; }
};

bool poisoned(const Value& v) {
  if (v.is_sequence()) return std::any_of(v.items().begin(), v.items().end(), poisoned);
  return is_poison(v);
}

/// Faults of the machine or of files are not the config's.
bool is_the_configs(ErrorKind k) {
  switch (k) {
    case ErrorKind::input_file:
    case ErrorKind::output:
    case ErrorKind::diverged:
    case ErrorKind::device:
    case ErrorKind::internal:
    case ErrorKind::interrupted: return false;
    default: return true;
  }
}

/// What depends on poison: poison in a check, else an error that nobody reports.
Value quiet(const Frame& f, const Span& at) {
  if (f.check) return poison();
  Fault silent(Diagnostic{.code = "E0501", .message = "follows from an earlier error", .span = at});
  silent.silent = true;
  throw silent;
}

/// Where the two sizes come from that a call failed of.
std::vector<Note> sources(const Frame& f, const std::string& what, std::initializer_list<Value> in,
                          const Error& e) {
  if (!f.check) return {};
  return f.check->sources(what, in.begin(), in.size(), e);
}

/// CheckSession::refit in a check; nothing elsewhere.
std::optional<Value> refit(const Frame& f, const std::string& what, const Span& at,
                           std::initializer_list<Value> in,
                           const std::function<Value(const Value*)>& run) {
  if (!f.check) return {};
  return f.check->refit(what, at, in.begin(), in.size(), run);
}

/// Tells of an operator and its result.
void trace(const Frame& f, const char* what, const Span& at, std::initializer_list<Value> in,
           const Value& out) {
  f.watch->computed(what, at, in.begin(), in.size(), out);
}

/// A few values on the stack: the arguments of one call.
class ArgumentBuffer {
 public:
  explicit ArgumentBuffer(size_t n) {
    if (n > inline_.size()) {
      heap_.resize(n);
      data_ = heap_.data();
    }
  }
  Value* data() { return data_; }
  Value& operator[](size_t i) { return data_[i]; }

 private:
  std::array<Value, 8> inline_;
  Values heap_;
  Value* data_ = inline_.data();
};

}  // namespace

Value poison() {
  static const Ref<Poison> one = make_ref<Poison>();
  return Value(Kind::object, one.get());
}

bool is_poison(const Value& v) { return v.is(Kind::object) && v.object() == poison().object(); }

void throw_at_place(const Frame& f, const Span& at, const std::string& what, const Error& e,
                    std::vector<Note> notes) {
  if (dynamic_cast<const Fault*>(&e) || dynamic_cast<const DiagnosticError*>(&e) ||
      !is_the_configs(e.kind()))
    throw;
  Diagnostic d;
  const bool attribute = e.kind() == ErrorKind::attribute;
  const bool type = attribute || e.kind() == ErrorKind::type;
  d.code = f.building ? (attribute ? "E0301" : "E0401") : (type ? "E0503" : "E0501");
  if (dynamic_cast<const CallError*>(&e)) d.code = "E0504";
  d.message = what.empty() ? e.what() : fmt::format("`{}`: {}", what, e.what());
  d.span = at;
  d.help = e.hint();
  d.notes = std::move(notes);
  throw Fault(std::move(d), e.kind());
}

Value unset() {
  static const Ref<Poison> one = make_ref<Poison>();
  return Value(Kind::object, one.get());
}

Value CheckedSlotNode::eval(Frame& f) const {
  const Value& v = f.slots[slot_];
  if (v.is(Kind::object) && v.object() == unset().object())
    fault(span, "E0301", fmt::format("`{}` was never set on this way", name_));
  return v;
}

Value failed(const Frame& f, const Span& at, const std::string& what, const Error& e,
             std::vector<Note> notes) {
  if (!f.check) throw_at_place(f, at, what, e, std::move(notes));
  try {
    throw_at_place(f, at, what, e, std::move(notes));
  } catch (const Fault& fault) {
    f.check->report(fault);
    return poison();
  }
}

Value TextNode::eval(Frame& f) const {
  std::string out;
  for (const NodeRef& p : pieces_) {
    const Value v = p->eval(f);
    out += v.is(Kind::string) ? v.string() : v.config_text();
    NNM_CHECK(out.size() <= static_cast<size_t>(kMaxItems), value, "the text is too long");
  }
  return out;
}

Value SpreadNode::eval(Frame& f) const {
  const Value v = list_->eval(f);
  return v.is_sequence() ? Value::tuple(v.items()) : Value::tuple({v});
}

Value SequenceNode::eval(Frame& f) const {
  Values out;
  out.reserve(items_.size());
  for (const NodeRef& n : items_) out.push_back(n->eval(f));
  Value v = tuple_ ? Value::tuple(std::move(out)) : Value::list(std::move(out));
  try {
    extent(v);
  } catch (const Error& e) {
    throw_at_place(f, span, "", e);
  }
  return v;
}

Values iterate_at(const Frame& f, const Value& v) {
  Values items = iterate(v);
  if (f.watch && v.is(Kind::tensor)) [[unlikely]]
    trace(f, "unbind", {}, {v, 0}, Value::tuple(items));
  return items;
}

void Destination::store(Frame& f, const Value& v) const {
  if (slot >= 0) {
    f.slots[slot] = v;
    return;
  }
  if (is_poison(v)) {
    for (const Destination& p : items) p.store(f, v);
    return;
  }
  Values got;
  // Named outputs are taken apart as what they are, not as their names.
  if (v.is(Kind::dict))
    for (const auto& [name, output] : v.entries()) got.push_back(output);
  else got = iterate_at(f, v);
  NNM_CHECK(got.size() == items.size(), value, "cannot unpack {} value{} into {} names", got.size(),
            got.size() == 1 ? "" : "s", items.size());
  for (size_t i = 0; i < items.size(); ++i) items[i].store(f, got[i]);
}

Value ComprehensionNode::eval(Frame& f) const {
  Values out;
  try {
    for (const Value& v : iterate_at(f, iterable_->eval(f))) {
      place_.store(f, v);
      if (!condition_ || truth(condition_->eval(f))) out.push_back(element_->eval(f));
    }
  } catch (const Error& e) {
    throw_at_place(f, span, "", e);
  }
  return Value::list(std::move(out));
}

Value UnaryNode::eval(Frame& f) const {
  const Value a = a_->eval(f);
  try {
    Value out = unary(op_, a);
    if (f.watch) [[unlikely]]
      trace(f, op_.c_str(), span, {a}, out);
    return out;
  } catch (const Error& e) {
    if (is_poison(a)) return quiet(f, span);
    return failed(f, span, "", e);
  }
}

Value BinaryNode::eval(Frame& f) const {
  const Value a = a_->eval(f), b = b_->eval(f);
  try {
    Value out = binary(op_, a, b);
    if (f.watch) [[unlikely]]
      trace(f, op_.c_str(), span, {a, b}, out);
    return out;
  } catch (const Error& e) {
    return complain(f, a, b, e);
  }
}

Value BinaryNode::complain(const Frame& f, const Value& a, const Value& b, const Error& e) const {
  if (poisoned(a) || poisoned(b)) return quiet(f, span);
  const auto again = [this](const Value* in) { return binary(op_, in[0], in[1]); };
  if (const auto out = refit(f, op_, span, {a, b}, again)) return *out;
  if (op_ != "@" && a.is(Kind::tensor) && b.is(Kind::tensor) && e.kind() == ErrorKind::runtime) {
    const Shape x = a.as<Tensor>().shape(), y = b.as<Tensor>().shape();
    try {
      broadcast_shapes(x, y);
    } catch (const Error&) {
      const Error better(ErrorKind::runtime,
                         fmt::format("shapes {} and {} do not broadcast", x.str(), y.str()));
      return failed(f, span, label_, better, sources(f, op_, {a, b}, better));
    }
  }
  return failed(f, span, f.building ? "" : label_, e, sources(f, op_, {a, b}, e));
}

Value CompareNode::eval(Frame& f) const {
  Value a = items_[0]->eval(f), result;
  for (size_t i = 0; i < ops_.size(); ++i) {
    Value b = items_[i + 1]->eval(f);
    try {
      result = compare(ops_[i], a, b);
      if (f.watch) [[unlikely]]
        trace(f, ops_[i].c_str(), span, {a, b}, result);
      if (i + 1 < ops_.size() && !truth(result)) return result;
    } catch (const Error& e) {
      if (poisoned(a) || poisoned(b)) return quiet(f, span);
      const auto again = [&](const Value* in) { return compare(ops_[i], in[0], in[1]); };
      if (const auto out = refit(f, ops_[i], span, {a, b}, again)) return *out;
      return failed(f, span, ops_[i], e, sources(f, ops_[i], {a, b}, e));
    }
    a = std::move(b);
  }
  return result;
}

Value LogicNode::eval(Frame& f) const {
  Value v;
  try {
    for (const NodeRef& n : items_) {
      v = n->eval(f);
      if (&n != &items_.back() && truth(v) != and_) return v;
    }
  } catch (const Error& e) {
    throw_at_place(f, span, and_ ? "and" : "or", e);
  }
  return v;
}

Value ConditionalNode::eval(Frame& f) const {
  const Value condition = condition_->eval(f);
  bool yes = false;
  try {
    yes = truth(condition);
  } catch (const Error& e) {
    throw_at_place(f, condition_->span, "if", e);
  }
  return yes ? value_->eval(f) : otherwise_->eval(f);
}

Value HeldCallNode::eval(Frame& f) const {
  return held_->eval(f).is(Kind::module) ? module_->eval(f) : function_->eval(f);
}

Value IndexNode::eval(Frame& f) const {
  const Value a = a_->eval(f), b = b_->eval(f);
  try {
    Value out = subscript(a, b);
    if (f.watch) [[unlikely]]
      trace(f, "[…]", span, {a, b}, out);
    return out;
  } catch (const Error& e) {
    if (poisoned(a) || poisoned(b)) return quiet(f, span);
    return failed(f, span, "", e);
  }
}

Value SliceNode::eval(Frame& f) const {
  std::array<Value, 3> v;
  for (size_t i = 0; i < 3; ++i) {
    if (i < parts_.size() && parts_[i]) v[i] = parts_[i]->eval(f);
  }
  try {
    return Value::slice(v[0], v[1], v[2]);
  } catch (const Error& e) {
    throw_at_place(f, span, "", e);
  }
}

Value AttributeNode::eval(Frame& f) const {
  const Value a = a_->eval(f);
  try {
    Value out = attribute(a, name_);
    if (f.watch && a.is(Kind::tensor)) [[unlikely]]
      trace(f, ("." + name_).c_str(), span, {a}, out);
    return out;
  } catch (const Error& e) {
    if (is_poison(a)) return quiet(f, span);
    return failed(f, span, "", e);
  }
}

Value LetNode::eval(Frame& f) const {
  for (const auto& [slot, node] : lets_) f.slots[slot] = node->eval(f);
  return body_->eval(f);
}

Value EitherNode::eval(Frame& f) const {
  for (int slot : slots_) {
    if (f.slots[slot].is(Kind::tensor)) return tensor_->eval(f);
  }
  return plain_->eval(f);
}

Value FunctionNode::eval(Frame& f) const {
  ArgumentBuffer values(args_.size());
  try {
    for (size_t i = 0; i < args_.size(); ++i) {
      const Arg& a = args_[i];
      values[i] = a.value->eval(f);
      if (a.check == Arg::Check::tensor && values[i].is(Kind::tensor)) continue;
      if (a.check != Arg::Check::none) convert(f, a, values[i]);
    }
    Value out = function_->run(values.data());
    if (f.watch) [[unlikely]]
      f.watch->computed(std::string(function_->name()), span, values.data(), args_.size(), out);
    return out;
  } catch (const Error& e) {
    return complain(f, values.data(), e);
  }
}

NodeRef FunctionNode::with_first(NodeRef value) const {
  auto copy = std::make_shared<FunctionNode>(*this);
  copy->args_[0].value = std::move(value);
  return copy;
}

void FunctionNode::convert(const Frame& f, const Arg& a, Value& v) const {
  try {
    v = a.param->type.convert(v);
  } catch (const Error& e) {
    const Note signature{function_->signature().text(), {}};
    if (poisoned(v)) throw;
    throw_at_place(f, a.value->span ? a.value->span : span, function_->signature().name(),
                   Error(e.kind(), fmt::format("`{}`: {}", a.param->name, e.what()), e.hint()),
                   {signature});
  }
}

Value FunctionNode::complain(const Frame& f, const Value* values, const Error& e) const {
  if (std::any_of(values, values + args_.size(), poisoned)) return quiet(f, span);
  const std::string name(function_->name());
  const auto again = [this](const Value* in) { return function_->run(in); };
  if (f.check)
    if (const auto out = f.check->refit(name, span, values, args_.size(), again)) return *out;
  return failed(f, span, name, e,
                f.check ? f.check->sources(name, values, args_.size(), e) : std::vector<Note>());
}

namespace {

/// What to write where a module cannot take what it is given.
std::string call_advice(const Module& m, const Value& in, const Error& e) {
  const std::string type = m.type_name();
  if (e.kind() == ErrorKind::not_implemented && (type == "ModuleList" || type == "ModuleDict"))
    return "its children are called, each by itself: `for child in children:` and `x = child(x)`";
  if (in.is_sequence() && e.kind() == ErrorKind::type)
    return fmt::format(
        "what is given is {} values: take them apart, `y, h = …`, or take one, `…[0]`",
        in.items().size());
  return "";
}

}  // namespace

ModuleCallNode::ModuleCallNode(Span span, NodeRef callee, std::string label, const CallArgs& args)
    : Node(std::move(span)), callee_(std::move(callee)), label_(std::move(label)) {
  for (const CallArgs::One& a : args.all) {
    if (a.name.empty()) pos_.push_back(a.value);
    else kw_.emplace_back(a.name, a.value);
  }
}

NodeRef ModuleCallNode::with_argument(NodeRef value) const {
  auto copy = std::make_shared<ModuleCallNode>(*this);
  copy->pos_[0] = std::move(value);
  return copy;
}

Value ModuleCallNode::eval(Frame& f) const {
  if (const ChildNode* child = callee_->child()) {
    // Held: a hook within the call may put another in its place.
    if (const Ref<Module> m = child->slot->value) return call(f, *m);
  }
  const Value callee = callee_->eval(f);
  if (!callee.is(Kind::module)) {
    if (is_poison(callee)) return quiet(f, span);
    // Names of digits are numbers in code.
    const bool child = f.self && f.self->child(label_);
    return failed(
        f, span, label_,
        Error(ErrorKind::type,
              fmt::format("{} cannot be called", callee.is_none() ? "none" : callee.type_name()),
              child ? fmt::format("the child is called `self.{}(…)`", label_) : ""));
  }
  return call(f, *callee.as<Ref<Module>>());
}

Value ModuleCallNode::call(Frame& f, Module& m) const {
  Value single;
  Args args;
  const bool one = pos_.size() == 1 && kw_.empty();
  if (one) {
    single = pos_[0]->eval(f);
  } else {
    args.pos.reserve(pos_.size());
    for (const NodeRef& n : pos_) args.pos.push_back(n->eval(f));
    for (const auto& [name, n] : kw_) args.kw.emplace_back(name, n->eval(f));
  }
  if (f.check) f.check->call = span;
  try {
    return one ? m(single) : m(args);
  } catch (Fault& e) {
    // The forward it comes from does not know who called it.
    if (!e.calls.empty() && !e.calls.back().from) e.calls.back().from = span;
    throw;
  } catch (const Error& e) {
    const auto is_bad = [](const auto& named) { return poisoned(named.second); };
    if (poisoned(single) || std::any_of(args.pos.begin(), args.pos.end(), poisoned) ||
        std::any_of(args.kw.begin(), args.kw.end(), is_bad))
      return quiet(f, span);
    if (one) {
      const auto again = [&](const Value* in) { return m(in[0]); };
      if (const auto out = refit(f, "", span, {single, Value(Ref<Module>(&m))}, again)) return *out;
    }
    std::string inner = label_;
    if (!e.module_path().empty()) inner += "." + e.module_path();
    std::vector<Note> notes;
    if (f.check) {
      notes = f.check->sources_of_call();
      notes.push_back({f.check->described(m, label_, inner, e.module_path()), {}});
    }
    std::string advice = e.hint().empty() ? call_advice(m, single, e) : "";
    if (e.hint().empty() && advice.empty() && f.check) advice = f.check->advice_of_call(e);
    if (!advice.empty())
      return failed(f, span, inner, Error(e.kind(), e.what(), advice), std::move(notes));
    return failed(f, span, inner, e, std::move(notes));
  }
}

Value StoredNode::eval(Frame&) const {
  return to(tensor_, TensorOptions{tensor_.dtype(), default_device()});
}

Value RearrangeNode::eval(Frame& f) const {
  const Value x = x_->eval(f), pattern = pattern_->eval(f);
  std::vector<std::pair<std::string, int64_t>> sizes;
  try {
    for (const auto& [name, n] : sizes_) sizes.emplace_back(name, n->eval(f).integer());
    Value out = rearrange(x.as<Tensor>(), pattern.string(), sizes);
    if (f.watch) [[unlikely]] {
      Items named;
      for (const auto& [name, n] : sizes) named.emplace_back(name, n);
      trace(f, "rearrange", span, {x, pattern, Value::dict(std::move(named))}, out);
    }
    return out;
  } catch (const Error& e) {
    if (is_poison(x)) return quiet(f, span);
    const auto again = [&](const Value* in) -> Value {
      return rearrange(in[0].as<Tensor>(), pattern.string(), sizes);
    };
    if (const auto out = refit(f, "rearrange", span, {x}, again)) return *out;
    return failed(f, span, "rearrange", e);
  }
}

Value DynamicChildNode::eval(Frame& f) const {
  const Value name = name_->eval(f);
  try {
    Module* m = f.self ? f.self->child(name.string()) : nullptr;
    NNM_CHECK(m, key, "there is no child `{}`", name.string());
    return Ref<Module>(m);
  } catch (const Error& e) {
    throw_at_place(f, span, "", e);
  }
}

}  // namespace nnm::lang
