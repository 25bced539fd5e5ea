// Compiling a class's inputs and forward.
#include "nnm/lang/forward.h"

#include <algorithm>

#include "nnm/base/literal.h"
#include "nnm/lang/forward_inputs.h"
#include "nnm/lang/forward_names.h"
#include "nnm/lang/forward_steps.h"
#include "nnm/lang/fused_nodes.h"

namespace nnm::lang {

namespace {

constexpr size_t kMaxUnrolled = 10'000;  // items of a loop; longer ones run as loops
constexpr size_t kMaxInputs = 64;

class ForwardCompiler final : public Compiler {
 public:
  ForwardCompiler(const ForwardScope& scope, Reporter& reporter)
      : scope_(scope), names_(scope), reporter_(reporter) {}

  Program run() {
    Program p;
    if (!scope_.definition->has_forward) return chain(p);
    inputs(p);
    if (compile_all(scope_.definition->forward, p.steps) && !returns_) {
      reporter_.attempt([&] {
        const Statements& all = scope_.definition->forward;
        fault(all.empty() ? scope_.definition->span : all.back().span, "E0505",
              fmt::format("forward of {} returns nothing", scope_.definition->name),
              "end it with `- return …`");
      });
    }
    if (!scope_.definition->forward.empty()) p.end = scope_.definition->forward.back().span;
    p.slots = slot_count();
    p.maybe_unset = std::move(maybe_);
    return p;
  }

 protected:
  bool eager() const override { return false; }

  bool is_class(const std::string& name) const override {
    return scope_.definition->home && scope_.definition->home->find(name);
  }

  NodeRef resolve(const std::string& path, const Expr& at) override {
    if (path == "training") return std::make_shared<TrainingNode>(at.span);
    if (NodeRef value = names_.value(path, at.span)) return value;
    if (NodeRef member = names_.member(path, at.span)) return member;
    return names_.made_with(path, at.span);
  }

  NodeRef resolve_member(const std::string& path, const Expr& at) override {
    if (NodeRef member = names_.member(path, at.span)) return member;
    return resolve(path, at);
  }

  NodeRef resolve_callee(const std::string& name, const Expr& at) override {
    return names_.child(name, at.span);
  }

  /// In arithmetic an argument that has the name of a parameter is a slip: PyTorch's forward sees
  /// no arguments of the class.
  void check_operand(const Expr& e) const override {
    const std::string name =
        e.kind == Expr::Kind::name && e.name.is_plain() ? e.name.plain() : std::string();
    if (name.empty() || !names_.is_tensor(name)) return;
    const NodeRef value = names_.value(name, e.span);
    if (!value || value->constant()->is(Value::Kind::tensor)) return;
    fault(e.span, "E0306",
          fmt::format("`{}` is an argument or let of {}, {}, and a parameter or buffer as well",
                      name, scope_.definition->name, value->constant()->config_text()),
          fmt::format("the tensor is `self.{}`; for the value use another name", name));
  }

  NodeRef resolve_call(const std::string& name, const Expr& callee, const Expr& call,
                       CallArgs&) override {
    const auto value = scope_.values->find(name);
    if (value != scope_.values->end() && value->second.is(Value::Kind::callable)) {
      fault(callee.span, "E0302",
            fmt::format("`{}` is a class; forward calls instances of it", name),
            fmt::format("write `child: {}(…)` under `modules:` and call `child`", name));
    }
    if (names_.left_out(name) && (callee.kind == Expr::Kind::attribute || !find_function(name)))
      fault(callee.span, "E0302",
            fmt::format("`{}` is none here: this {} was built without it", name,
                        scope_.definition->name),
            fmt::format("ask first: `if {} is not none:`", name));
    if (name != "given") return nullptr;
    const ExprRef arg = call.args.size() == 1 ? call.args[0].value : nullptr;
    const bool plain = arg && arg->kind == Expr::Kind::name && arg->name.is_plain();
    const auto it = plain ? inputs_.find(arg->name.plain()) : inputs_.end();
    if (it == inputs_.end()) {
      std::vector<std::string> all;
      for (const auto& [input, slot] : inputs_) all.push_back(input);
      fault(arg ? arg->span : callee.span, "E0303", "given() takes the name of an input",
            plain ? did_you_mean(arg->name.plain(), all) : "");
    }
    return std::make_shared<GivenNode>(callee.span, it->second);
  }

