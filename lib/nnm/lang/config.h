// Config: a config file, read, overridden and checked in structure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nnm/lang/ast.h"

namespace nnm::lang {

struct LoadOptions {
  std::vector<std::string> set;  ///< `path=value`, in order (language.md section 7)
};

/// A config whose sections have the right keys and forms, and whose classes are parsed. What its
/// expressions mean is the builder's and the run's.
class Config {
 public:
  /// Throws DiagnosticError with all errors of the phase (exit code 2), also where the file does
  /// not exist.
  static Config load(const std::string& path, const LoadOptions& options = {});
  /// The same of a text that came from elsewhere (a checkpoint); `path` names it in messages, and
  /// relative paths resolve against its folder.
  static Config from_text(std::string text, const std::string& path,
                          const LoadOptions& options = {});

  const std::string& path() const { return path_; }
  const std::string& text() const { return source_->text; }  ///< the exact bytes of the file
  const SourceRef& source() const { return source_; }
  const std::vector<std::string>& overrides() const { return options_.set; }
  /// The whole document after overrides, defaults not filled in.
  const Tree& tree() const { return tree_; }
  /// A top-level section or a path below it (`train.optimizer`), or null.
  const Tree* find(std::string_view path) const { return tree_.at(path); }
  /// Canonical YAML after overrides: what resolved.yaml holds. Reads back to the same config.
  std::string resolved() const;
  /// A path written in the config, made usable from the working directory: relative ones resolve
  /// against the config's folder, those from `--set` against the working directory.
  std::string resolve_path(const Tree& scalar) const;

  const std::vector<ClassDef>& classes() const { return classes_; }
  const ClassDef* find_class(std::string_view name) const;
  const Layer& model() const { return model_; }
  /// `vars`, evaluated.
  const Value& vars() const { return vars_; }
  /// Warnings of the structure check (a class that shadows a built-in …).
  const Diagnostics& warnings() const { return warnings_; }

 private:
  std::string path_;
  SourceRef source_;
  LoadOptions options_;
  Tree tree_;
  std::vector<ClassDef> classes_;
  Layer model_;
  Value vars_;
  Diagnostics warnings_;
};

/// A hook, a list of them or a mapping with `hooks:` — in a file, or as YAML itself (`--trace`) —
/// as overrides that append them to a config. Throws DiagnosticError (E01xx, E02xx) that points
/// into the text.
std::vector<std::string> hook_overrides(const std::string& file_or_text);

/// The JSON Schema of config files (draft 7), as text, from the registries and the table of
/// sections. Names of transforms come from the data room: Registry<data::Transform>::names().
std::string json_schema(const std::vector<std::string>& transforms);

}  // namespace nnm::lang
