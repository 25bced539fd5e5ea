// Evaluation of constant expressions, and errors at places.
#include "nnm/lang/eval.h"

#include "nnm/lang/compiled_nodes.h"

namespace nnm::lang {

void fault(const Span& span, std::string code, std::string message, std::string help,
           std::vector<Note> notes) {
  throw Fault(
      Diagnostic{std::move(code), std::move(message), span, std::move(help), std::move(notes)});
}

void Faults::add(const Fault& e) {
  if (!thrown_ || thrown_->silent) {
    thrown_ = e;
    return;
  }
  if (e.silent) return;
  thrown_->more.push_back(e.diagnostic);
  thrown_->more.insert(thrown_->more.end(), e.more.begin(), e.more.end());
}

std::optional<Value> Env::call(const std::string&, const Expr&, const Expr&, CallArgs&) const {
  return std::nullopt;
}

std::optional<Value> Env::word(const std::string&, const std::string&, const std::string&) const {
  return std::nullopt;
}

namespace {

class EmptyEnv final : public Env {
 public:
  std::optional<Value> find(const std::string&) const override { return std::nullopt; }
  void names(std::vector<std::string>&) const override {}
};

/// Compiles with names whose values an Env knows.
class EnvCompiler final : public Compiler {
 public:
  explicit EnvCompiler(const Env& env) : env_(env) {}

  std::string text(const Template& t) {
    const auto known = known_text(t);
    if (!known) fault(t.span, "E0301", "the text must be known here");
    return *known;
  }

 protected:
  NodeRef resolve(const std::string& path, const Expr& at) override {
    auto v = env_.find(path);
    return v ? constant(at.span, std::move(*v)) : nullptr;
  }
  NodeRef resolve_call(const std::string& name, const Expr& callee, const Expr& call,
                       CallArgs& args) override {
    if (!env_.callable(name)) {
      if (find_native(name) || find_function(name)) return nullptr;
      const std::string advice = env_.advice(name);
      if (advice.empty()) return nullptr;
      fault(callee.span, "E0302", fmt::format("unknown {} `{}`", callable_kind(), name), advice);
    }
    if (!args.constant()) fault(callee.span, "E0303", "the arguments must be known here");
    auto v = env_.call(name, callee, call, args);
    return v ? constant(callee.span, std::move(*v)) : nullptr;
  }
  std::optional<Value> word(const std::string& callee, const std::string& argument,
                            const std::string& text) override {
    return env_.word(callee, argument, text);
  }
  NodeRef unknown(const std::string& name, const Expr& at) override {
    const std::string advice = env_.advice(name);
    if (advice.empty()) return Compiler::unknown(name, at);
    fault(at.span, "E0301", fmt::format("unknown name `{}`", name), advice);
  }
  void names(std::vector<std::string>& out) const override { env_.names(out); }
  void callables(std::vector<std::string>& out) const override { env_.callables(out); }
  const char* callable_kind() const override { return env_.callable_kind(); }

 private:
  const Env& env_;
};

}  // namespace

const Env& empty_env() {
  static const EmptyEnv env;
  return env;
}

Value evaluate(const Expr& e, const Env& env) {
  const NodeRef n = EnvCompiler(env).compile(e);
  if (const Value* v = n->constant()) return *v;
  Frame f;
  f.building = true;
  return n->eval(f);
}

std::string expand(const Template& t, const Env& env) {
  if (t.is_plain()) return t.plain();
  return EnvCompiler(env).text(t);
}

void bind_target(const Target& target, const Value& value, const Env& env,
                 const std::function<void(const std::string&, Value)>& bind) {
  if (target.kind != Target::Kind::tuple) return bind(expand(target.name, env), value);
  Values items;
  try {
    items = iterate(value);
    NNM_CHECK(items.size() == target.items.size(), value, "cannot unpack {} value{} into {} names",
              items.size(), items.size() == 1 ? "" : "s", target.items.size());
  } catch (const Fault&) {
    throw;
  } catch (const Error& e) {
    fault(target.span, "E0401", e.what(), e.hint());
  }
  for (size_t i = 0; i < items.size(); ++i) bind_target(target.items[i], items[i], env, bind);
}

}  // namespace nnm::lang
