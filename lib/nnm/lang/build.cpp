// Building classes: arguments bound, lets and requirements evaluated, blocks expanded.
#include "nnm/lang/build.h"

#include <algorithm>

#include "nnm/lang/compiled_nodes.h"
#include "nnm/nn/construct.h"

namespace nnm::lang {

namespace {

constexpr int64_t kMaxModules = 100'000;
constexpr int64_t kMaxSteps = 1'000'000;  // rounds of loops in blocks
constexpr size_t kMaxNesting = 256;       // classes in each other: each takes of the stack

/// "Block(d, n_head, p=0.0)".
std::string class_signature(const ClassDef& c) {
  std::string out = c.name + "(";
  for (size_t i = 0; i < c.args.size(); ++i) {
    out += (i ? ", " : "") + c.args[i].name;
    if (c.args[i].fallback) out += "=" + expr_text(*c.args[i].fallback);
  }
  return out + ")";
}

/// Names and counts of arguments have one code, values of arguments another.
std::string bind_code(const BindError& e) {
  const std::string what = e.what();
  return what.find("`: ") != std::string::npos ? "E0304" : "E0303";
}

/// All that is wrong with the arguments of a call.
[[noreturn]] void refuse_arguments(const CallArgs& args, const BindError& error, const Span& callee,
                                   const std::string& signature) {
  Faults all;
  error.each([&](const BindError& e) {
    all.attempt([&] {
      fault(args.place(e, callee), bind_code(e), e.what(), e.hint(), {{signature, {}}});
    });
  });
  all.throw_if_any();
  throw error;
}

/// A path of many levels by its ends.
std::string shortened(const std::string& path) {
  constexpr size_t kMost = 80, kEnd = 30;
  if (path.size() <= kMost) return path;
  const size_t begin = path.find('.', kEnd), end = path.rfind('.', path.size() - kEnd);
  if (begin == path.npos || end == path.npos || begin >= end) return path;
  return path.substr(0, begin) + ".…" + path.substr(end);
}

/// What is set where a default stands; no config can write it.
Value absent() { return unset(); }
bool is_absent(const Value& v) {
  return v.is(Value::Kind::object) && v.object() == absent().object();
}

}  // namespace

const Value* BuildScope::variable(const std::string& name) const {
  for (const BuildScope* s = this; s; s = s->outer_) {
    if (const Value* v = s->own(name)) return v;
  }
  const auto value = instance_.values.find(name);
  return value == instance_.values.end() ? nullptr : &value->second;
}

Ref<ClassValue> BuildScope::type_of(const std::string& name) const {
  const Value* v = variable(name);
  if (v && v->is(Value::Kind::callable))
    return Ref<ClassValue>(static_cast<ClassValue*>(v->object()));
  return v ? Ref<ClassValue>() : builder_.find_type(name, instance_.definition);
}

std::optional<Value> BuildScope::find(const std::string& path) const {
  if (const Value* v = variable(path)) return *v;
  if (!instance_.definition && path == "vars") return builder_.vars();
  if (Ref<Module> m = existing_child(path)) return m;
  if (Ref<ClassValue> type = builder_.find_type(path, instance_.definition))
    return Value(Value::Kind::callable, type.get());
  return std::nullopt;
}

const Value* BuildScope::own(const std::string& name) const {
  const auto it = names_.find(name);
  return it == names_.end() ? nullptr : &it->second;
}

Ref<Module> BuildScope::existing_child(const std::string& path) const {
  const std::string own = path.starts_with("self.") ? path.substr(5) : path;
  const Module* roots[] = {container, instance_.module.get()};
  for (const Module* m : roots) {
    for (size_t from = 0; m;) {
      const size_t dot = own.find('.', from);
      m = m->child(own.substr(from, dot - from));
      if (m && dot == std::string::npos) return Ref<Module>(const_cast<Module*>(m));
      from = dot + 1;
    }
  }
  const std::string first = own.substr(0, own.find('.'));
  if (instance_.failed.count(first)) {
    Fault quiet(Diagnostic{.code = "E0301", .message = "follows from an earlier error"});
    quiet.silent = true;
    throw quiet;
  }
  return {};
}

bool BuildScope::callable(const std::string& name) const {
  return static_cast<bool>(type_of(name));
}

std::optional<Value> BuildScope::call(const std::string& name, const Expr& callee, const Expr&,
                                      CallArgs& args) const {
  return builder_.construct(*type_of(name), args, callee.span);
}

void BuildScope::names(std::vector<std::string>& out) const {
  for (const BuildScope* s = this; s; s = s->outer_) {
    for (const auto& [name, v] : s->names_) out.push_back(name);
  }
  for (const auto& [name, v] : instance_.values) out.push_back(name);
  if (!instance_.definition) out.push_back("vars");
  if (instance_.module) {
    for (const auto& s : instance_.module->module_slots()) out.push_back(s->name);
  }
}

void BuildScope::callables(std::vector<std::string>& out) const {
  names(out);
  for (std::string& n : builder_.type_names(instance_.definition)) out.push_back(std::move(n));
}

namespace {

/// Whether a block makes a child of that name, in whichever loop or condition.
bool makes(const Block& block, const std::string& name) {
  return std::any_of(block.items.begin(), block.items.end(), [&](const BlockItem& item) {
    if (item.key && item.key->is_plain() && item.key->plain() == name) return true;
    if (item.body && makes(*item.body, name)) return true;
    return std::any_of(item.branches.begin(), item.branches.end(),
                       [&](const auto& b) { return makes(*b.body, name); });
  });
}

}  // namespace

std::string BuildScope::advice(const std::string& name) const {
  const Namespace& here = builder_.names_of(instance_.definition);
  if (const Namespace* import = here.import_of(name)) {
    std::string near = did_you_mean(name, here.names());
    if (!near.empty()) return near;
    return fmt::format("`{}` has {}", name.substr(0, name.find('.')),
                       fmt::join(import->names(), ", "));
  }
  for (const auto& [import, space] : here.imports) {
    if (import == name)
      return fmt::format("`{0}` is an import: its classes are called `{0}.Name`", name);
    if (space->find(name)) return fmt::format("did you mean `{}.{}`?", import, name);
  }
  if (instance_.definition && !find(name) && makes(instance_.definition->modules, name))
    return fmt::format("`{}` is made further down: a child can be named by those below it alone",
                       name);
  const Value& vars = builder_.vars();
  if (!vars.is(Value::Kind::dict) || !vars.find(name)) return {};
  if (!instance_.definition) return fmt::format("did you mean `vars.{}`?", name);
  return fmt::format(
      "a class sees its own arguments alone: give {} an argument `{}`, and pass "
      "`vars.{}` to it",
      instance_.definition->name, name, name);
}

void BuildScope::set(const std::string& name, Value v, const Span& at) {
  if (instance_.definition) {
    for (const ArgDecl& a : instance_.definition->args) {
      if (a.name == name)
        fault(at, "E0306",
              fmt::format("`{}` is an argument of {}", name, instance_.definition->name),
              "a let or loop variable needs a name of its own");
    }
  }
  names_[name] = std::move(v);
}

Ref<ClassValue> Builder::find_type(const std::string& name, const ClassDef* in) const {
  auto type = make_ref<ClassValue>(name);
  type->definition = names_of(in).find(name);
  if (!type->definition) type->layer = Registry<Module>::find(name);
  return type->definition || type->layer ? type : Ref<ClassValue>();
}

std::vector<std::string> Builder::type_names(const ClassDef* in) const {
  std::vector<std::string> out = Registry<Module>::names();
  for (std::string& name : names_of(in).names()) out.push_back(std::move(name));
  return out;
}

void Builder::too_large(const Span& at, std::string message) {
  exhausted_ = true;
  fault(at, "E0404", std::move(message));
}

void Builder::spend(const Span& at) {
  if (++spent_ > kMaxSteps) too_large(at, fmt::format("more than {} rounds of loops", kMaxSteps));
}

Ref<Module> Builder::construct(const ClassValue& type, CallArgs& args, const Span& callee) {
  Ref<Module> m = type.definition ? instantiate(*type.definition, args, callee)
                                  : construct_layer(type, args, callee);
  if (type.definition) made_.erase(m.get());  // a layer that is gone may have had its address
  count(*m, callee);
  return m;
}

void Builder::count(Module& m, const Span& at) {
  if (++modules_ > kMaxModules) too_large(at, fmt::format("more than {} modules", kMaxModules));
  for (auto slots : {m.parameter_slots(), m.buffer_slots()}) {
    for (const auto& slot : slots) {
      if (!slot->value.defined()) continue;
      int64_t n = 1;
      bool overflow = false;
      for (int64_t s : slot->value.shape()) overflow |= __builtin_mul_overflow(n, s, &n);
      if (overflow || __builtin_add_overflow(elements_, n, &elements_))
        fault(at, "E0404",
              fmt::format("`{}` of shape {} is too large", slot->name, slot->value.shape().str()));
    }
  }
}

namespace {

/// Layers of nnm ask Construction where and of which type their parameters are; those of somebody
/// else's program need not know of it.
void follow_construction(Module& layer) {
  const TensorOptions wanted = Construction::current().options();
  const auto fits = [&](const Tensor& t) {
    return t.device() == wanted.device && (!is_floating(t.dtype()) || t.dtype() == wanted.dtype);
  };
  const Tensors parameters = layer.parameters(), buffers = layer.buffers();
  if (!std::all_of(parameters.begin(), parameters.end(), fits) ||
      !std::all_of(buffers.begin(), buffers.end(), fits))
    layer.to(wanted);
}

/// Numbers, texts and lists of them: what can be said again without a module or tensor.
bool is_plain(const Value& v) {
  if (v.is_sequence()) return std::all_of(v.items().begin(), v.items().end(), is_plain);
  return v.is_number() || v.is(Value::Kind::boolean) || v.is(Value::Kind::string);
}

/// The arguments of a layer as its attributes: PyTorch's convolutions keep tuples. What is none may
/// have become something else.
Items attributes(const std::string& type, const Signature& signature, const Values& bound) {
  const int kernel = type.starts_with("Conv") ? signature.index_of("kernel_size") : -1;
  Items out;
  for (size_t i = 0; i < bound.size(); ++i) {
    const Param& p = signature.params()[i];
    Value v = bound[i];
    if (!is_plain(v)) continue;
    const bool extents = kernel >= 0 && (p.type.tuple > 0 || p.name == "padding");
    if (extents && v.is(Value::Kind::integer)) {
      const int n = signature.params()[static_cast<size_t>(kernel)].type.tuple;
      v = Value::tuple(Values(static_cast<size_t>(n), v));
    }
    out.emplace_back(p.name, std::move(v));
  }
  return out;
}

}  // namespace

Ref<Module> Builder::construct_layer(const ClassValue& type, CallArgs& args, const Span& callee) {
  const Signature& signature = type.layer->signature();
  Values bound;
  try {
    bound = signature.bind(args.values());
  } catch (const BindError& e) {
    refuse_arguments(args, e, callee, signature.text());
  }
  try {
    Ref<Module> layer = type.layer->make(bound);
    follow_construction(*layer);
    // What wraps a layer that there is, as weight_norm does, leaves it its attributes.
    const bool is_new = std::none_of(bound.begin(), bound.end(), [&](const Value& v) {
      return v.is(Value::Kind::module) && v.as<Ref<Module>>() == layer;
    });
    if (is_new) made_[layer.get()] = attributes(type.name, signature, bound);
    return layer;
  } catch (const Fault&) {
    throw;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::device) throw;
    fault(args.place(e.what(), signature, callee), "E0304",
          fmt::format("{}: {}", type.name, e.what()), e.hint(), {{signature.text(), {}}});
  }
}

