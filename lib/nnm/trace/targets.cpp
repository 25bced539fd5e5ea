// Selectors of hooks on a model.
#include "nnm/trace/targets.h"

#include <map>
#include <set>

#include "nnm/base/items.h"
#include "nnm/base/text.h"
#include "nnm/lang/model.h"

namespace nnm::tracing {

namespace {

/// All modules and parameters of a model by all of their names.
class Names {
 public:
  explicit Names(Module& root) : scope_(list(root)) {}

  Targets find(const HookRequest& request, bool optional) {
    const bool of_leaves = request.kind == HookKind::post_accumulate_grad;
    const bool leaves = of_leaves || (request.kind == HookKind::tensor && request.part.empty());
    std::set<size_t> chosen, own;
    const auto choose = [&](const Selector& item) {
      bool found = false;
      for (const Selector& pattern : item.patterns()) {
        const std::vector<size_t> modules = scope_.modules(pattern);
        chosen.insert(modules.begin(), modules.end());
        found |= !modules.empty();
        if (!leaves || !modules.empty()) continue;
        const std::vector<size_t> tensors = scope_.tensors(pattern);
        own.insert(tensors.begin(), tensors.end());
        found |= !tensors.empty();
      }
      return found || optional;
    };
    require_matches(scope_, request.select, choose);
    Targets out;
    std::set<const Module*> met;
    for (size_t i : chosen)
      if (met.insert(modules_[i].module).second) out.modules.push_back(modules_[i]);
    std::set<const TensorImpl*> seen;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      Targets::OfParameter& p = parameters_[i];
      if (!own.contains(i) && !(of_leaves && met.contains(p.owner.module))) continue;
      p.again = !seen.insert(p.parameter.impl()).second;
      out.parameters.push_back(std::move(p));
    }
    if (of_leaves) out.modules.clear();
    return out;
  }

 private:
  Scope list(Module& root) {
    std::vector<NamedModule> names;
    std::vector<NamedTensor> tensors;
    std::map<const Module*, size_t> first;
    for (const auto& [path, m] : root.named_modules("", false)) {
      const auto [at, fresh] = first.try_emplace(m, modules_.size());
      modules_.push_back(
          fresh ? Targets::OfModule{m, path, path.empty() ? m->type_name() : path, at->second}
                : modules_[at->second]);
      names.push_back({path, lang::selector_type(*m)});
      for (const auto& slot : m->parameter_slots()) {
        if (!slot->value.defined()) continue;
        tensors.push_back({path, slot->name});
        parameters_.push_back({slot->value, modules_.back(), slot->name});
      }
    }
    return {std::move(names), std::move(tensors)};
  }

  std::vector<Targets::OfModule> modules_;
  std::vector<Targets::OfParameter> parameters_;
  Scope scope_;
};

/// The place of the item in its selector, where the config has that in one line as it was read.
Span place_of(const UnmatchedItem& e, const HookSpec& hook) {
  const Span& at = hook.at;
  const std::string& text = hook.select.text();
  if (!at || e.length == 0) return at;
  const std::string_view line = at.file->line(at.line);
  const size_t begin = line.find(text);
  // Found twice, or not where the scalar starts: only the whole is known.
  if (begin == std::string_view::npos ||
      code_points(line.substr(0, begin)) + 1 != static_cast<size_t>(at.column))
    return at;
  Span part = at;
  part.column += static_cast<int>(code_points(std::string_view(text).substr(0, e.offset)));
  part.end_column =
      part.column +
      static_cast<int>(code_points(std::string_view(text).substr(e.offset, e.length)));
  return part;
}

}  // namespace

void report_hook(Diagnostics& d, const char* code, const HookSpec& hook, const Error& problem) {
  const auto* item = dynamic_cast<const UnmatchedItem*>(&problem);
  d.add({code,
         fmt::format("hook `{}`: {}", hook.name, problem.what()),
         item ? place_of(*item, hook) : hook.at,
         problem.hint(),
         {}});
}

Targets find_targets(Module& root, const HookRequest& request, bool optional) {
  return Names(root).find(request, optional);
}

Targets find_targets(Module& root, const HookSpec& hook, HookKind kind, Diagnostics& d) {
  try {
    return find_targets(root, {kind, hook.select, hook.part}, hook.optional);
  } catch (const UnmatchedItem& e) {
    report_hook(d, kUnmatchedHook, hook, e);
    return {};
  }
}

}  // namespace nnm::tracing
