// Changes of a config as hooks of modules and tensors.
#include "nnm/trace/changes.h"

#include "nnm/ops/ops.h"
#include "nnm/trace/targets.h"

namespace nnm::tracing {

const char* beside(std::string_view what) {
  if (what == "output") return "input";
  return what == "grad_input" ? "grad_output" : "";
}

struct Changes::Live {
  ChangeHook spec;
  int64_t fired = 0;
  Values scope;  // of the expression: the tensor, vars, what is beside it, fields

  size_t first_field() const { return *beside(spec.what) ? 3 : 2; }
  /// What the expression sees beside the tensor: one value as itself, as a module's only output is.
  void see_beside(const Values& all) { scope[2] = all.size() == 1 ? all[0] : Value::tuple(all); }
  void forget_beside() { scope[2] = Value(); }

  bool due(int64_t call, int64_t step, bool training) const {
    return (!spec.call || *spec.call == call) && spec.when.holds(step, training);
  }

  /// The changed tensor; shape and dtype must stay, unless the hook says otherwise.
  Tensor changed(const Tensor& t, bool training) {
    if (t.is_meta() && spec.loads()) return check_load(t, training);
    scope[0] = t;
    const Value v = spec.change.run(scope, training);
    scope[0] = Value();
    if (!v.is(Value::Kind::tensor)) wrong(t, "gives " + std::string(v.type_name()), advice());
    Tensor out = v.as<Tensor>();
    if (!spec.allows(out.shape(), out.dtype(), t.shape(), t.dtype()))
      wrong(t, out.shape(), out.dtype());
    ++fired;
    return out;
  }

  /// What a file holds fits the batch that it was recorded with, which no check knows: the sizes
  /// of a sample are compared, where they can be told. Returns what goes on in the tensor's place.
  Tensor check_load(const Tensor& t, bool training) {
    scope[0] = t;
    Value v;
    try {
      v = spec.change.run(scope, training);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::internal) throw;
    }
    scope[0] = Value();
    if (!v.is(Value::Kind::tensor)) return t;
    ++fired;
    const DType dtype = v.as<Tensor>().dtype();
    Shape own = t.shape(), loaded = v.as<Tensor>().shape();
    const bool batch = !own.empty() && own.size() == loaded.size();
    if (batch) own[0] = loaded[0];
    if (!spec.allows(loaded, dtype, own, t.dtype())) wrong(t, loaded, dtype);
    if (batch) loaded[0] = t.shape()[0];
    return empty(loaded, {dtype, t.device()});
  }

  const char* advice() const {
    if (spec.what.starts_with("grad")) return "a gradient keeps shape and dtype";
    if (spec.keeps_shape && spec.keeps_dtype)
      return "a change keeps shape and dtype, unless the hook says `keep: shape`, `keep: dtype` or "
             "`keep: none`";
    if (spec.keeps_shape) return "the hook says `keep: shape`";
    return spec.keeps_dtype ? "the hook says `keep: dtype`" : "a change gives a tensor";
  }

  [[noreturn]] void wrong(const Tensor& t, const Shape& given, DType dtype) const {
    // As many of them as a trace has records.
    const bool records = spec.loads() && t.dim() > 0 && given.size() == t.shape().size() + 1 &&
                         std::equal(t.shape().begin() + 1, t.shape().end(), given.begin() + 2);
    wrong(t, fmt::format("gives {} {}", info(dtype).name, given.str()),
          records ? "a trace holds a record per step: `load(…)[0]` is the first" : advice());
  }

  [[noreturn]] void wrong(const Tensor& t, const std::string& gives, const char* help) const {
    Diagnostics d;
    d.add({"E0501",
           fmt::format("hook `{}`: `{}` is {} {}, and the change {}", spec.name, spec.what,
                       info(t.dtype()).name, t.shape().str(), gives),
           spec.change.span(),
           help,
           {}});
    throw DiagnosticError(std::move(d));
  }

