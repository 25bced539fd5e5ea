// Hooks of a config as hooks of modules and tensors.
#include "nnm/trace/changes.h"

#include <map>
#include <set>

#include "nnm/ops/ops.h"

namespace nnm::tracing {

struct Changes::Live {
  ChangeHook spec;
  std::map<const Module*, int64_t> calls;  // since the root was called, one count a module
  int64_t fired = 0;

  bool due(const Module* m, int64_t step, bool training) {
    const int64_t call = calls[m]++;
    return (!spec.call || *spec.call == call) && spec.when.holds(step, training);
  }

  /// The changed tensor; shape and dtype must stay.
  Tensor changed(const Tensor& t, bool training) {
    const Value value = t;
    const Value v = spec.change.run({&value, 1}, training);
    if (!v.is(Value::Kind::tensor)) wrong(t, "gives " + std::string(v.type_name()));
    Tensor out = v.as<Tensor>();
    if (out.shape() != t.shape() || out.dtype() != t.dtype())
      wrong(t, fmt::format("gives {} {}", info(out.dtype()).name, out.shape().str()));
    ++fired;
    return out;
  }

  [[noreturn]] void wrong(const Tensor& t, const std::string& gives) const {
    Diagnostics d;
    d.add({"E0502",
           fmt::format("hook `{}`: `{}` is {} {}, and the change {}", spec.name, spec.what,
                       info(t.dtype()).name, t.shape().str(), gives),
           spec.change.span(),
           "a change keeps shape and dtype",
           {}});
    d.throw_if_errors();
    fail(ErrorKind::internal, "unreachable");
  }

  bool means(const std::string& name) const { return spec.arg == "all" || spec.arg == name; }