std::string Builder::chain(size_t from, size_t to, const ClassDef& last) const {
  std::string out;
  for (size_t i = from; i < to; ++i) out += stack_[i]->definition->name + " → ";
  return out + last.name;
}

void Builder::check_nesting(const ClassDef& c, const Span& callee) {
  if (stack_.size() < kMaxNesting) return;
  exhausted_ = true;
  size_t last = stack_.size();
  while (last > 0 && stack_[last - 1]->definition != &c) --last;
  if (last == 0)
    fault(callee, "E0404", fmt::format("more than {} classes inside of each other", kMaxNesting));
  fault(callee, "E0408",
        fmt::format("{} contains itself without an end: {}", c.name,
                    chain(last - 1, stack_.size(), c)),
        fmt::format("below a condition, `if depth > 0:`, it ends with a smaller argument, "
                    "`{}(depth - 1)`; at most {} classes stand inside of each other",
                    c.name, kMaxNesting));
}

void Builder::check_recursion(const Instance& instance, const Span& callee) const {
  const ClassDef& c = *instance.definition;
  for (size_t i = 0; i + 1 < stack_.size(); ++i) {
    const Instance& outer = *stack_[i];
    const bool same =
        outer.definition == &c && std::all_of(c.args.begin(), c.args.end(), [&](const ArgDecl& a) {
          const auto value = outer.values.find(a.name);
          return value != outer.values.end() && value->second == instance.values.at(a.name);
        });
    if (!same) continue;
    fault(callee, "E0408",
          fmt::format("{} contains itself: {}", c.name, chain(i, stack_.size() - 1, c)),
          c.args.empty() ? "a class cannot be part of itself; use a loop"
                         : "with the same arguments it never ends; use a loop, or a smaller "
                           "argument below a condition: `if depth > 0:`");
  }
}

