// Configs: reading, overriding, and parsing classes and model, with all errors of the phase at
// once.
#include "nnm/lang/config.h"

#include <algorithm>

#include "nnm/base/file.h"
#include "nnm/lang/structure.h"
#include "nnm/lang/vars.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

namespace {

constexpr const char* kAppendHook = "hooks+=";

TypeNames class_names(const Tree& root) {
  TypeNames out;
  const Tree* define = root.find("define");
  if (!define) return out;
  for (const Tree::Entry& e : define->entries) out.push_back(e.key.text());
  return out;
}

std::vector<ClassDef> read_classes(const Tree& root, const TypeNames& types, Diagnostics& d,
                                   Diagnostics& warnings) {
  std::vector<ClassDef> out;
  const Tree* define = root.find("define");
  if (!define || !define->is_map()) return out;
  for (const Tree::Entry& e : define->entries) {
    if (e.key.text().starts_with("x-")) continue;
    if (Registry<Module>::find(e.key.text())) {
      warnings.add({"W0201",
                    fmt::format("class {} hides the layer of that name", e.key.text()),
                    e.key.span(),
                    "give it another name",
                    {}});
    }
    out.push_back(parse_class(e.key, e.value, d, types));
  }
  return out;
}

/// Hooks of a run are among the overrides that its checkpoints keep: naming them again when it goes
/// on adds none.
bool appended_before(const std::vector<std::string>& set, size_t i) {
  if (!set[i].starts_with(kAppendHook)) return false;
  for (size_t k = i; k-- > 0 && !set[k].starts_with("hooks=");)
    if (set[k] == set[i]) return true;
  return false;
}

}  // namespace

Config Config::load(const std::string& path, const LoadOptions& options) {
  std::string text;
  try {
    text = read_file(path, TreeLimits().bytes);
  } catch (const Error& e) {
    Diagnostics d;
    d.add({"E0101", e.what(), {}, e.hint(), {}});
    throw DiagnosticError(std::move(d));
  }
  return from_text(std::move(text), path, options);
}

Config Config::from_text(std::string text, const std::string& path, const LoadOptions& options) {
  Config c;
  c.path_ = path;
  c.options_ = options;
  c.source_ = std::make_shared<SourceFile>(path, std::move(text));
  c.tree_ = read_yaml(c.source_);
  Diagnostics d;
  // A config that is none is reported as such, not as paths that it lacks.
  if (c.tree_.is_map()) {
    for (size_t i = 0; i < options.set.size(); ++i)
      if (!appended_before(options.set, i)) apply_override(c.tree_, options.set[i], d);
  }
  d.throw_if_errors();
  check_structure(c.tree_, c.source_, d);
  const TypeNames types = class_names(c.tree_);
  c.classes_ = read_classes(c.tree_, types, d, c.warnings_);
  if (const Tree* model = c.find("model"); model && !model->is_null()) {
    c.model_ = parse_model(*model, d, types);
  } else if (model) {
    d.add({"E0212", "`model:` is empty", model->span, "write `model: Linear(10, 20)`", {}});
  }
  const Tree* vars = c.find("vars");
  c.vars_ = evaluate_vars(vars ? *vars : Tree(), d);
  d.throw_if_errors();
  return c;
}

std::vector<std::string> hook_overrides(const std::string& file_or_text) {
  const bool inline_text =
      file_or_text.find(": ") != std::string::npos || file_or_text.find('\n') != std::string::npos;
  SourceRef source;
  if (inline_text) {
    source = std::make_shared<SourceFile>("--trace", file_or_text);
  } else {
    try {
      source =
          std::make_shared<SourceFile>(file_or_text, read_file(file_or_text, TreeLimits().bytes));
    } catch (const Error& e) {
      Diagnostics d;
      d.add({"E0101", e.what(), {}, "--trace takes a YAML file of hooks, or a hook itself", {}});
      throw DiagnosticError(std::move(d));
    }
  }
  Tree hooks = read_yaml(source);
  if (const Tree* below = hooks.find("hooks")) hooks = Tree(*below);
  if (!hooks.is_list()) {
    Tree list;
    list.kind = Tree::Kind::list;
    list.span = hooks.span;
    if (!hooks.is_null()) list.items.push_back(std::move(hooks));
    hooks = std::move(list);
  }
  Diagnostics d;
  check_hooks(hooks, d);
  d.throw_if_errors();
  std::vector<std::string> out;
  for (const Tree& hook : hooks.items) out.push_back(kAppendHook + write_flow(hook));
  return out;
}

std::string Config::resolved() const { return write_yaml(tree_); }

std::string Config::resolve_path(const Tree& scalar) const {
  const std::string& path = scalar.text();
  if (path.empty() || path.front() == '/' || !scalar.origin.empty()) return path;
  const std::string folder = folder_of(path_);
  return folder == "." ? path : folder + "/" + path;
}

const ClassDef* Config::find_class(std::string_view name) const {
  const auto at = std::find_if(classes_.begin(), classes_.end(),
                               [&](const ClassDef& c) { return c.name == name; });
  return at == classes_.end() ? nullptr : &*at;
}

}  // namespace nnm::lang