  /// A value with the meant tensors in it changed; named as in traces (capture.h).
  Value replace(const Value& v, const std::string& prefix, int& position, bool training,
                bool& any) {
    if (v.is_sequence()) {
      Values items;
      for (const Value& x : v.items()) items.push_back(replace(x, prefix, position, training, any));
      return v.is(Value::Kind::tuple) ? Value::tuple(std::move(items))
                                      : Value::list(std::move(items));
    }
    if (v.is(Value::Kind::dict)) {
      Items entries;
      for (const auto& [key, x] : v.entries()) {
        const bool is_tensor = x.is(Value::Kind::tensor);
        // The first of a dict is what `arg: 0` means.
        const bool meant = is_tensor && (means(key) || means(std::to_string(position)));
        int inner = 0;
        entries.emplace_back(key, meant       ? Value(changed(x.as<Tensor>(), training))
                                  : is_tensor ? x
                                              : replace(x, key, inner, training, any));
        any |= meant;
        ++position;
      }
      return Value::dict(std::move(entries));
    }
    const std::string name = (prefix.empty() ? "" : prefix + ".") + std::to_string(position++);
    if (!v.is(Value::Kind::tensor) || !means(name)) return v;
    any = true;
    return changed(v.as<Tensor>(), training);
  }
};

Changes::Changes(Module& root, std::vector<ChangeHook> hooks) : root_(root) {
  Diagnostics unmatched;
  for (ChangeHook& h : hooks) {
    hooks_.push_back(std::make_unique<Live>(Live{.spec = std::move(h)}));
    attach(root, *hooks_.back(), unmatched);
  }
  // A hook left behind would call into what is gone.
  if (unmatched.has_errors())
    for (RemovableHandle& h : handles_) h.remove();
  unmatched.throw_if_errors();
  if (hooks_.empty()) return;
  // Before all others, so that they count from here.
  handles_.push_back(root.register_forward_pre_hook(
      [this](Module&, Args&) {
        for (const auto& h : hooks_) h->calls.clear();
      },
      {.prepend = true}));
}

Changes::~Changes() {
  for (RemovableHandle& h : handles_) h.remove();
}

std::vector<std::string> Changes::silent() const {
  std::vector<std::string> out;
  for (const auto& h : hooks_)
    if (h->fired == 0) out.push_back(h->spec.name);
  return out;
}

void Changes::attach(Module& root, Live& h, Diagnostics& unmatched) {
  std::vector<NamedModule> names;
  std::vector<NamedTensor> tensors;
  std::vector<Module*> modules;
  Tensors values;
  // A module or parameter with several names is found by each, and hooked once.
  for (const auto& [path, m] : root.named_modules("", false)) {
    names.push_back({path, m->type_name()});
    modules.push_back(m);
    for (const auto& slot : m->parameter_slots()) {
      if (!slot->value.defined()) continue;
      tensors.push_back({path, slot->name});
      values.push_back(slot->value);
    }
  }
  const Scope scope(std::move(names), std::move(tensors));
  const HookKind first = h.spec.kinds.front();
  const bool leaf =
      first == HookKind::post_accumulate_grad || (first == HookKind::tensor && h.spec.part.empty());
  if (leaf) {
    std::set<const TensorImpl*> seen;
    for (size_t i : scope.tensors(h.spec.select))
      if (seen.insert(values[i].impl()).second) attach_parameter(h, values[i]);
    if (!scope.tensors(h.spec.select).empty()) return;
  }
  const std::vector<size_t> chosen = scope.modules(h.spec.select);
  if (chosen.empty() && !h.spec.optional) {
    const Error e = scope.no_match(h.spec.select);
    unmatched.add(
        {"E0334", fmt::format("hook `{}`: {}", h.spec.name, e.what()), h.spec.at, e.hint(), {}});
  }
  std::set<const Module*> seen;
  for (size_t i : chosen) {
    if (!seen.insert(modules[i]).second) continue;
    for (HookKind k : h.spec.kinds) attach_module(h, k, *modules[i]);
  }
}

void Changes::attach_module(Live& h, HookKind kind, Module& m) {
  const HookOptions options{.prepend = h.spec.prepend, .always_call = h.spec.always_call};
  switch (kind) {
    case HookKind::forward_pre:
      handles_.push_back(m.register_forward_pre_hook(
          [this, &h](Module& self, Args& args) -> std::optional<Args> {
            if (!h.due(&self, step_, root_.training())) return std::nullopt;
            Args out = args;
            bool any = false;
            int position = 0;
            for (Value& v : out.pos) v = h.replace(v, "", position, root_.training(), any);
            for (auto& [name, v] : out.kw)
              if (h.means(name) && v.is(Value::Kind::tensor))
                v = h.changed(v.as<Tensor>(), root_.training()), any = true;
            return any ? std::optional<Args>(std::move(out)) : std::nullopt;
          },
          options));
      return;
    case HookKind::forward:
      handles_.push_back(m.register_forward_hook(
          [this, &h](Module& self, const Args&, const Value& output) -> Value {
            if (!h.due(&self, step_, root_.training())) return {};
            bool any = false;
            int position = 0;
            const Value out = h.replace(output, "", position, root_.training(), any);
            return any ? out : Value();
          },
          options));
      return;
    case HookKind::full_backward_pre:
    case HookKind::full_backward: {
      const auto change = [this, &h](Module& self, const Tensors& grads) -> std::optional<Tensors> {
        if (!h.due(&self, step_, root_.training())) return std::nullopt;
        Tensors out = grads;
        for (size_t i = 0; i < out.size(); ++i)
          if (out[i].defined() && h.means(std::to_string(i)))
            out[i] = h.changed(out[i], root_.training());
        return out;
      };
      if (kind == HookKind::full_backward_pre)
        handles_.push_back(m.register_full_backward_pre_hook(
            [change](Module& self, const Tensors& grad_output) {
              return change(self, grad_output);
            },
            options));
      else
        handles_.push_back(m.register_full_backward_hook(
            [change](Module& self, const Tensors& grad_input, const Tensors&) {
              return change(self, grad_input);
            },
            options));
      return;
    }
    case HookKind::tensor: return attach_tensor(h, m);
    case HookKind::post_accumulate_grad:
      for (const auto& slot : m.parameter_slots())
        if (slot->value.defined()) attach_parameter(h, slot->value);
      return;
  }
}

/// A hook on the gradient of what the module takes or gives, renewed at each of its calls.
void Changes::attach_tensor(Live& h, Module& m) {
  const auto watch = [this, &h](Module& self, const std::vector<io::TraceArg>& args) {
    if (!h.due(&self, step_, root_.training())) return;
    for (const io::TraceArg& a : args) {
      if (!h.means(a.name) || !a.tensor.requires_grad()) continue;
      a.tensor.register_hook([this, &h](const Tensor& grad) -> std::optional<Tensor> {
        return h.changed(grad, root_.training());
      });
    }
  };
  if (h.spec.part == "input")
    handles_.push_back(m.register_forward_pre_hook(
        [watch](Module& self, Args& args) { watch(self, flatten(args)); }));
  else
    handles_.push_back(m.register_forward_hook(
        [watch](Module& self, const Args&, const Value& out) { watch(self, flatten(out)); }));
}

void Changes::attach_parameter(Live& h, const Tensor& p) {
  if (!p.requires_grad()) return;
  if (h.spec.kinds.front() == HookKind::tensor) {
    handles_.push_back(p.register_hook([this, &h](const Tensor& grad) -> std::optional<Tensor> {
      if (!h.spec.when.holds(step_, root_.training())) return std::nullopt;
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
