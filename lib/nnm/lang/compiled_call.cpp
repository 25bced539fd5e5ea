// Compiling calls: children first, then functions; arguments bound and converted once.
#include <algorithm>
#include <cctype>
#include <map>

#include "nnm/lang/fused_nodes.h"

namespace nnm::lang {

namespace {

/// The name that is the same but for cases, `_` and a final "loss": ReLU and relu, CrossEntropyLoss
/// and cross_entropy. "" where there is none.
std::string twin(const std::string& name, const std::vector<std::string>& candidates) {
  const auto plain = [](std::string_view s) {
    std::string out;
    for (const char c : s)
      if (c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (out.size() > 4 && out.ends_with("loss")) out.resize(out.size() - 4);
    return out;
  };
  const std::string wanted = plain(name);
  for (const std::string& c : candidates)
    if (c != name && plain(c) == wanted) return c;
  return "";
}

/// "there is Conv1d, Conv2d" for Conv: the names that begin with this one; "" where none does, or
/// too many.
std::string longer_names(const std::string& name, const std::vector<std::string>& candidates) {
  constexpr size_t kMost = 8, kLeast = 3;
  std::vector<std::string> longer;
  for (const std::string& c : candidates)
    if (c.starts_with(name)) longer.push_back(c);
  const bool few = !longer.empty() && longer.size() <= kMost && name.size() >= kLeast;
  return few ? fmt::format("there is {}", fmt::join(longer, ", ")) : "";
}

/// What to write for a layer by the name that another library gives it; "" for other names.
std::string foreign_layer(const std::string& name) {
  static const std::map<std::string, const char*> known = {
      {"Dense", "did you mean `Linear`?"},
      {"FullyConnected", "did you mean `Linear`?"},
      {"Convolution2D", "did you mean `Conv2d`?"},
      {"MaxPooling2D", "did you mean `MaxPool2d`?"},
      {"AveragePooling2D", "did you mean `AvgPool2d`?"},
      {"GlobalAveragePooling2D", "write `AdaptiveAvgPool2d(1)`, and `Flatten()` behind it"},
      {"BatchNormalization", "there is BatchNorm1d, BatchNorm2d, BatchNorm3d"},
      {"LayerNormalization", "did you mean `LayerNorm`?"},
      {"Activation", "an activation is a layer of its own: `ReLU()`, `GELU()`"},
      {"Input", "what a model is given stands under `inputs:` of its class"},
      {"Reshape", "did you mean `Unflatten`? In forward write `reshape(x, …)`"},
      {"Permute", "in forward write `permute(x, …)`"},
      {"Lambda", "there is no `lambda`: write a class of `define:`"},
      {"Concatenate", "in forward write `cat([a, b], dim=1)`"},
      {"Add", "in forward write `a + b`"},
      {"Attention", "did you mean `MultiheadAttention`?"}};
  const auto it = known.find(name);
  return it == known.end() ? "" : it->second;
}

}  // namespace

bool CallArgs::constant() const {
  return std::all_of(all.begin(), all.end(), [](const One& a) { return a.value->constant(); });
}

Args CallArgs::values() const {
  Args out;
  for (const One& a : all) {
    if (a.name.empty()) out.pos.push_back(*a.value->constant());
    else out.kw.emplace_back(a.name, *a.value->constant());
  }
  return out;
}

Span CallArgs::place(const BindError& e, const Span& callee) const {
  int position = 0;
  for (const One& a : all) {
    if (a.name.empty() && position++ == e.position) return a.span;
  }
  for (const One& a : all) {
    // An unknown keyword is pointed at itself, a bad value at the value.
    if (!a.name.empty() && a.name == e.name) {
      const bool unknown = e.kind() == ErrorKind::type &&
                           std::string(e.what()).find("no argument") != std::string::npos;
      return unknown && a.name_span ? a.name_span : a.span;
    }
  }
  return callee;
}

Span CallArgs::place(const std::string& message, const Signature& signature,
                     const Span& callee) const {
  const auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t begin = 0, end = 0; begin < message.size(); begin = std::max(end, begin + 1)) {
    for (end = begin; end < message.size() && word(message[end]);) ++end;
    const std::string name = message.substr(begin, end - begin);
    const int at = signature.index_of(name);
    if (name.empty() || at < 0) continue;
    int position = 0;
    for (const One& a : all)
      if (a.name.empty() ? position++ == at : a.name == name) return a.span;
  }
  return callee;
}

CallArgs Compiler::compile_args(const Expr& call) {
  const auto plain = [](const Expr& e) {
    return e.kind == Expr::Kind::name && e.name.is_plain() ? e.name.plain() : std::string();
  };
  const std::string callee = plain(*call.items[0]);
  CallArgs out;
  Faults faults;
  const auto argument = [&](const Expr::Arg& a) {
    const std::string text = a.name.empty() || callee.empty() ? "" : plain(*a.value);
    std::optional<Value> meant;
    if (!text.empty() && !local(text)) meant = word(callee, a.name, text);
    NodeRef value = meant ? constant(a.value->span, std::move(*meant)) : compile(*a.value);
    out.all.push_back({a.name, std::move(value), a.value->span, a.name_span});
  };
  for (const Expr::Arg& a : call.args) faults.attempt([&] { argument(a); });
  faults.throw_if_any();
  return out;
}

NodeRef Compiler::compile_pipe(const Expr& e) {
  const Expr& right = *e.items[1];
  const bool is_call = right.kind == Expr::Kind::call;
  CallArgs args;
  args.all.push_back({"", compile(*e.items[0]), e.items[0]->span, {}});
  if (const Value* v = args.all[0].value->constant();
      v && v->is(Value::Kind::module) && std::string_view(callable_kind()) == "layer")
    fault(e.op_span, "E0305", "layers are not piped into layers",
          "a list of layers calls them in order; `|>` stands in forward: `x |> fc |> relu`");
  if (is_call) {
    CallArgs more = compile_args(right);
    std::move(more.all.begin(), more.all.end(), std::back_inserter(args.all));
  }
  return compile_call(is_call ? *right.items[0] : right, std::move(args), right);
}

NodeRef Compiler::compile_call(const Expr& callee, CallArgs args, const Expr& call) {
  const bool named = callee.kind == Expr::Kind::name || callee.kind == Expr::Kind::attribute;
  if (named) {
    if (NodeRef n = call_named(callee, args, call))
      return eager() ? n : with_fusion(n, [this] { return new_slot(); });
  }
  NodeRef target = compile(callee);
  refuse_call(callee);
  return std::make_shared<ModuleCallNode>(callee.span, std::move(target), expr_text(callee), args);
}

/// Where layers are made none is called: what stands there is called a second time.
void Compiler::refuse_call(const Expr& callee) const {
  if (std::string_view(callable_kind()) != "layer") return;
  fault(callee.span, "E0305",
        fmt::format("`{}` is a layer already, and forward calls it", expr_text(callee)),
        "here a class is called with its arguments, once: `Linear(10, 20)`");
}

NodeRef Compiler::call_named(const Expr& callee, CallArgs& args, const Expr& call) {
  const bool attribute = callee.kind == Expr::Kind::attribute;
  const auto path = dotted(callee);
  if (!path && attribute) return call_method(callee, args);
  if (!path) {
    NodeRef child = dynamic_callee(callee, pieces(callee.name));
    return std::make_shared<ModuleCallNode>(callee.span, std::move(child), expr_text(callee), args);
  }
  const std::string name = path->starts_with("self.") ? path->substr(5) : *path;
  const auto as_module = [&](NodeRef child) -> NodeRef {
    refuse_call(callee);
    return std::make_shared<ModuleCallNode>(callee.span, std::move(child), name, args);
  };
  if (NodeRef child = resolve_callee(name, callee)) return as_module(child);
  if (NodeRef n = resolve_call(name, callee, call, args)) return n;
  if (attribute) {
    refuse_qualified(*path, callee);
    refuse_namespace(*path, callee);
    return call_method(callee, args);
  }
  const bool function = find_native(name) || find_function(name);
  if (const Local* l = local(name)) {
    const bool module = l->known && (l->known->child() || l->known->constant());
    if (module || !function) return as_module(compile(callee));
    if (!l->known) {
      NodeRef held = compile(callee), called = as_module(held);
      return std::make_shared<HeldCallNode>(callee.span, std::move(held), std::move(called),
                                            call_function(name, args, callee));
    }
  }
  if (function) {
    try {
      return call_function(name, args, callee);
    } catch (Fault& e) {
      // Where layers are made, a function without its tensor is meant as the layer of its name.
      const std::string layer =
          std::string_view(callable_kind()) == "layer" ? twin(name, Registry<Module>::names()) : "";
      if (e.diagnostic.help.empty() && !layer.empty()) {
        e.diagnostic.help =
            fmt::format("the layer is `{}(…)`; functions are called in forward", layer);
        e.more.clear();
      }
      throw;
    }
  }
  if (NodeRef n = resolve(name, callee)) return as_module(n);
  unknown_callable(name, callable_kind(), callee.span);
}

/// Where layers are made, `b1.Block` is a slip of `bl.Block`.
void Compiler::refuse_namespace(const std::string& path, const Expr& callee) {
  if (std::string_view(callable_kind()) != "layer") return;
  const std::string first = path.substr(0, path.find('.'));
  std::vector<std::string> all;
  callables(all);
  if (!local(first) && !resolve(first, callee) && !nearest(path, all).empty())
    unknown_callable(path, "layer", callee.span);
}

void Compiler::unknown_callable(const std::string& name, const char* kind, const Span& at) {
  std::vector<std::string> all, layers;
  callables(all);
  for (auto n : native_names()) all.emplace_back(n);
  for (auto n : function_names()) all.emplace_back(n);
  const bool layer = std::string_view(kind) == "layer";
  std::string help;
  if (!layer && is_class(name)) {
    help = fmt::format(
        "a class is made under `modules:`, `child: {}(…)`, and called by its name, `child(x)`",
        name);
  }
  if (!layer && Registry<Module>::find(name)) {
    const std::string function = twin(name, all);
    help = fmt::format(
        "a layer is made under `modules:`, `child: {0}(…)`, and called by its name, `child(x)`{1}",
        name, function.empty() ? "" : fmt::format("; the function is `{}(…)`", function));
  }
  if (layer && name.starts_with("Lazy") && Registry<Module>::find(name.substr(4)))
    help = fmt::format("sizes are known before a network runs: `{}`",
                       Registry<Module>::find(name.substr(4))->signature().text());
  if (help.empty() && layer) {
    callables(layers);
    help = longer_names(name, layers);
    if (help.empty()) help = did_you_mean(name, layers);
    if (help.empty()) help = foreign_layer(name);
  }
  // Of a short name nearly everything is near.
  if (help.empty() && (!layer || name.size() > 3)) help = did_you_mean(name, all);
  if (help.empty() && !layer) help = longer_names(name, all);
  if (help.empty())
    help = fmt::format("`nnm list {}` prints those there are", layer ? "modules" : "functions");
  fault(at, "E0302", fmt::format("unknown {} `{}`", kind, name), std::move(help));
}

/// A part of a known child, else a function with self first, else a part known while running.
NodeRef Compiler::call_method(const Expr& callee, CallArgs& args) {
  const Span at = callee.op_span ? callee.op_span : callee.span;
  const auto method = known_text(callee.name);
  if (!method) fault(callee.span, "E0302", "the name of a method must be known before running");
  if (is_self(*callee.items[0])) unknown_member(*method, at);
  NodeRef self = compile(*callee.items[0]);
  if (self->lost()) return self;
  if (const ChildNode* child = self->child()) {
    if (NodeRef member = child->member(*method, callee.span))
      return std::make_shared<ModuleCallNode>(callee.span, std::move(member), expr_text(callee),
                                              args);
    const bool listing = *method == "items" || *method == "keys" || *method == "values";
    if (!listing || !child->slot->value || !has_keys(*child->slot->value))
      return nullptr;  // compiling the callee says what is missing
  }
  // Some methods are not the functions of their names.
  const std::string own = "Tensor." + *method;
  if (find_native(*method) || find_function(*method) || find_function(own)) {
    args.all.insert(args.all.begin(), {"", self, callee.items[0]->span, {}});
    return call_function(find_function(own) ? own : *method, args, callee);
  }
  std::vector<std::string> functions;
  for (auto n : function_names()) functions.emplace_back(n);
  if (self->constant() || !nearest(*method, functions).empty())
    unknown_callable(*method, "function", at);
  // A module that is a value while running (`model.encoder(x)` in a test) has children.
  auto member = std::make_shared<AttributeNode>(at, self, *method);
  return std::make_shared<ModuleCallNode>(callee.span, std::move(member), *method, args);
}

namespace {

using Kind = Value::Kind;

/// One function, its arguments being bound.
struct Binding {
  const Function& function;
  const Signature& signature;
  CallArgs& args;
  const Expr& callee;
  std::vector<NodeRef> bound{};
  Faults faults{};
  bool misnamed = false;  // an argument has no place: another may be missing because of it

