// Selectors of hooks on a model.
#include "nnm/trace/targets.h"

#include <map>
#include <set>

#include "nnm/lang/model.h"

namespace nnm::tracing {

void report_hook(Diagnostics& d, const char* code, const HookSpec& hook, const Error& problem) {
  d.add(
      {code, fmt::format("hook `{}`: {}", hook.name, problem.what()), hook.at, problem.hint(), {}});
}

Targets find_targets(Module& root, const HookSpec& hook, HookKind kind, Diagnostics& d) {
  const bool each = kind == HookKind::post_accumulate_grad;
  const bool leaves = each || (kind == HookKind::tensor && hook.part.empty());
  std::vector<NamedModule> names;
  std::vector<NamedTensor> tensors;
  std::vector<Targets::OfModule> modules;
  std::vector<Targets::OfParameter> parameters;
  std::map<const Module*, size_t> first;
  for (const auto& [path, m] : root.named_modules("", false)) {
    const size_t own = first.try_emplace(m, modules.size()).first->second;
    const std::string& known = own < modules.size() ? modules[own].path : path;
    modules.push_back({m, known, known.empty() ? m->type_name() : known});
    names.push_back({path, lang::selector_type(*m)});
    for (const auto& slot : m->parameter_slots()) {
      if (!slot->value.defined()) continue;
      tensors.push_back({path, slot->name});
      parameters.push_back({slot->value, modules.back(), slot->name});
    }
  }
  const Scope scope(std::move(names), std::move(tensors));
  Targets out;
  std::set<const TensorImpl*> seen;
  if (leaves)
    for (size_t i : scope.tensors(hook.select))
      if (seen.insert(parameters[i].parameter.impl()).second)
        out.parameters.push_back(parameters[i]);
  out.at_parameters = each || !out.parameters.empty();
  if (!out.parameters.empty()) return out;
  std::set<const Module*> met;
  for (size_t i : scope.modules(hook.select))
    if (met.insert(modules[i].module).second) out.modules.push_back(modules[i]);
  if (out.modules.empty() && !hook.optional)
    report_hook(d, kUnmatchedHook, hook, scope.no_match(hook.select));
  if (!leaves) return out;
  for (const Targets::OfParameter& p : parameters)
    if (met.count(p.owner.module) && seen.insert(p.parameter.impl()).second)
      out.parameters.push_back(p);
  return out;
}

}  // namespace nnm::tracing
