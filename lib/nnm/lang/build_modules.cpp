// Building children: layers, containers, existing modules once more, and their registration.
#include <algorithm>

#include "nnm/base/literal.h"
#include "nnm/base/text.h"
#include "nnm/lang/build.h"

namespace nnm::lang {

namespace {

constexpr size_t kMaxChildren = 10'000;  // they are looked up one after the other

/// Whether a class or type of layer has an argument without a default.
bool needs_arguments(const Value& callable) {
  const auto& type = *static_cast<const ClassValue*>(callable.object());
  if (type.definition)
    return std::any_of(type.definition->args.begin(), type.definition->args.end(),
                       [](const ArgDecl& a) { return !a.fallback; });
  const auto& params = type.layer->signature().params();
  return std::any_of(params.begin(), params.end(),
                     [](const Param& p) { return !p.fallback && !p.variadic && !p.keywords; });
}

/// What to write where PyTorch refuses the name of a child.
std::string name_advice(const Module& into, const std::string& name) {
  if (name.empty()) return "a name has at least one character";
  if (name.starts_with("self."))
    return fmt::format("what stands here is self's: write `{}`", name.substr(5));
  if (name.find('.') != std::string::npos) return "a dot stands between the names of a path";
  if (tensor_member(into, name, {})) return "it is a parameter or buffer: use another name";
  return fmt::format("every {} has it, as in PyTorch: use another name, `{}_`", into.type_name(),
                     name);
}

}  // namespace

void Builder::children(const Block& block, BuildScope& scope, Module& into,
                       const std::string& prefix) {
  scope.container = &into;
  run_block(block, scope,
            [&](const BlockItem& item, const BuildScope& s) { child(item, s, into, prefix); });
}

std::string Builder::child_name(const BlockItem& item, const BuildScope& scope,
                                const Module& into) const {
  // PyTorch's append names by the number of children.
  if (!item.key) return std::to_string(into.module_slots().size());
  return expand(*item.key, scope);
}

void Builder::child(const BlockItem& item, const BuildScope& scope, Module& into,
                    const std::string& prefix) {
  Instance& instance = scope.instance();
  std::string name;
  const bool own = &into == instance.module.get();
  try {
    name = child_name(item, scope, into);
  } catch (const Fault&) {
    instance.lost = true;
    throw;
  }
  const std::string path = prefix.empty() ? name : prefix + "." + name;
  const std::string before = std::exchange(path_, path);
  try {
    Ref<Module> m = layer(*item.layer, scope, path);
    path_ = before;
    if (!m) return;
    remember(instance, path, *m);
    register_child(into, name, std::move(m), item.key ? item.key->span : item.span, path);
  } catch (const Fault&) {
    path_ = before;
    // Of a container's child it is the container that is not whole.
    if (own) instance.failed.insert(name.starts_with("self.") ? name.substr(5) : name);
    // Of two with one name, one was meant to have another, which forward may call.
    if (own && child_slot(into, name)) instance.lost = true;
    throw;
  }
}

void Builder::remember(Instance& instance, const std::string& path, const Module& m) const {
  const auto made = made_.find(&m);
  if (made == made_.end()) return;
  const std::string own = instance.path.empty() ? path : path.substr(instance.path.size() + 1);
  for (const auto& [name, value] : made->second) instance.made[own + "." + name] = value;
}

void Builder::check_name(const std::string& name, const Span& at) {
  const bool kept = std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (kept) return;
  fault(at, "E0403",
        fmt::format("`{}` is a name that no checkpoint can keep", escape_terminal(name)),
        "a name has no `/` and no control characters");
}

void Builder::register_child(Module& into, const std::string& name, Ref<Module> m, const Span& at,
                             const std::string& path) {
  check_name(name, at);
  const bool list = into.type_name() == "ModuleList";
  if (list && (name.empty() || name.find_first_not_of("0123456789") != std::string::npos))
    fault(at, "E0403", fmt::format("a child of ModuleList is called by a number, not `{}`", name),
          "write `${i}:`, or use ModuleDict");
  if (into.module_slots().size() >= kMaxChildren)
    too_large(at, fmt::format("more than {} children of one module", kMaxChildren));
  // PyTorch would replace the child silently.
  if (child_slot(into, name)) {
    std::vector<Note> notes;
    for (const auto& [site, span] : sites_) {
      if (site == path)
        notes.push_back({fmt::format("the first stands in line {}", span.line), {}});
    }
    fault(at, "E0403", fmt::format("there is a child `{}` already", name),
          "children made in a loop need names of their own: `name_${i}`", std::move(notes));
  }
  try {
    into.add_module(name, std::move(m));
  } catch (const Error& e) {
    fault(at, "E0403", e.what(), name_advice(into, name));
  }
  sites_.emplace_back(path, at);
}

Ref<Module> Builder::layer(const Layer& l, const BuildScope& scope, const std::string& path) {
  if (l.children) return container(l, scope, path);
  if (!l.call) return mapped(l, scope);
  const Value v = evaluate(*l.call, scope);
  if (v.is(Value::Kind::module)) return v.as<Ref<Module>>();
  // `self.downsample = None`: forward may ask for it.
  if (v.is_none() && scope.container && scope.container == scope.instance().module.get()) return {};
  if (v.is(Value::Kind::callable))
    fault(l.call->span, "E0305", fmt::format("`{}` is a class, not a layer", v.repr()),
          fmt::format("write `{}({})`", expr_text(*l.call), needs_arguments(v) ? "…" : ""));
  fault(l.call->span, "E0305", fmt::format("expected a layer, got {}", v.config_text()),
        "write a call like `Linear(10, 20)`, or the name of a child that is there already");
}

Ref<Module> Builder::container(const Layer& l, const BuildScope& scope, const std::string& path) {
  const Ref<ClassValue> type = find_type(l.type, scope.instance().definition);
  if (!type) fault(l.type_span, "E0302", fmt::format("unknown layer `{}`", l.type));
  CallArgs none;
  Ref<Module> m = construct(*type, none, l.type_span);
  const size_t errors = reporter_.reported;
  BuildScope inner(*this, scope.instance(), &scope);
  children(*l.children, inner, *m, path);
  if (reporter_.reported != errors) {
    Fault quiet(Diagnostic{.code = "E0403", .message = "follows from earlier errors"});
    quiet.silent = true;
    throw quiet;
  }
  return m;
}

Ref<Module> Builder::mapped(const Layer& l, const BuildScope& scope) {
  const Ref<ClassValue> type = scope.type_of(l.type);
  if (!type) {
    std::vector<std::string> all;
    scope.callables(all);
    const bool list = std::any_of(l.args.begin(), l.args.end(),
                                  [](const Expr::Arg& a) { return a.name.empty(); });
    fault(l.type_span, "E0302", fmt::format("unknown layer `{}`", l.type),
          did_you_mean(l.type, all, list ? "a list of layers stands below `Sequential:`" : ""));
  }
  CallArgs args = mapped_args(l, *type, scope);
  return construct(*type, args, l.type_span);
}

namespace {

/// The type of an argument of a class or layer, or null.
const ArgType* type_of_argument(const ClassValue& type, const std::string& name) {
  if (type.definition) {
    for (const ArgDecl& a : type.definition->args)
      if (a.name == name) return &a.type;
    return nullptr;
  }
  const Signature& s = type.layer->signature();
  const int i = s.index_of(name);
  return i < 0 ? nullptr : &s.params()[static_cast<size_t>(i)].type;
}

/// Of a ParameterDict the names in its mapping are those of the parameters.
CallArgs as_dict(CallArgs args) {
  if (args.all.empty() || args.all[0].name == "parameters") return args;
  Items parameters;
  for (const CallArgs::One& a : args.all) parameters.emplace_back(a.name, *a.value->constant());
  CallArgs out;
  const Span& at = args.all[0].span;
  out.all.push_back(
      {"", std::make_shared<ConstantNode>(at, Value::dict(std::move(parameters))), at, {}});
  return out;
}

/// Whether a word may be the value of an argument that takes texts. Of `padding: int or str`, which
/// is of any type, a dtype is meant as one.
bool takes_word(const ClassValue& type, const std::string& argument, const std::string& word) {
  const ArgType* t = type_of_argument(type, argument);
  return t && (t->base == ArgType::Base::string ||
               (t->base == ArgType::Base::any && find_dtype(word).is_none()));
}

}  // namespace

std::optional<Value> BuildScope::word(const std::string& callee, const std::string& argument,
                                      const std::string& text) const {
  const Ref<ClassValue> type = type_of(callee);
  if (!type || !type->layer || !takes_word(*type, argument, text)) return std::nullopt;
  std::vector<std::string> all;
  names(all);
  // Where numbers are taken as well, what is nearly a name is rather a slip.
  const bool slip =
      type_of_argument(*type, argument)->base == ArgType::Base::any && !nearest(text, all).empty();
  return slip || find(text) ? std::nullopt : std::optional<Value>(text);
}

CallArgs Builder::mapped_args(const Layer& l, const ClassValue& type,
                              const BuildScope& scope) const {
  CallArgs out;
  Faults faults;
  const auto argument = [&](const Expr::Arg& a) {
    // YAML needs no quotes: `padding_mode: reflect` is a text, unless something has that name.
    const bool bare = a.value->kind == Expr::Kind::name && a.value->name.is_plain();
    const bool word = bare && takes_word(type, a.name, a.value->name.plain()) &&
                      !scope.find(a.value->name.plain());
    Value v = word ? Value(a.value->name.plain()) : evaluate(*a.value, scope);
    out.all.push_back({a.name, std::make_shared<ConstantNode>(a.value->span, std::move(v)),
                       a.value->span, a.name_span});
  };
  for (const Expr::Arg& a : l.args)
    if (a.value) faults.attempt([&] { argument(a); });
  faults.throw_if_any();
  return type.name == "ParameterDict" && type.layer ? as_dict(std::move(out)) : out;
}

}  // namespace nnm::lang