  [[noreturn]] void complain(const BindError& e, const char* code = "E0303") const {
    fault(args.place(e, callee.op_span ? callee.op_span : callee.span), code, e.what(), e.hint(),
          {{signature.text(), {}}});
  }

  void set(size_t i, const CallArgs::One& a, int position) {
    const Param& p = signature.params()[i];
    if (bound[i])
      complain(BindError(fmt::format("{}: argument `{}` is given twice", signature.name(), p.name),
                         "", position, p.name));
    bound[i] = a.value;
    if (const Value* v = a.value->constant()) bound[i] = converted(p, *v, a, position);
  }

  NodeRef converted(const Param& p, const Value& v, const CallArgs::One& a, int position) const {
    try {
      return std::make_shared<ConstantNode>(a.span, p.type.convert(v));
    } catch (const Error& e) {
      complain(BindError(fmt::format("{}: `{}`: {}", signature.name(), p.name, e.what()), e.hint(),
                         position, p.name, e.kind()),
               "E0304");
    }
  }

  /// A list given for `*xs` by name: it stands for its items.
  NodeRef spread(const Param& p, const CallArgs::One& a, int position) const {
    const Value* v = a.value->constant();
    if (!v) return std::make_shared<SpreadNode>(a.span, a.value);
    Values items = v->is_sequence() ? v->items() : Values{*v};
    for (Value& item : items) item = *converted(p, item, a, position)->constant();
    return std::make_shared<ConstantNode>(a.span, Value::tuple(std::move(items)));
  }

