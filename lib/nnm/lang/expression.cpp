// Expressions outside of classes: compiled over given names, evaluated once, or read as calls.
#include "nnm/lang/expression.h"

#include <algorithm>
#include <set>

#include "nnm/base/literal.h"
#include "nnm/lang/compiled_nodes.h"
#include "nnm/lang/forward.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

/// An expression over slots, of which the first are the given names.
class Compiled {
 public:
  NodeRef node;
  int slots = 0;
};

namespace {

/// What to say of a name that stands under `vars:`, written without it; "" of others.
std::string vars_advice(const Value& vars, const std::string& name) {
  const bool there = vars.is(Value::Kind::dict) && vars.find(name);
  return there ? fmt::format("did you mean `vars.{}`?", name) : "";
}

constexpr size_t kListed = 12;  // of more names the list would be no help

class NamesCompiler final : public Compiler {
 public:
  NamesCompiler(const std::vector<std::string>& names, std::span<const Function> own,
                const Value& vars)
      : names_(names), own_(own), vars_(vars) {
    slots_ = static_cast<int>(names.size());
  }
  std::set<std::string> used;

 protected:
  bool eager() const override { return false; }
  NodeRef resolve(const std::string& path, const Expr& at) override {
    if (path == "training") return std::make_shared<TrainingNode>(at.span);
    const auto it = std::find(names_.begin(), names_.end(), path);
    if (it == names_.end()) return nullptr;
    used.insert(path);
    return std::make_shared<SlotNode>(at.span, static_cast<int>(it - names_.begin()));
  }
  NodeRef resolve_call(const std::string& name, const Expr& callee, const Expr&,
                       CallArgs& args) override {
    const auto it =
        std::find_if(own_.begin(), own_.end(), [&](const Function& f) { return f.name() == name; });
    return it == own_.end() ? nullptr : bind_function(*it, args, callee);
  }
  NodeRef unknown(const std::string& name, const Expr& at) override {
    std::string advice = vars_advice(vars_, name);
    if (!advice.empty())
      fault(at.span, "E0301", fmt::format("unknown name `{}`", name), std::move(advice));
    try {
      return Compiler::unknown(name, at);
    } catch (Fault& f) {
      if (f.diagnostic.help.empty() && !names_.empty() && names_.size() <= kListed)
        f.diagnostic.help = fmt::format("the names here are {}", fmt::join(names_, ", "));
      throw;
    }
  }
  void names(std::vector<std::string>& out) const override {
    out.insert(out.end(), names_.begin(), names_.end());
  }
  void callables(std::vector<std::string>& out) const override {
    names(out);
    for (const Function& f : own_) out.emplace_back(f.name());
  }

 private:
  const std::vector<std::string>& names_;
  std::span<const Function> own_;
  const Value& vars_;
};

/// Runs f; a Fault becomes a DiagnosticError.
template <class F>
auto diagnosed(const F& f) {
  try {
    return f();
  } catch (const Fault& e) {
    throw_diagnostic(e);
  }
}

ExprRef parsed(const Located& code) {
  Diagnostics d;
  ExprRef e = parse_expr(code, d);
  d.throw_if_errors();
  return e;
}

}  // namespace

Expression Expression::compile(const ExprRef& expr, const std::vector<std::string>& names,
                               std::span<const Function> own, const Value& vars) {
  return diagnosed([&] {
    NamesCompiler c(names, own, vars);
    auto compiled = std::make_shared<Compiled>();
    compiled->node = c.compile(*expr);
    compiled->slots = c.slot_count();
    Expression out;
    out.compiled_ = std::move(compiled);
    for (const std::string& n : names) {
      if (c.used.count(n)) out.uses_.push_back(n);
    }
    out.span_ = expr->span;
    return out;
  });
}

Expression Expression::compile(const Located& code, const std::vector<std::string>& names,
                               const Value& vars) {
  return compile(parsed(code), names, {}, vars);
}

Expression Expression::compile(const std::string& text, const std::string& where,
                               const std::vector<std::string>& names) {
  return compile(Located(text, std::make_shared<SourceFile>(where, text), 0), names);
}

namespace {

/// Where functions like `tensor` create: beside the tensors that are given.
Device device_among(std::span<const Value> values) {
  for (const Value& v : values)
    if (v.is(Value::Kind::tensor)) return v.as<Tensor>().device();
  return default_device();
}

}  // namespace

Value Expression::run(std::span<const Value> values, bool training) const {
  const DefaultDeviceGuard device(device_among(values));
  Values slots(values.begin(), values.end());
  slots.resize(std::max(slots.size(), static_cast<size_t>(compiled_->slots)));
  Frame f;
  f.slots = slots.data();
  f.training = training;
  return diagnosed([&] { return compiled_->node->eval(f); });
}

namespace {

class VarsEnv final : public Env {
 public:
  explicit VarsEnv(const Value& vars) : vars_(vars) {}
  std::optional<Value> find(const std::string& path) const override {
    if (path == "vars" && vars_.is(Value::Kind::dict)) return vars_;
    return std::nullopt;
  }
  void names(std::vector<std::string>& out) const override { out.push_back("vars"); }
  std::string advice(const std::string& name) const override { return vars_advice(vars_, name); }

