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
    require_matches(scope_, request.select, [&](const Selector& item) {
      bool found = false;
      for (const Selector& pattern : item.patterns()) found |= choose(request, pattern);
      return found || optional;
    });
    const bool of_leaves = request.kind == HookKind::post_accumulate_grad;
    Targets out;
    std::set<std::pair<const Module*, bool>> met;
    for (const auto& [i, of_input] : chosen_) {
      if (!met.emplace(modules_[i].module, of_input).second) continue;
      out.modules.push_back(modules_[i]);
      out.modules.back().of_input = of_input;
    }
    std::set<const TensorImpl*> seen;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      Targets::OfParameter& p = parameters_[i];
      if (!own_.contains(i) && !(of_leaves && met.contains({p.owner.module, false}))) continue;
      p.again = !seen.insert(p.parameter.impl()).second;
      out.parameters.push_back(std::move(p));
    }
    if (of_leaves) out.modules.clear();
    return out;
  }

  bool is_parameter(const Selector& item) const { return !scope_.tensors(item).empty(); }

 private:
  /// Takes ".output" or ".input" off the end, and gives it; "" where there is none.
  static std::string_view take_part(std::string& pattern) {
    for (const std::string_view part : {".output", ".input"}) {
      if (!pattern.ends_with(part)) continue;
      pattern.resize(pattern.size() - part.size());
      return part;
    }
    return "";
  }

  /// Adds what a pattern means; whether it means anything.
  bool choose(const HookRequest& request, const Selector& pattern) {
    std::string path = pattern.text();
    const std::string_view part = request.parts ? take_part(path) : "";
    const bool tensor = request.kind == HookKind::tensor;
    const std::vector<size_t> modules =
        scope_.modules(part.empty() ? pattern : Selector::parse(path));
    for (size_t i : modules) chosen_.emplace(i, tensor && part == ".input");
    const bool leaves = request.kind == HookKind::post_accumulate_grad || (tensor && part.empty());
    if (!leaves || !modules.empty()) return !modules.empty();
    const std::vector<size_t> tensors = scope_.tensors(pattern);
    own_.insert(tensors.begin(), tensors.end());
    return !tensors.empty();
  }

  Scope list(Module& root) {
    std::vector<NamedModule> names;
    std::vector<NamedTensor> tensors;
    std::map<const Module*, size_t> first;
    // Its class's name would be another module's where a child is called so.
    const std::string type = root.type_name(), root_name = root.child(type) ? "" : type;
    for (const auto& [path, m] : root.named_modules("", false)) {
      const auto [at, fresh] = first.try_emplace(m, modules_.size());
      modules_.push_back(
          fresh ? Targets::OfModule{m, path, path.empty() ? root_name : path, at->second}
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
  std::set<std::pair<size_t, bool>> chosen_;  // modules, and whether their inputs are meant
  std::set<size_t> own_;                      // parameters
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

std::optional<size_t> input_place(const Module& m, const std::string& arg) {
  const std::vector<std::string> names = lang::input_names(m);
  const auto at = std::find(names.begin(), names.end(), arg);
  if (at == names.end()) return std::nullopt;
  return static_cast<size_t>(at - names.begin());
}

void report_hook(Diagnostics& d, const char* code, const HookSpec& hook, const Error& problem) {
  const auto* item = dynamic_cast<const UnmatchedItem*>(&problem);
  d.add(
      {code,
       fmt::format("hook `{}`: {}", hook.name, problem.what()),
       item ? place_of(*item, hook) : hook.at,
       item && hook.of_rule
           ? fmt::format("the rule looks at `{}` where the hook has no `at`; functions of forward "
                         "(relu) are no modules: name the one before, `at: fc1`",
                         hook.select.text())
           : problem.hint(),
       {}});
}

Targets find_targets(Module& root, const HookRequest& request, bool optional) {
  Names names(root);
  try {
    return names.find(request, optional);
  } catch (const UnmatchedItem& e) {
    const std::string item = request.select.text().substr(e.offset, e.length);
    if (!names.is_parameter(Selector::parse(item))) throw;
    throw UnmatchedItem(fmt::format("`{}` is a parameter, and {} hooks are of modules", item,
                                    name_of(request.kind)),
                        "of parameters there are tensor and post_accumulate_grad hooks", e.offset,
                        e.length);
  }
}

Targets find_targets(Module& root, const HookSpec& hook, HookKind kind, Diagnostics& d) {
  try {
    return find_targets(root, hook.request(kind), hook.optional);
  } catch (const UnmatchedItem& e) {
    report_hook(d, kUnmatchedHook, hook, e);
    return {};
  }
}

}  // namespace nnm::tracing