  /// The positional arguments from `from` on as one list (a tuple for `*xs`).
  void pack(size_t slot, size_t from, const std::vector<const CallArgs::One*>& positional) {
    const Param& p = signature.params()[slot];
    std::vector<NodeRef> items;
    bool known = true;
    for (size_t i = from; i < positional.size(); ++i) {
      NodeRef n = positional[i]->value;
      if (n->constant() && p.variadic)
        n = converted(p, *n->constant(), *positional[i], static_cast<int>(i));
      known &= n->constant() != nullptr;
      items.push_back(std::move(n));
    }
    NodeRef node = std::make_shared<SequenceNode>(positional[from]->span, p.variadic, items);
    if (known) {
      Frame f;
      Value v = node->eval(f);
      node = std::make_shared<ConstantNode>(node->span, v);
      if (!p.variadic) node = converted(p, v, *positional[from], static_cast<int>(from));
    }
    bound[slot] = std::move(node);
  }

  void positional() {
    std::vector<const CallArgs::One*> given;
    for (const CallArgs::One& a : args.all) {
      if (a.name.empty()) given.push_back(&a);
    }
    const auto& params = signature.params();
    size_t most = 0;
    for (const Param& p : params) most += !p.keyword_only;
    const bool variadic =
        std::any_of(params.begin(), params.end(), [](const Param& p) { return p.variadic; });
    // PyTorch takes `reshape(a, 6, 4)` for `reshape(a, [6, 4])`.
    const bool spread = given.size() > most && !variadic;
    for (size_t i = 0; i < given.size(); ++i) {
      if (i < params.size() &&
          (params[i].variadic ||
           (spread && params[i].type.list && params[i].type.base == ArgType::Base::integer)))
        return faults.attempt([&] { pack(i, i, given); });
      if (i >= params.size() || params[i].keyword_only) {
        misnamed = true;
        return faults.attempt([&] { too_many(given.size(), most, static_cast<int>(i)); });
      }
      faults.attempt([&] { set(i, *given[i], static_cast<int>(i)); });
    }
  }