  NodeRef dynamic_callee(const Expr& callee, std::vector<NodeRef> pieces) override {
    return std::make_shared<DynamicChildNode>(
        callee.span, std::make_shared<TextNode>(callee.span, std::move(pieces)));
  }

  void names(std::vector<std::string>& out) const override {
    names_.list(out);
    callables(out);
  }
  void callables(std::vector<std::string>& out) const override {
    for (const auto& s : scope_.self->module_slots()) out.push_back(s->name);
    out.push_back("given");
  }

 private:
  Program chain(Program& p);
  void inputs(Program& p);
  void declare_dims(const InputDecl& decl, ForwardInput& in);
  ForwardInput::Dim dim(const ExprRef& e);
  int add_input(const std::string& name);

  /// Whether all went well.
  bool compile_all(const Statements& all, Steps& out);
  void statement(const Statement& s, Steps& out);
  void assign(const Statement& s, Steps& out);
  void assign_name(const Target& t, NodeRef value, Steps& out);
  void assign_buffer(const Target& t, const Span& span, NodeRef value, Steps& out);
  void unpack(const Statement& s, NodeRef value, Steps& out);
  Destination place(const Target& t);
  Local& set_local(const std::string& name, const Span& at);
  void loop(const Statement& s, Steps& out);
  void static_loop(const Statement& s, const NodeRef& iterable, const Values& items,
                   const std::vector<NodeRef>& nodes, Steps& out);
  void runtime_loop(const Statement& s, NodeRef iterable, Steps& out);
  void branch(const Statement& s, Steps& out);
  void runtime_branch(const Statement& s, size_t from, NodeRef condition, Steps& out);
  void merge(const std::vector<Local>& before, std::vector<std::vector<Local>>& ways, Steps& out);
  void require(const Statement& s, Steps& out);
  void ret(const Statement& s, Steps& out);
  void poison_targets(const Statement& s);
  void store_known(Local& l, Steps& out);