  /// A value with the meant tensors in it changed; named as in traces (capture.h).
  Value replace(const Value& v, const std::string& prefix, size_t& position, bool training,
                bool& any, std::optional<size_t> named = {}) {
    if (v.is_sequence()) {
      Values items;
      for (const Value& x : v.items())
        items.push_back(replace(x, prefix, position, training, any, named));
      return v.is(Value::Kind::tuple) ? Value::tuple(std::move(items))
                                      : Value::list(std::move(items));
    }
    if (v.is(Value::Kind::dict)) {
      Items entries;
      for (const auto& [key, x] : v.entries()) {
        const bool is_tensor = x.is(Value::Kind::tensor);
        // The first of a dict is what `arg: 0` means.
        const bool meant = is_tensor && spec.means(position, key);
        size_t inner = 0;
        entries.emplace_back(key, meant       ? Value(changed(x.as<Tensor>(), training))
                                  : is_tensor ? x
                                              : replace(x, key, inner, training, any));
        any |= meant;
        ++position;
      }
      return Value::dict(std::move(entries));
    }
    const size_t place = position++;
    const std::string name = (prefix.empty() ? "" : prefix + ".") + std::to_string(place);
    if (!v.is(Value::Kind::tensor) || !(spec.arg == "all" || spec.arg == name || named == place))
      return v;
    any = true;
    return changed(v.as<Tensor>(), training);
  }
};

Changes::Changes(Module& root) : root_(root) {}

Changes::~Changes() {
  for (RemovableHandle& h : handles_) h.remove();
}

void Changes::begin(int64_t step) {
  step_ = step;
  for (const auto& c : calls_) c->clear();
}

void Changes::see_fields(const std::vector<std::string>& names, const Values& values) {
  for (const auto& h : hooks_)
    for (size_t i = 0; i < h->spec.fields.size(); ++i)
      for (size_t k = 0; k < names.size(); ++k)
        if (names[k] == h->spec.fields[i]) h->scope[h->first_field() + i] = values[k];
}

std::vector<int64_t> Changes::fired() const {
  std::vector<int64_t> out;
  for (const auto& h : hooks_) out.push_back(h->fired);
  return out;
}

std::optional<std::vector<bool>> Changes::repeats(int64_t step, bool training,
                                                  bool accumulates) const {
  std::vector<bool> out;
  for (const auto& h : hooks_) {
    out.push_back(h->spec.when.holds(step, training));
    const bool called = h->spec.loads() || (accumulates && h->spec.sees_sums());
    if (out.back() && called) return std::nullopt;
  }
  return out;
}

void Changes::repeat(const std::vector<int64_t>& times) {
  for (size_t i = 0; i < hooks_.size(); ++i) hooks_[i]->fired += times[i];
}

void Changes::ids(std::vector<uint64_t>& out) const {
  for (const RemovableHandle& h : handles_) out.push_back(h.id());
}

Calls& Changes::new_calls() {
  calls_.push_back(std::make_unique<Calls>());
  return *calls_.back();
}

void Changes::add(const ChangeHook& hook, Diagnostics& d) {
  hooks_.push_back(std::make_unique<Live>(Live{.spec = hook, .fired = 0, .scope = {}}));
  Live& live = *hooks_.back();
  live.scope.resize(live.first_field() + hook.fields.size());
  live.scope[1] = hook.vars;
  for (HookKind kind : hook.kinds) attach(live, kind, find_targets(root_, hook, kind, d));
}

void Changes::attach(Live& h, HookKind kind, const Targets& targets) {
  for (const auto& p : targets.parameters)
    if (!p.again) attach_parameter(h, kind, p.parameter);
  for (const auto& target : targets.modules) {
    Module& m = *target.module;
    if (kind == HookKind::forward_pre) attach_forward_pre(h, m);
    else if (kind == HookKind::forward) attach_forward(h, m);
    else if (kind == HookKind::tensor) attach_tensor(h, m, target.of_input);
    else attach_backward(h, kind, m);
  }
}

void Changes::attach_forward_pre(Live& h, Module& m) {
  handles_.push_back(m.register_forward_pre_hook(
      [this, &h, &calls = new_calls(), named = input_place(m, h.spec.arg)](
          Module&, Args& args) -> std::optional<Args> {
        if (!h.due(calls.next(), step_, root_.training())) return std::nullopt;
        Args out = args;
        bool any = false;
        size_t position = 0;
        for (Value& v : out.pos) v = h.replace(v, "", position, root_.training(), any, named);
        for (auto& [name, v] : out.kw)
          if (h.spec.means(position++, name) && v.is(Value::Kind::tensor))
            v = h.changed(v.as<Tensor>(), root_.training()), any = true;
        return any ? std::optional<Args>(std::move(out)) : std::nullopt;
      },
      {.prepend = h.spec.prepend, .always_call = false}));
}