  [[noreturn]] void too_many(size_t got, size_t most, int position) const {
    complain(BindError(fmt::format("{} takes at most {} argument{}, got {}", signature.name(), most,
                                   most == 1 ? "" : "s", got),
                       "", position, ""));
  }

  void keywords() {
    for (const CallArgs::One& a : args.all)
      if (!a.name.empty()) faults.attempt([&] { keyword(a); });
  }

  void keyword(const CallArgs::One& a) {
    const int i = signature.index_of(a.name);
    if (i >= 0) {
      const Param& p = signature.params()[static_cast<size_t>(i)];
      if (p.variadic && !bound[static_cast<size_t>(i)])
        bound[static_cast<size_t>(i)] = spread(p, a, -1);
      else set(static_cast<size_t>(i), a, -1);
      return;
    }
    misnamed = true;
    complain(BindError(fmt::format("{} has no argument `{}`", signature.name(), a.name),
                       argument_advice(a.name, signature.params()), -1, a.name));
  }

  void defaults() {
    for (size_t i = 0; i < bound.size(); ++i) {
      const Param& p = signature.params()[i];
      if (bound[i]) continue;
      if (p.name == "training" && p.type.base == ArgType::Base::boolean)
        bound[i] = std::make_shared<TrainingNode>(callee.span);
      else if (p.variadic) bound[i] = std::make_shared<ConstantNode>(callee.span, Value::tuple({}));
      else if (p.fallback) bound[i] = std::make_shared<ConstantNode>(callee.span, *p.fallback);
      else
        complain(BindError(fmt::format("{}: missing argument `{}`", signature.name(), p.name), "",
                           -1, p.name));
    }
  }

