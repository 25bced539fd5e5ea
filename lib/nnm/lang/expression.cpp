// Expressions outside of classes: compiled over given names, evaluated once, or read as calls.
#include "nnm/lang/expression.h"

#include <algorithm>
#include <set>

#include "nnm/base/literal.h"
#include "nnm/lang/compiled_nodes.h"
#include "nnm/lang/forward.h"

namespace nnm::lang {

/// An expression over slots, of which the first are the given names.
class Compiled {
 public:
  NodeRef node;
  int slots = 0;
};

namespace {

class NamesCompiler final : public Compiler {
 public:
  NamesCompiler(const std::vector<std::string>& names, std::span<const Function> own)
      : names_(names), own_(own) {
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
                               std::span<const Function> own) {
  return diagnosed([&] {
    NamesCompiler c(names, own);
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

Expression Expression::compile(const Located& code, const std::vector<std::string>& names) {
  return compile(parsed(code), names);
}

Expression Expression::compile(const std::string& text, const std::string& where,
                               const std::vector<std::string>& names) {
  return compile(Located(text, std::make_shared<SourceFile>(where, text), 0), names);
}

Value Expression::run(std::span<const Value> values, bool training) const {
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

 private:
  const Value& vars_;
};

CallSpec read_call(const Expr& e, const Env& env) {
  const Expr& callee = e.kind == Expr::Kind::call ? *e.items[0] : e;
  if (callee.kind != Expr::Kind::name || !callee.name.is_plain())
    fault(e.span, "E0302", "expected a call", "write `name(argument, other=value)`");
  CallSpec out;
  out.name = callee.name.plain();
  out.span = e.span;
  out.name_span = callee.span;
  if (e.kind != Expr::Kind::call) return out;
  std::vector<Span> keyword_spans;
  for (const Expr::Arg& a : e.args) {
    Value v = evaluate(*a.value, env);
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

void throw_at(const CallSpec& call, const BindError& error, std::string code) {
  Diagnostic d{std::move(code), error.what(), call.name_span, error.hint(), {}};
  const size_t positional = call.args.pos.size();
  if (error.position >= 0 && static_cast<size_t>(error.position) < positional) {
    d.span = call.arg_spans[static_cast<size_t>(error.position)];
  } else {
    for (size_t i = 0; i < call.args.kw.size(); ++i) {
      if (call.args.kw[i].first == error.name) d.span = call.arg_spans[positional + i];
    }
  }
  Diagnostics all;
  all.add(std::move(d));
  throw DiagnosticError(std::move(all));
}

}  // namespace nnm::lang