void Builder::bind_args(Instance& instance, CallArgs& args, const Span& callee) {
  const ClassDef& c = *instance.definition;
  std::vector<Param> params;
  for (const ArgDecl& a : c.args) {
    Param p;
    p.name = a.name;
    p.type = a.type;
    if (a.fallback) p.fallback = absent();
    params.push_back(std::move(p));
  }
  Values bound;
  try {
    bound = Signature(c.name, std::move(params)).bind(args.values());
  } catch (const BindError& e) {
    refuse_arguments(args, e, callee, class_signature(c));
  }
  for (size_t i = 0; i < bound.size(); ++i) {
    const ArgDecl& a = c.args[i];
    instance.values[a.name] = is_absent(bound[i]) ? default_of(instance, a) : bound[i];
  }
}

/// A default may use the arguments before it.
Value Builder::default_of(Instance& instance, const ArgDecl& arg) {
  const BuildScope scope(*this, instance);
  Value v = evaluate(*arg.fallback, scope);
  // `int = none` stands for "not given", as in Python.
  if (v.is_none()) return v;
  return Reporter::at(arg.fallback->span, "E0304", [&] {
    try {
      return arg.type.convert(v);
    } catch (const Error& e) {
      throw Error(e.kind(), fmt::format("default of `{}`: {}", arg.name, e.what()), e.hint());
    }
  });
}

