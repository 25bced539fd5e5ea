// Configs: reading, overriding, and parsing classes and model, with all errors of the phase at
// once.
#include "nnm/lang/config.h"

#include <algorithm>

#include "nnm/base/file.h"
#include "nnm/lang/compose.h"
#include "nnm/lang/namespace.h"
#include "nnm/lang/overrides.h"
#include "nnm/lang/resolve.h"
#include "nnm/lang/structure.h"
#include "nnm/lang/vars.h"

namespace nnm::lang {

namespace {

constexpr const char* kAppendHook = "hooks+=";

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
    Diagnostic missing;
    missing.code = "E0101";
    missing.message = e.what();
    missing.span.file = std::make_shared<SourceFile>(path, "");
    missing.help = e.hint();
    d.add(std::move(missing));
    throw DiagnosticError(std::move(d));
  }
  return from_text(std::move(text), path, options);
}

Config Config::from_text(std::string text, const std::string& path, const LoadOptions& options) {
  Config c;
  c.path_ = path;
  c.options_ = options;
  c.source_ = std::make_shared<SourceFile>(path, std::move(text));
  Composition composed = compose(c.source_, options.files);
  c.tree_ = std::move(composed.tree);
  c.files_ = std::move(composed.files);
  Diagnostics d;
  // A config that is none is reported as such, not as paths that it lacks.
  if (c.tree_.is_map()) c.change(d);
  d.throw_if_errors();
  check_structure(c.tree_, c.source_, d);
  c.classes_ = read_namespace(c.tree_, d, c.warnings_);
  const TypeNames types = c.classes_->names();
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

void Config::change(Diagnostics& d) {
  check_profiles(tree_, d);
  if (d.has_errors()) return;
  for (const std::string& name : options_.profiles) apply_profile(tree_, name, d);
  const std::vector<std::string>& set = options_.set;
  for (size_t i = 0; i < set.size(); ++i) {
    if (appended_before(set, i)) continue;
    const std::string folder = i < options_.folders.size() ? options_.folders[i] : "";
    const auto& written = options_.written;
    const auto tree = std::find_if(written.begin(), written.end(),
                                   [&](const auto& w) { return w.first == set[i]; });
    apply_override(tree_, set[i], folder, d, tree == written.end() ? nullptr : &*tree->second);
  }
}

LoadOptions hook_overrides(const std::string& file_or_text) {
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
  // As an override it stands in the working directory.
  Tree root = Tree::mapping();
  root.entries.push_back({Located("hooks", source, 0), hooks});
  rebase_paths(root, ".", Value());
  LoadOptions out;
  for (size_t i = 0; i < hooks.items.size(); ++i) {
    out.set.push_back(kAppendHook + write_flow(root.entries[0].value.items[i]));
    out.written.emplace_back(out.set.back(), std::make_shared<const Tree>(hooks.items[i]));
  }
  return out;
}

Config Config::changed(LoadOptions options) const {
  options.files = files_;
  return from_text(text(), path_, options);
}

Tree Config::resolved_tree(const std::string& folder) const {
  Tree out = tree_;
  std::erase_if(out.entries, [](const Tree::Entry& e) { return e.key.text() == "profiles"; });
  rebase_paths(out, folder.empty() ? folder_of(path_) : folder, vars_);
  fill_defaults(out);
  return out;
}

std::string Config::resolved(const std::string& folder) const {
  return write_yaml(resolved_tree(folder));
}

std::string Config::resolve_path(const Tree& scalar) const {
  const std::string& path = scalar.text();
  const SourceRef& file = scalar.scalar.file();
  if (path.empty() || path.front() == '/' || !file) return path;
  const std::string folder = folder_of(file->path);
  return folder == "." ? path : folder + "/" + path;
}

}  // namespace nnm::lang