  std::vector<FunctionNode::Arg> finished() {
    std::vector<FunctionNode::Arg> out;
    using Check = FunctionNode::Arg::Check;
    for (size_t i = 0; i < bound.size(); ++i) {
      const Param& p = signature.params()[i];
      const bool any = p.type.base == ArgType::Base::any && !p.type.list && p.type.tuple == 0;
      Check check = bound[i]->constant() || any ? Check::none : Check::convert;
      if (check == Check::convert && p.type.base == ArgType::Base::tensor && !p.type.list)
        check = Check::tensor;
      if (p.variadic) check = Check::none;
      out.push_back({bound[i], &p, check});
    }
    return out;
  }
};

/// What f makes, or null where the arguments do not fit.
template <class F>
NodeRef attempt(const F& f) {
  try {
    return f();
  } catch (const Fault&) {
    return nullptr;
  }
}

}  // namespace

NodeRef Compiler::bind_function(const Function& function, CallArgs& args, const Expr& callee) {
  const Signature& signature = function.signature();
  Binding b{function, signature, args, callee};
  b.bound.resize(signature.params().size());
  b.positional();
  b.keywords();
  if (!b.misnamed) b.faults.attempt([&] { b.defaults(); });
  b.faults.throw_if_any();
  if (signature.name() == "scaled_dot_product_attention") {
    NodeRef& p = b.bound[static_cast<size_t>(signature.index_of("dropout_p"))];
    p = std::make_shared<WhenTrainingNode>(p);
  }
  return std::make_shared<FunctionNode>(callee.op_span ? callee.op_span : callee.span, &function,
                                        b.finished());
}

NodeRef Compiler::call_function(const std::string& name, CallArgs& args, const Expr& callee) {
  if (name == "rearrange") return call_rearrange(args, callee);
  if (name == "load") return call_load(args, callee);
  if (NodeRef n = call_on_parts(name, args, callee)) return n;
  const Function* plain = find_native(name);
  const Function* tensor = find_function(name);
  const bool known = args.constant();
  const bool tensors = std::any_of(args.all.begin(), args.all.end(), [](const CallArgs::One& a) {
    return a.value->constant() && a.value->constant()->is(Kind::tensor);
  });
  if (known && plain && !tensors) return fold(bind_function(*plain, args, callee));
  if (!plain || (known && tensor)) {
    NodeRef n = bind_function(*tensor, args, callee);
    return known && eager() ? fold(n) : n;
  }
  if (!tensor) return bind_function(*plain, args, callee);
  // Only running tells which is meant; the arguments are computed once, into slots.
  std::vector<std::pair<int, NodeRef>> lets;
  std::vector<int> slots;
  for (CallArgs::One& a : args.all) {
    if (a.value->constant()) continue;
    slots.push_back(new_slot());
    lets.emplace_back(slots.back(), a.value);
    a.value = std::make_shared<SlotNode>(a.span, slots.back());
  }
  NodeRef of_tensors = attempt([&] { return bind_function(*tensor, args, callee); });
  NodeRef of_values = attempt([&] { return bind_function(*plain, args, callee); });
  if (!of_tensors && !of_values) return bind_function(*tensor, args, callee);
  if (!of_tensors || !of_values)
    return std::make_shared<LetNode>(callee.span, std::move(lets),
                                     of_tensors ? of_tensors : of_values);
  auto either = std::make_shared<EitherNode>(callee.span, std::move(slots), std::move(of_tensors),
                                             std::move(of_values));
  return std::make_shared<LetNode>(callee.span, std::move(lets), std::move(either));
}

NodeRef Compiler::fold(const NodeRef& n) {
  Frame f;
  f.building = true;
  return constant(n->span, n->eval(f));
}

/// The file is read once, when the expression is compiled; it stands beside the file that names it.
NodeRef Compiler::call_load(CallArgs& args, const Expr& callee) {
  for (CallArgs::One& a : args.all) {
    const bool path = a.name == "path" || (a.name.empty() && &a == &args.all[0]);
    const Value* v = a.value->constant();
    if (!v) fault(a.span, "E0303", "load: the arguments must be known before running");
    if (!path || !v->is(Kind::string) || v->string().starts_with('/') || !a.span) continue;
    const std::string& file = a.span.file->path;
    const size_t slash = file.rfind('/');
    if (slash != std::string::npos)
      a.value = constant(a.span, file.substr(0, slash + 1) + v->string());
  }
  try {
    const NodeRef tensor = fold(bind_function(*find_function("load"), args, callee));
    return std::make_shared<StoredNode>(callee.span, tensor->constant()->as<Tensor>());
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::input_file) throw;
    fault(callee.span, "E0442", e.what(), e.hint());
  }
}

NodeRef Compiler::call_rearrange(CallArgs& args, const Expr& callee) {
  // Its keywords are the names of the pattern: no signature knows them.
  const Span at = callee.op_span ? callee.op_span : callee.span;
  std::vector<NodeRef> positional;
  std::vector<std::pair<std::string, NodeRef>> sizes;
  for (const CallArgs::One& a : args.all) {
    if (a.name.empty()) positional.push_back(a.value);
    else sizes.emplace_back(a.name, a.value);
  }
  if (positional.size() != 2)
    fault(at, "E0303", "rearrange takes a tensor, a pattern, and sizes by name", "",
          {{"rearrange(x, \"b t (n e) -> n b t e\", n=3)", {}}});
  return std::make_shared<RearrangeNode>(at, positional[0], positional[1], std::move(sizes));
}

}  // namespace nnm::lang