Ref<Module> Builder::instantiate(const ClassDef& c, CallArgs& args, const Span& callee) {
  check_nesting(c, callee);
  Instance instance;
  instance.definition = &c;
  instance.path = path_;
  // Defaults can make classes as well.
  stack_.push_back(&instance);
  const auto leave = [this](const Instance*) { stack_.pop_back(); };
  const std::unique_ptr<const Instance, decltype(leave)> entered(&instance, leave);
  bind_args(instance, args, callee);
  check_recursion(instance, callee);
  instance.module = make_ref<ClassModule>(c.home->prefix + c.name, path_);
  const size_t errors = reporter_.reported;
  const std::string path = path_;
  {
    BuildScope scope(*this, instance);
    std::optional<FrameGuard> frame;
    if (!path.empty())
      frame.emplace(reporter_, [&] {
        return Note{fmt::format("in {} ({}), built at {}:{}:{}", shortened(path), c.name,
                                callee.file ? callee.file->path : "", callee.line, callee.column),
                    {}};
      });
    read_lets(instance, scope);
    if (reporter_.reported == errors) check_requirements(c.require, scope);
    if (reporter_.reported == errors) fill_class(instance, scope);
  }
  path_ = path;
  if (reporter_.reported != errors) {
    Fault quiet(Diagnostic{.code = "E0403", .message = "follows from earlier errors"});
    quiet.silent = true;
    throw quiet;
  }
  return instance.module;
}

