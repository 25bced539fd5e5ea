// Building state: parameters, buffers, ties, initialisation rules, frozen tensors.
#include <algorithm>
#include <unordered_set>

#include "nnm/autograd/node.h"
#include "nnm/base/items.h"
#include "nnm/lang/build.h"
#include "nnm/nn/construct.h"
#include "nnm/nn/parametrize.h"
#include "nnm/ops/ops.h"

namespace nnm::lang {

namespace {

using Kind = Value::Kind;

/// Numbers in nested lists, row by row. Throws Error where rows differ in length.
void flatten_numbers(const Value& v, int depth, Shape& shape, std::vector<double>& out,
                     bool& integers) {
  if (v.is_number()) {
    NNM_CHECK(depth == shape.size(), value, "rows of different depth");
    integers &= !v.is(Kind::real);
    out.push_back(v.real());
    return;
  }
  NNM_CHECK(v.is_sequence(), type, "expected a tensor, a number or a list of numbers, got {}",
            v.type_name());
  const auto n = static_cast<int64_t>(v.items().size());
  if (depth == shape.size()) {
    NNM_CHECK(out.empty(), value, "rows of different depth");
    shape.push_back(n);
  }
  NNM_CHECK(shape[depth] == n, value, "rows of {} and {} numbers", shape[depth], n);
  for (const Value& x : v.items()) flatten_numbers(x, depth + 1, shape, out, integers);
}

Tensor tensor_from(const Value& v, std::optional<DType> dtype) {
  const Construction& c = Construction::current();
  if (v.is(Kind::tensor)) {
    const Tensor t = v.as<Tensor>().detach();
    // f32 is what functions give where nobody asks for a type; another one was asked for.
    const DType type = dtype.value_or(t.dtype() == DType::f32 ? c.dtype : t.dtype());
    return to(t, TensorOptions{type, c.device});
  }
  Shape shape;
  std::vector<double> numbers;
  bool integers = true;
  flatten_numbers(v, 0, shape, numbers, integers);
  const DType type = dtype.value_or(integers ? DType::i64 : c.dtype);
  const Tensor t = tensor_of<double>(numbers, shape, {type, Device{}});
  return to(t, TensorOptions{type, c.device});
}

}  // namespace

std::optional<Value> Builder::option(const BlockItem& item, const char* name,
                                     const BuildScope& scope) {
  for (const auto& [key, e] : item.options) {
    if (key == name) return evaluate(*e, scope);
  }
  return std::nullopt;
}

/// The value of an entry of params or buffers, on the device being built for.
Tensor Builder::initial_tensor(const BlockItem& item, const BuildScope& scope,
                               Ref<Initializer>& init) {
  std::optional<DType> dtype;
  if (const auto v = option(item, "dtype", scope))
    dtype = Reporter::at(item.span, "E0407", [&] { return v->dtype(); });
  if (item.init_rule) init = initializer(*item.init_rule, scope);
  Tensor out;
  if (item.value) {
    const Value v = evaluate(*item.value, scope);
    out = Reporter::at(item.value->span, "E0407", [&] { return tensor_from(v, dtype); });
  }
  const auto shape = option(item, "shape", scope);
  if (!shape) return out;
  return Reporter::at(item.span, "E0407", [&] {
    const ArgType sizes = ArgType::parse("int(0..)[]");
    const Shape s = Codec<Shape>::read(sizes.convert(*shape));
    if (out.defined()) return clone(expand(out, s));
    const Construction& c = Construction::current();
    return zeros(s, TensorOptions{dtype.value_or(c.dtype), c.device});
  });
}

void Builder::params(Instance& instance, BuildScope& scope) {
  run_block(instance.definition->params, scope, [&](const BlockItem& item, const BuildScope& s) {
    const std::string name = lang::expand(*item.key, s);
    check_name(name, item.key->span);
    Ref<Initializer> init;
    Tensor t;
    try {
      t = initial_tensor(item, s, init);
    } catch (const Fault&) {
      instance.failed.insert(name);
      throw;
    }
    const auto grad = option(item, "requires_grad", s);
    Reporter::at(item.key->span, "E0403", [&] {
      // A lone number is a parameter of floats: integers have no gradients.
      const DType dtype = Construction::current().dtype;
      if (!is_floating(t.dtype())) t = to(t, dtype);
      const bool wanted = !grad || grad->truthy();
      instance.module->register_parameter(name, parameter(t, wanted));
    });
    count_tensor(t, item.span);
    if (init) init_.push_back({instance.module->get_parameter(name), init, item.init_rule->span});
  });
}

void Builder::buffers(Instance& instance, BuildScope& scope) {
  run_block(instance.definition->buffers, scope, [&](const BlockItem& item, const BuildScope& s) {
    const std::string name = lang::expand(*item.key, s);
    check_name(name, item.key->span);
    Ref<Initializer> init;
    Tensor t;
    try {
      t = initial_tensor(item, s, init);
    } catch (const Fault&) {
      instance.failed.insert(name);
      throw;
    }
    const auto persistent = option(item, "persistent", s);
    Reporter::at(item.key->span, "E0403", [&] {
      instance.module->register_buffer(name, t, !persistent || persistent->truthy());
    });
    count_tensor(t, item.span);
    if (init) init_.push_back({t, init, item.init_rule->span});
  });
}

void Builder::count_tensor(const Tensor& t, const Span& at) {
  if (__builtin_add_overflow(elements_, t.numel(), &elements_))
    fault(at, "E0404", "the model has too many elements");
}

/// `normal(std=0.02)`, or the bare name `zeros`.
Ref<Initializer> Builder::initializer(const Expr& rule, const BuildScope& scope) {
  const Expr& callee = rule.kind == Expr::Kind::call ? *rule.items[0] : rule;
  if (callee.kind != Expr::Kind::name || !callee.name.is_plain())
    fault(rule.span, "E0302", "expected an initialiser", "write `normal(std=0.02)`, `zeros` …");
  std::string name = callee.name.plain();
  if (name.ends_with('_')) name.pop_back();  // PyTorch's own spelling
  const auto* entry = Registry<Initializer>::find(name);
  if (!entry) {
    const auto all = Registry<Initializer>::names();
    const std::string near = did_you_mean(name, all);
    fault(callee.span, "E0302", fmt::format("unknown initialiser `{}`", callee.name.plain()),
          near.empty() ? fmt::format("there are {}", fmt::join(all, ", ")) : near);
  }
  CallArgs args;
  if (rule.kind == Expr::Kind::call) {
    for (const Expr::Arg& a : rule.args) {
      Value v = evaluate(*a.value, scope);
      args.all.push_back({a.name, std::make_shared<ConstantNode>(a.value->span, std::move(v)),
                          a.value->span, a.name_span});
    }
  }
  const Signature& signature = entry->signature();
  try {
    return entry->make(signature.bind(args.values()));
  } catch (const BindError& e) {
    fault(args.place(e, callee.span), "E0303", e.what(), e.hint(), {{signature.text(), {}}});
  } catch (const Error& e) {
    fault(callee.span, "E0304", e.what(), e.hint(), {{signature.text(), {}}});
  }
}

Selector Builder::selector(const Template& t, const BuildScope& scope) const {
  const std::string text = lang::expand(t, scope);
  return Reporter::at(t.span, "E0405", [&] { return Selector::parse(text); });
}

namespace {

void require_matches(const Template& at, const Selector& s, const Scope& names) {
  Reporter::at(at.span, "E0405", [&] {
    nnm::require_matches(names, s,
                         [&](const Selector& item) { return !names.tensors(item, true).empty(); });
  });
}

}  // namespace

/// Ties, init rules and frozen tensors, of all that the class contains.
void Builder::rules(Instance& instance, BuildScope& scope) {
  const ClassDef& c = *instance.definition;
  if (!c.tie.items.empty()) ties(instance, scope);
  if (c.init.items.empty() && c.freeze.items.empty()) return;
  std::vector<NamedModule> modules;
  std::vector<NamedTensor> names;
  std::vector<Tensor> tensors;
  // A module under several names is selected by each of them.
  for (const auto& [path, m] : instance.module->named_modules("", false)) {
    modules.push_back({path, selector_type(*m)});
    for (const auto& slot : m->parameter_slots()) {
      if (!slot->value.defined()) continue;
      names.push_back({path, slot->name});
      tensors.push_back(slot->value);
    }
  }
  const Scope all(std::move(modules), std::move(names));
  init_rules(instance, scope, all, tensors);
  freeze(instance, scope, all, tensors);
}

void Builder::init_rules(Instance& instance, BuildScope& outer, const Scope& names,
                         const std::vector<Tensor>& tensors) {
  std::unordered_set<const TensorImpl*> taken;
  BuildScope scope(*this, instance, &outer);
  run_block(instance.definition->init, scope, [&](const BlockItem& item, const BuildScope& s) {
    const Selector sel = selector(*item.key, s);
    const Ref<Initializer> init = initializer(*item.value, s);
    const auto optional = option(item, "optional", s);
    if (!(optional && optional->truthy())) require_matches(*item.key, sel, names);
    for (size_t i : names.tensors(sel, true)) {
      if (!taken.insert(tensors[i].impl()).second) continue;
      init_.push_back({tensors[i], init, item.value->span});
    }
  });
}

void Builder::freeze(Instance& instance, BuildScope& outer, const Scope& names,
                     const std::vector<Tensor>& tensors) {
  BuildScope scope(*this, instance, &outer);
  run_block(instance.definition->freeze, scope, [&](const BlockItem& item, const BuildScope& s) {
    const Selector sel = selector(*item.key, s);
    require_matches(*item.key, sel, names);
    for (size_t i : names.tensors(sel, true)) frozen_.push_back(tensors[i]);
  });
}

namespace {

/// A dotted path with made names, as text.
std::string path_text(const Expr& e, const BuildScope& scope) {
  if (e.kind == Expr::Kind::name) return expand(e.name, scope);
  if (e.kind == Expr::Kind::attribute)
    return path_text(*e.items[0], scope) + "." + expand(e.name, scope);
  if (e.kind == Expr::Kind::index)
    return path_text(*e.items[0], scope) + "." + evaluate(*e.items[1], scope).str();
  fault(e.span, "E0406", "expected the path of a parameter", "write `lm_head.weight`");
}

}  // namespace

Ref<TensorSlot> Builder::tie_slot(const Expr& e, const Instance& instance,
                                  const BuildScope& scope) {
  std::string path = path_text(e, scope);
  if (path.starts_with("self.")) path = path.substr(5);
  const size_t dot = path.rfind('.');
  const std::string owner = dot == std::string::npos ? "" : path.substr(0, dot);
  const std::string name = path.substr(dot == std::string::npos ? 0 : dot + 1);
  std::vector<std::string> all;
  for (const auto& [prefix, m] : instance.module->named_modules("", false)) {
    for (const auto& slot : m->parameter_slots()) {
      if (prefix == owner && slot->name == name && slot->value.defined()) return slot;
      all.push_back(prefix.empty() ? slot->name : prefix + "." + slot->name);
    }
  }
  const bool module = std::any_of(all.begin(), all.end(),
                                  [&](const std::string& n) { return n.starts_with(path + "."); });
  fault(e.span, "E0406", fmt::format("there is no parameter `{}`", path),
        module ? "to share a whole module, register it a second time by its bare name"
               : did_you_mean(path, all));
}

void Builder::ties(Instance& instance, BuildScope& outer) {
  BuildScope scope(*this, instance, &outer);
  run_block(instance.definition->tie, scope, [&](const BlockItem& item, const BuildScope& s) {
    const Ref<TensorSlot> to = tie_slot(*item.other, instance, s);
    const Ref<TensorSlot> from = tie_slot(*item.value, instance, s);
    const Shape &a = to->value.shape(), &b = from->value.shape();
    if (!(a == b))
      fault(item.other->span, "E0406",
            fmt::format("shapes {} and {} differ: the parameters cannot be one", a.str(), b.str()));
    ties_.push_back({to, from});
  });
}

/// Values first, then ties, so that a tied parameter has the other's value and no draw of its own.
void Builder::finish(Module& root) {
  draw(root);
  for (const Tie& t : ties_) t.to->value = t.from->value;
  for (const Tensor& t : frozen_) t.requires_grad_(false);
}

namespace {

/// What a rule has drawn of a parameter that is computed of others goes into these.
void parametrize_drawn(Module& root, const Tensors& drawn, uint64_t seed) {
  using namespace nn::utils;
  for (const auto& [path, m] : root.named_modules()) {
    for (const Ref<TensorSlot>& slot : m->computed_slots()) {
      if (!parametrize::is_parametrized(*m, slot->name)) continue;
      auto& list = parametrize::parametrizations(*m, slot->name);
      const auto t = std::find_if(drawn.begin(), drawn.end(),
                                  [&](const Tensor& rule) { return list.was(rule); });
      if (t == drawn.end()) continue;
      list.right_inverse(clone(t->detach()));
      list.start(seed, path.empty() ? slot->name : path + "." + slot->name);
    }
  }
}

}  // namespace

void Builder::draw(Module& root) {
  const bool meta = options_.device.type == DeviceType::meta;
  if (!meta) initialize(root, options_.seed);
  std::unordered_map<const TensorImpl*, std::string> paths;
  for (const auto& [path, t] : root.named_parameters("", true, false))
    paths.emplace(t.impl(), path);
  for (const auto& [path, t] : root.named_buffers("", true, false)) paths.emplace(t.impl(), path);
  std::unordered_map<const TensorImpl*, size_t> last;
  for (size_t i = 0; i < init_.size(); ++i) last[init_[i].tensor.impl()] = i;
  for (size_t i = 0; i < init_.size(); ++i) {
    const Rule& r = init_[i];
    if (last[r.tensor.impl()] != i) continue;
    reporter_.attempt([&] {
      Reporter::at(r.span, "E0407", [&] {
        Generator g = Generator::for_name(options_.seed, paths[r.tensor.impl()]);
        (*r.init)(r.tensor, &g);
      });
    });
  }
  if (meta) return;
  Tensors drawn;
  for (const Rule& r : init_) drawn.push_back(r.tensor);
  parametrize_drawn(root, drawn, options_.seed);
}

}  // namespace nnm::lang