  const ForwardScope& scope_;
  const ForwardNames names_;
  Reporter& reporter_;
  std::map<std::string, int> inputs_, slot_of_;
  std::vector<int> maybe_;
  int control_ = 0;        // depth of conditions and loops that run
  bool returned_ = false;  // on the way being compiled
  bool returns_ = false;   // somewhere
  bool named_ = false;     // whether what it returned last has names
};

/// Without `forward`: one input, declared or called x.
Program ForwardCompiler::chain(Program& p) {
  p.chain = true;
  if (scope_.definition->has_inputs) inputs(p);
  if (p.inputs.empty()) {
    p.inputs.resize(1);
    p.inputs[0].name = "x";
    p.inputs[0].slot = add_input("x");
  }
  if (p.inputs.size() > 1) {
    reporter_.attempt([&] {
      fault(p.inputs[1].span, "E0505", "a class without `forward` has one input",
            "it passes that through its children in order; write `forward:` for more");
    });
  }
  p.slots = slot_count();
  return std::move(p);
}

int ForwardCompiler::add_input(const std::string& name) {
  const int slot = new_slot();
  slot_of_[name] = slot;
  inputs_[name] = slot;
  locals_.push_back({name, slot, nullptr, false});
  return slot;
}

void ForwardCompiler::inputs(Program& p) {
  const ClassDef& c = *scope_.definition;
  if (c.has_inputs) {
    for (const InputDecl& d : c.inputs) {
      ForwardInput in;
      in.name = d.name;
      in.typed = true;
      in.optional = d.optional;
      in.dtype = d.dtype;
      in.span = d.span;
      reporter_.attempt([&] {
        if (scope_.values->count(d.name))
          fault(d.span, "E0306", fmt::format("`{}` is an argument or let already", d.name),
                "inputs need names of their own");
        in.slot = add_input(d.name);
        p.inputs.push_back(in);
      });
    }
    // All names are inputs first: a dim may not bear the name of a later input.
    for (size_t i = 0, k = 0; i < c.inputs.size() && k < p.inputs.size(); ++i) {
      if (p.inputs[k].name == c.inputs[i].name) declare_dims(c.inputs[i], p.inputs[k++]);
    }
  } else {
    p.inferred = true;
    for (const ExprRef& e : free_names(c.forward, [&](auto& n) { return names_.known(n); })) {
      ForwardInput in;
      in.name = e->name.plain();
      in.slot = add_input(in.name);
      in.span = e->span;
      p.inputs.push_back(std::move(in));
    }
  }
  if (p.inputs.size() > kMaxInputs) {
    reporter_.attempt(
        [&] { fault(c.span, "E0404", fmt::format("more than {} inputs", kMaxInputs)); });
    p.inputs.resize(kMaxInputs);
  }
}

void ForwardCompiler::declare_dims(const InputDecl& decl, ForwardInput& in) {
  for (const ExprRef& e : decl.dims) {
    ForwardInput::Dim d;
    d.text = e ? expr_text(*e) : "*";
    const std::string text = d.text;
    if (e) reporter_.attempt([&] { d = dim(e); });
    d.text = text;
    d.is_name = e && e->kind == Expr::Kind::name;
    in.dims.push_back(std::move(d));
  }
}

ForwardInput::Dim ForwardCompiler::dim(const ExprRef& e) {
  using Kind = ForwardInput::Dim::Kind;
  ForwardInput::Dim d;
  const bool bare = e->kind == Expr::Kind::name && e->name.is_plain();
  if (bare && !local(e->name.plain()) && !scope_.values->count(e->name.plain())) {
    d.kind = Kind::bind;
    d.slot = new_slot();
    slot_of_[e->name.plain()] = d.slot;
    locals_.push_back({e->name.plain(), d.slot, nullptr, false});
    return d;
  }
  d.expr = compile(*e);
  d.kind = Kind::check;
  if (const Value* v = d.expr->constant()) {
    if (!v->is(Value::Kind::integer) || v->integer() < 0)
      fault(e->span, "E0401", fmt::format("a size is an integer, got {}", v->config_text()),
            "any size is `*`, or a name that means it below: `f32[B, 10]`");
    d.kind = Kind::size;
    d.size = v->integer();
  }
  return d;
}

bool ForwardCompiler::compile_all(const Statements& all, Steps& out) {
  bool well = true;
  for (const Statement& s : all) {
    if (returned_) break;  // what follows a return is never reached
    if (!reporter_.attempt([&] { statement(s, out); })) {
      well = false;
      poison_targets(s);
    }
  }
  return well;
}

void ForwardCompiler::poison_targets(const Statement& s) {
  std::set<std::string> names;
  assigned_names({s}, names);
  for (const std::string& n : names) {
    if (scope_.values->count(n)) continue;
    Local& l = set_local(n, s.span);
    l.known = std::make_shared<FailedNode>(s.span);
  }
  if (s.kind == Statement::Kind::ret) returned_ = returns_ = true;
}

void ForwardCompiler::statement(const Statement& s, Steps& out) {
  spend(s.span);
  switch (s.kind) {
    case Statement::Kind::assign:
    case Statement::Kind::augment: return assign(s, out);
    case Statement::Kind::ret: return ret(s, out);
    case Statement::Kind::require: return require(s, out);
    case Statement::Kind::loop: return loop(s, out);
    case Statement::Kind::branch: return branch(s, out);
  }
}

Compiler::Local& ForwardCompiler::set_local(const std::string& name, const Span& at) {
  if (scope_.values->count(name))
    fault(at, "E0306",
          fmt::format("`{}` is an argument or let of {}", name, scope_.definition->name),
          "use another name");
  Local* l = local(name);
  if (!l) {
    const auto it = slot_of_.find(name);
    const int slot = it != slot_of_.end() ? it->second : new_slot();
    slot_of_[name] = slot;
    l = &locals_.emplace_back(Local{name, slot, nullptr, false});
  }
  if (l->slot < 0) l->slot = slot_of_[name] = new_slot();
  l->known = nullptr;
  l->maybe = false;
  return *l;
}

void ForwardCompiler::store_known(Local& l, Steps& out) {
  out.push_back(std::make_unique<AssignStep>(l.known->span, Destination{l.slot, {}}, l.known));
}

void ForwardCompiler::assign_name(const Target& t, NodeRef value, Steps& out) {
  const auto name = known_text(t.name);
  if (!name) {
    fault(t.span, "E0301", "the name of a variable must be known before running",
          "it is made of something that changes while running");
  }
  Local& l = set_local(*name, t.span);
  const bool known = value->constant() || value->child() || value->lost() || value->parts();
  if (known) l.known = value;
  if (!known || control_ > 0)
    out.push_back(std::make_unique<AssignStep>(t.span, Destination{l.slot, {}}, std::move(value)));
}

void ForwardCompiler::assign_buffer(const Target& t, const Span& span, NodeRef value, Steps& out) {
  const auto name = known_text(t.name);
  std::vector<std::string> all;
  for (const auto& slot : scope_.self->buffer_slots()) {
    all.push_back(slot->name);
    if (name && slot->name == *name) {
      out.push_back(std::make_unique<BufferStep>(span, slot, std::move(value)));
      return;
    }
  }
  fault(t.span, "E0301",
        fmt::format("{} has no buffer `{}`", scope_.definition->name, name ? *name : "…"),
        name && tensor_member(*scope_.self, *name, {})
            ? "a parameter is changed by the optimizer alone; what forward changes is a buffer"
            : did_you_mean(name.value_or(""), all));
}

Destination ForwardCompiler::place(const Target& t) {
  Destination p;
  if (t.kind == Target::Kind::tuple) {
    for (const Target& item : t.items) p.items.push_back(place(item));
    return p;
  }
  if (t.kind == Target::Kind::self)
    fault(t.span, "E0205", "a buffer is assigned on its own, not in an unpacking");
  const auto name = known_text(t.name);
  if (!name) fault(t.span, "E0301", "the name of a variable must be known before running");
  p.slot = set_local(*name, t.span).slot;
  return p;
}

void ForwardCompiler::unpack(const Statement& s, NodeRef value, Steps& out) {
  Target all;
  all.kind = Target::Kind::tuple;
  all.items = s.targets.size() == 1 ? s.targets[0].items : s.targets;
  all.span = s.span;
  if (const auto parts = value->parts(); parts && parts->size() == all.items.size()) {
    for (size_t i = 0; i < all.items.size(); ++i) {
      Statement one;
      one.span = s.span;
      one.targets = {all.items[i]};
      const NodeRef& item = (*parts)[i];
      if (all.items[i].kind == Target::Kind::name) assign_name(all.items[i], item, out);
      else if (all.items[i].kind == Target::Kind::tuple) unpack(one, item, out);
      else assign_buffer(all.items[i], s.span, item, out);
    }
    return;
  }
  const Span at = value->span ? value->span : s.span;
  out.push_back(std::make_unique<AssignStep>(at, place(all), std::move(value)));
}

void ForwardCompiler::assign(const Statement& s, Steps& out) {
  const Target& first = s.targets[0];
  NodeRef value = compile(*s.values[0]);
  if (s.kind == Statement::Kind::augment) {
    Expr read;
    read.kind = Expr::Kind::name;
    read.name = first.name;
    read.span = read.op_span = first.span;
    NodeRef old;
    if (first.kind == Target::Kind::self) {
      const auto name = known_text(first.name);
      old = name ? tensor_member(*scope_.self, *name, first.span) : nullptr;
      if (!old) return assign_buffer(first, s.span, value, out);  // says what is wrong
    } else {
      old = compile(read);
    }
    const bool known = old->constant() && value->constant();
    value =
        std::make_shared<BinaryNode>(s.op_span ? s.op_span : s.span, s.op, s.op + "=", old, value);
    if (known) value = fold(value);
  }
  if (s.targets.size() > 1 || first.kind == Target::Kind::tuple)
    return unpack(s, std::move(value), out);
  if (first.kind == Target::Kind::self) return assign_buffer(first, s.span, std::move(value), out);
  assign_name(first, std::move(value), out);
}

void ForwardCompiler::ret(const Statement& s, Steps& out) {
  std::vector<NodeRef> values;
  for (const ExprRef& e : s.values) values.push_back(compile(*e));
  const bool named = !s.names.empty();
  if (returns_ && named != named_)
    fault(s.span, "E0205", "named and unnamed outputs are mixed",
          fmt::format("an earlier `return` gives outputs {} names: do the same here",
                      named_ ? "with" : "without"));
  named_ = named;
  returned_ = returns_ = true;
  if (values.size() == 1) fuse_return(values[0], out, [this] { return new_slot(); });
  out.push_back(std::make_unique<ReturnStep>(std::move(values), s.names));
}

void ForwardCompiler::require(const Statement& s, Steps& out) {
  NodeRef condition = compile(*s.values[0]), text;
  if (s.text) text = std::make_shared<TextNode>(s.text->span, pieces(*s.text));
  const RequireStep step(s.values[0]->span, condition, text, expr_text(*s.values[0]));
  if (!condition->constant()) {
    out.push_back(std::make_unique<RequireStep>(step));
    return;
  }
  Frame f;
  f.building = true;
  step.run(f);
}

void ForwardCompiler::loop(const Statement& s, Steps& out) {
  NodeRef iterable = compile(*s.values[0]);
  std::vector<NodeRef> nodes;
  Values items;
  if (!iterable->constant()) {
    const auto parts = iterable->parts();
    if (!parts || parts->size() > kMaxUnrolled) return runtime_loop(s, std::move(iterable), out);
    Frame f;
    f.building = true;
    for (const NodeRef& part : *parts) items.push_back(part->eval(f));
    return static_loop(s, iterable, items, *parts, out);
  }
  try {
    items = iterate(*iterable->constant());
  } catch (const Error& e) {
    fault(iterable->span, "E0401", e.what(), e.hint());
  }
  if (items.size() > kMaxUnrolled) return runtime_loop(s, std::move(iterable), out);
  static_loop(s, iterable, items, nodes, out);
}

void ForwardCompiler::static_loop(const Statement& s, const NodeRef& iterable, const Values& items,
                                  const std::vector<NodeRef>& nodes, Steps& out) {
  const Target& target = s.targets[0];
  for (size_t i = 0; i < items.size() && !returned_; ++i) {
    const FrameGuard frame(reporter_,
                           [&] { return loop_note(target, *s.values[0], s.span, items[i]); });
    const bool ok = reporter_.attempt([&] {
      NodeRef item = nodes.empty() ? constant(iterable->span, items[i]) : nodes[i];
      if (target.kind == Target::Kind::name) return assign_name(target, std::move(item), out);
      Statement unpacking;
      unpacking.span = target.span;
      unpacking.targets = {target};
      unpack(unpacking, std::move(item), out);
    });
    if (!ok) return;
    Steps body;
    compile_all(s.body, body);
    if (body.empty()) continue;
    out.push_back(std::make_unique<RoundStep>(
        std::move(body), [target, list = s.values[0], header = s.span, item = items[i]] {
          return loop_note(target, *list, header, item);
        }));
  }
}

void ForwardCompiler::runtime_loop(const Statement& s, NodeRef iterable, Steps& out) {
  // A later round sees what an earlier one set: nothing that the body sets is known in it.
  std::set<std::string> set;
  const bool made = assigned_names({s}, set);
  for (Local& l : locals_) {
    if (!l.known || !(made || set.count(l.name)) || l.slot < 0) continue;
    store_known(l, out);
    l.known = nullptr;
  }
  const std::vector<Local> before = locals_;
  const bool returned = returned_;
  ++control_;
  Steps body;
  Destination p = place(s.targets[0]);
  if (iterable->lost()) {
    Statement header;
    header.targets = s.targets;
    header.span = s.span;
    poison_targets(header);
  }
  compile_all(s.body, body);
  --control_;
  returned_ = returned;
  std::vector<std::vector<Local>> ways = {before, locals_};
  merge(before, ways, out);
  out.push_back(
      std::make_unique<LoopStep>(s.span, std::move(iterable), std::move(p), std::move(body)));
}

void ForwardCompiler::branch(const Statement& s, Steps& out) {
  for (size_t i = 0; i < s.branches.size(); ++i) {
    const auto& b = s.branches[i];
    NodeRef condition = b.condition ? compile(*b.condition) : nullptr;
    if (condition && !condition->constant()) return runtime_branch(s, i, condition, out);
    bool yes = true;
    if (condition) {
      try {
        yes = truth(*condition->constant());
      } catch (const Error& e) {
        fault(condition->span, "E0401", e.what(), e.hint());
      }
    }
    if (yes) {
      compile_all(b.body, out);
      return;
    }
  }
}

void ForwardCompiler::runtime_branch(const Statement& s, size_t from, NodeRef condition,
                                     Steps& out) {
  const std::vector<Local> before = locals_;
  std::vector<std::vector<Local>> ways;
  std::vector<IfStep::Branch> branches;
  bool complete = false;  // one of the branches is taken for sure
  ++control_;
  for (size_t i = from; i < s.branches.size() && !complete; ++i) {
    const auto& b = s.branches[i];
    locals_ = before;
    IfStep::Branch branch;
    if (i > from && b.condition) condition = compile(*b.condition);
    if (b.condition && condition->constant()) {
      if (!condition->constant()->truthy()) continue;
      condition = nullptr;
    }
    branch.condition = b.condition ? condition : nullptr;
    complete = !branch.condition;
    compile_all(b.body, branch.body);
    if (!returned_) ways.push_back(locals_);
    returned_ = false;
    branches.push_back(std::move(branch));
  }
  --control_;
  if (!complete) ways.push_back(before);
  returned_ = ways.empty();
  merge(before, ways, out);
  out.push_back(std::make_unique<IfStep>(std::move(branches)));
}

/// What is known after several ways meet. Constants that a way changes go into their slots first.
void ForwardCompiler::merge(const std::vector<Local>& before, std::vector<std::vector<Local>>& ways,
                            Steps& out) {
  std::vector<Local> merged;
  const auto find = [](const std::vector<Local>& in, const std::string& name) -> const Local* {
    for (const Local& l : in) {
      if (l.name == name) return &l;
    }
    return nullptr;
  };
  for (const auto& way : ways) {
    for (const Local& l : way) {
      if (find(merged, l.name)) continue;
      Local m = l;
      for (const auto& other : ways) {
        const Local* o = find(other, l.name);
        if (!o || o->maybe) m.maybe = true;
        if (!o || o->known != l.known) m.known = nullptr;
      }
      const Local* b = find(before, l.name);
      if (b && b->known && !m.known && b->slot >= 0) {
        Local stored = *b;
        store_known(stored, out);
      }
      if (m.known && (!b || b->known != m.known)) m.known = nullptr;
      if (m.maybe && std::find(maybe_.begin(), maybe_.end(), m.slot) == maybe_.end())
        maybe_.push_back(m.slot);
      merged.push_back(std::move(m));
    }
  }
  locals_ = std::move(merged);
}

}  // namespace

Program compile_forward(const ForwardScope& scope, Reporter& reporter) {
  return ForwardCompiler(scope, reporter).run();
}

}  // namespace nnm::lang