 private:
  const Value& vars_;
};

CallSpec read_call(const Expr& e, const Env& env);

/// Names that mean nothing are texts, calls that mean nothing are calls.
class CallEnv final : public Env {
 public:
  explicit CallEnv(const Value& vars) : vars_(vars) {}
  std::optional<Value> find(const std::string& path) const override {
    const std::string first = path.substr(0, path.find('.'));
    if (first == "vars")
      return path == first && vars_.is(Value::Kind::dict) ? std::optional(vars_) : std::nullopt;
    static const std::set<std::string> constants = {"inf", "nan", "pi"};
    if (constants.count(path) || !find_dtype(path).is_none()) return std::nullopt;
    return Value(path);
  }
  bool callable(const std::string& name) const override {
    return name.find('.') == std::string::npos && !find_native(name) && !find_function(name);
  }
  std::optional<Value> call(const std::string&, const Expr&, const Expr& call,
                            CallArgs&) const override {
    const auto value = make_ref<CallValue>(read_call(call, *this));
    return Value(Value::Kind::object, value.get());
  }
  void names(std::vector<std::string>& out) const override { out.push_back("vars"); }
  std::string advice(const std::string& name) const override { return vars_advice(vars_, name); }

 private:
  const Value& vars_;
};

/// What is no call of a plain name: `torch.optim.Adam(…)`, `1.0`.
[[noreturn]] void refuse_callee(const Expr& e, const Expr& callee) {
  const bool qualified = callee.kind == Expr::Kind::attribute && callee.name.is_plain();
  if (qualified)
    fault(callee.span, "E0302", fmt::format("`{}` is no plain name", expr_text(callee)),
          fmt::format("PyTorch's names stand by themselves: write `{}(…)`", callee.name.plain()));
  fault(e.span, "E0302", "expected a call", "write `name(argument, other=value)`");
}

/// `Adam(model.parameters(), …)` and `StepLR(optimizer, …)`: what programs in Python pass first.
void refuse_owner(const Expr& callee, const Expr::Arg& first) {
  const std::string text = expr_text(*first.value);
  static const std::set<std::string> owners = {"optimizer", "optim", "opt", "params", "parameters"};
  if (!first.name.empty() || (!owners.contains(text) && !text.ends_with(".parameters()"))) return;
  fault(first.value->span, "E0303",
        fmt::format("{} is not given `{}` here", callee.name.plain(), text),
        "leave it away: an optimizer has the model's parameters, and a schedule the optimizer");
}

CallSpec read_call(const Expr& e, const Env& env) {
  const Expr& callee = e.kind == Expr::Kind::call ? *e.items[0] : e;
  if (callee.kind != Expr::Kind::name || !callee.name.is_plain()) refuse_callee(e, callee);
  CallSpec out;
  out.name = callee.name.plain();
  out.span = e.span;
  out.name_span = callee.span;
  if (e.kind != Expr::Kind::call) return out;
  if (!e.args.empty()) refuse_owner(callee, e.args[0]);
  std::vector<Span> keyword_spans;
  for (const Expr::Arg& a : e.args) {
    Value v = evaluate(*a.value, env);
    if (v.is(Value::Kind::string) && !env.advice(v.string()).empty()) out.slips.insert(v.string());
    if (a.name.empty()) {
      out.args.pos.push_back(std::move(v));
      out.arg_spans.push_back(a.value->span);
    } else {
      out.args.kw.emplace_back(a.name, std::move(v));
      keyword_spans.push_back(a.name_span ? a.name_span : a.value->span);
    }
  }
  out.arg_spans.insert(out.arg_spans.end(), keyword_spans.begin(), keyword_spans.end());
  return out;
}

void read_pipe(const Expr& e, const Env& env, std::vector<CallSpec>& out) {
  if (e.kind == Expr::Kind::pipe) {
    for (const ExprRef& item : e.items) read_pipe(*item, env, out);
    return;
  }
  out.push_back(read_call(e, env));
}

}  // namespace

Value evaluate_constant(const Located& code, const Value& vars) {
  const ExprRef e = parsed(code);
  return diagnosed([&] { return evaluate(*e, VarsEnv(vars)); });
}

std::string evaluate_text(const Located& text, const Value& vars) {
  Diagnostics d;
  const Template pieces = parse_template(text, d);
  d.throw_if_errors();
  return diagnosed([&] { return expand(pieces, VarsEnv(vars)); });
}

std::vector<CallSpec> read_calls(const Located& code, const Value& vars) {
  const ExprRef e = parsed(code);
  return diagnosed([&] {
    std::vector<CallSpec> out;
    read_pipe(*e, CallEnv(vars), out);
    return out;
  });
}

Span CallSpec::place_of(int position, const std::string& argument) const {
  const size_t positional = args.pos.size();
  if (position >= 0 && static_cast<size_t>(position) < positional)
    return arg_spans[static_cast<size_t>(position)];
  for (size_t i = 0; i < args.kw.size(); ++i)
    if (args.kw[i].first == argument) return arg_spans[positional + i];
  return {};
}

void throw_at(const CallSpec& call, const BindError& error, const std::string& code,
              const std::string& signature) {
  Diagnostics all;
  error.each([&](const BindError& one) {
    const Span place = call.place_of(one.position, one.name);
    Diagnostic d{code, one.what(), place ? place : call.name_span, one.hint(), {}};
    const auto slip = [&](const Value& v) {
      if (v.is(Value::Kind::string) && call.slips.contains(v.string()))
        d.help = fmt::format("did you mean `vars.{}`?", v.string());
    };
    if (one.position >= 0 && static_cast<size_t>(one.position) < call.args.pos.size())
      slip(call.args.pos[static_cast<size_t>(one.position)]);
    for (const auto& [name, value] : call.args.kw)
      if (name == one.name) slip(value);
    if (!signature.empty()) d.notes.push_back({signature, {}});
    all.add(std::move(d));
  });
  throw DiagnosticError(std::move(all));
}

}  // namespace nnm::lang