std::shared_ptr<const ClassDef> Builder::shared(const ClassDef& c) {
  auto& shared = definitions_[&c];
  if (!shared) shared = std::make_shared<const ClassDef>(c);
  return shared;
}

void Builder::fill_class(Instance& instance, const BuildScope& outer) {
  const ClassDef& c = *instance.definition;
  const size_t errors = reporter_.reported;
  const auto block = [&](const auto& f) {
    BuildScope scope(*this, instance, &outer);
    f(scope);
  };
  block([&](BuildScope& s) { params(instance, s); });
  block([&](BuildScope& s) { buffers(instance, s); });
  block([&](BuildScope& s) { children(c.modules, s, *instance.module, instance.path); });
  // Children without a name, and those that there was no room for, could be any that forward calls.
  if (!instance.lost && !exhausted_)
    instance.module->compile({shared(c), instance.values, instance.failed, instance.made},
                             reporter_);
  if (reporter_.reported == errors) block([&](BuildScope& s) { rules(instance, s); });
}

void Builder::read_lets(Instance& instance, BuildScope& scope) {
  const ClassDef& c = *instance.definition;
  run_block(c.let, scope, [](const BlockItem&, const BuildScope&) {});
  scope.move_names_to(instance.values);
}

void Builder::check_requirements(const Block& block, const BuildScope& outer) {
  BuildScope scope(*this, outer.instance(), &outer);
  run_block(block, scope, [&](const BlockItem& item, const BuildScope& s) {
    const Value v = evaluate(*item.value, s);
    if (Reporter::at(item.value->span, "E0401", [&] { return truth(v); })) return;
    fault(item.value->span, "E0402",
          item.text ? expand(*item.text, s)
                    : fmt::format("`{}` does not hold", expr_text(*item.value)));
  });
}

void Builder::run_block(const Block& block, BuildScope& scope, const EntryFn& entry) {
  for (const BlockItem& item : block.items) {
    if (exhausted_) return;
    reporter_.attempt([&] {
      spend(item.span);
      switch (item.kind) {
        case BlockItem::Kind::let:
          for (const auto& [name, e] : item.lets) {
            // What failed is not reported again where it is used.
            Value v = poison();
            reporter_.attempt([&, &e = e] { v = evaluate(*e, scope); });
            scope.set(name.text(), std::move(v), name.span());
          }
          return;
        case BlockItem::Kind::loop: return run_loop(item, scope, entry);
        case BlockItem::Kind::branch: return run_branch(item, scope, entry);
        case BlockItem::Kind::entry: return entry(item, scope);
      }
    });
  }
}

void Builder::run_loop(const BlockItem& item, BuildScope& scope, const EntryFn& entry) {
  const Value list = evaluate(*item.iterable, scope);
  const Values items = Reporter::at(item.iterable->span, "E0401", [&] { return iterate(list); });
  for (const Value& v : items) {
    if (exhausted_) return;
    spend(item.span);
    BuildScope inner(*this, scope.instance(), &scope);
    inner.container = scope.container;
    bind_target(*item.target, v, scope, [&](const std::string& name, Value part) {
      inner.set(name, std::move(part), item.target->span);
    });
    const FrameGuard frame(reporter_,
                           [&] { return loop_note(*item.target, *item.iterable, item.span, v); });
    run_block(*item.body, inner, entry);
  }
}

void Builder::run_branch(const BlockItem& item, BuildScope& scope, const EntryFn& entry) {
  for (const auto& b : item.branches) {
    if (b.condition) {
      const Value v = evaluate(*b.condition, scope);
      if (is_poison(v)) return;
      if (!Reporter::at(b.condition->span, "E0401", [&] { return truth(v); })) continue;
    }
    BuildScope inner(*this, scope.instance(), &scope);
    inner.container = scope.container;
    const FrameGuard frame(reporter_, [&] {
      const std::string text = b.condition ? "if " + expr_text(*b.condition) : "else";
      return Note{fmt::format("while expanding `{}` (line {})", text, b.span.line), {}};
    });
    return run_block(*b.body, inner, entry);
  }
}

}  // namespace nnm::lang