void Changes::attach_forward(Live& h, Module& m) {
  handles_.push_back(m.register_forward_hook(
      [this, &h, &calls = new_calls()](Module&, const Args& args, const Value& output) -> Value {
        if (!h.due(calls.next(), step_, root_.training())) return {};
        bool any = false;
        size_t position = 0;
        h.see_beside(args.pos);
        const Value out = h.replace(output, "", position, root_.training(), any);
        h.forget_beside();
        return any ? out : Value();
      },
      {.prepend = h.spec.prepend, .always_call = h.spec.always_call}));
}

void Changes::attach_backward(Live& h, HookKind kind, Module& m) {
  Calls& calls = new_calls();
  handles_.push_back(m.register_forward_pre_hook([&calls](Module&, Args&) { calls.next(); }));
  const std::optional<size_t> named =
      kind == HookKind::full_backward ? input_place(m, h.spec.arg) : std::nullopt;
  const auto change = [this, &h, &calls, named](const Tensors& grads) -> std::optional<Tensors> {
    if (!h.due(calls.of_backward(), step_, root_.training())) return std::nullopt;
    Tensors out = grads;
    bool any = false;
    for (size_t i = 0; i < out.size(); ++i) {
      if (!out[i].defined() || !h.spec.means(i, std::to_string(i), named)) continue;
      out[i] = h.changed(out[i], root_.training());
      any = true;
    }
    return any ? std::optional<Tensors>(std::move(out)) : std::nullopt;
  };
  const HookOptions options{.prepend = h.spec.prepend, .always_call = false};
  if (kind == HookKind::full_backward_pre) {
    handles_.push_back(m.register_full_backward_pre_hook(
        [change](Module&, const Tensors& grad_output) { return change(grad_output); }, options));
    return;
  }
  handles_.push_back(m.register_full_backward_hook(
      [change, &h](Module&, const Tensors& grad_input, const Tensors& grad_output) {
        Values given;
        for (const Tensor& g : grad_output) given.push_back(g.defined() ? Value(g) : Value());
        h.see_beside(given);
        auto changed = change(grad_input);
        h.forget_beside();
        return changed;
      },
      options));
}

/// A hook on the gradient of what the module takes or gives, renewed at each of its calls.
void Changes::attach_tensor(Live& h, Module& m, bool of_input) {
  const std::optional<size_t> named = of_input ? input_place(m, h.spec.arg) : std::nullopt;
  const auto watch = [this, &h, named,
                      &calls = new_calls()](const std::vector<io::TraceArg>& args) {
    if (!h.due(calls.next(), step_, root_.training())) return;
    for (size_t i = 0; i < args.size(); ++i) {
      const io::TraceArg& a = args[i];
      if (!h.spec.means(i, a.name, named) || !a.tensor.requires_grad()) continue;
      a.tensor.register_hook([this, &h](const Tensor& grad) -> std::optional<Tensor> {
        if (!grad.defined()) return std::nullopt;
        return h.changed(grad, root_.training());
      });
    }
  };
  if (of_input)
    handles_.push_back(
        m.register_forward_pre_hook([watch](Module&, Args& args) { watch(flatten(args)); },
                                    {.prepend = h.spec.prepend, .always_call = false}));
  else
    handles_.push_back(m.register_forward_hook(
        [watch](Module&, const Args&, const Value& out) { watch(flatten(out)); },
        {.prepend = h.spec.prepend, .always_call = false}));
}

void Changes::attach_parameter(Live& h, HookKind kind, const Tensor& p) {
  if (!p.requires_grad()) return;
  if (kind == HookKind::tensor) {
    handles_.push_back(p.register_hook([this, &h](const Tensor& grad) -> std::optional<Tensor> {
      if (!grad.defined() || !h.spec.when.holds(step_, root_.training())) return std::nullopt;
      return h.changed(grad, root_.training());
    }));
    return;
  }
  handles_.push_back(p.register_post_accumulate_grad_hook([this, &h](const Tensor& leaf) {
    if (!h.spec.when.holds(step_, root_.training())) return;
    leaf.set_grad(h.changed(leaf.grad(), root_.training()));
  }));
}

}  // namespace nnm::tracing
