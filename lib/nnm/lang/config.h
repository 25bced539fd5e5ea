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
  /// In order: `path=value`, `path+=value`, or `~path`, which takes the path away.
  std::vector<std::string> set;
  std::vector<std::string> profiles;  ///< names of `profiles:`, applied before `set`, in order

  /// What some of `set` were written from (hook_overrides), for messages that point into it.
  std::vector<std::pair<std::string, std::shared_ptr<const Tree>>> written;

  // Of a config that a checkpoint carries:
  /// The working directories in which each of `set` was given; where none, this one.
  std::vector<std::string> folders;
  /// The files that it extends and imports, in place of those on the disk.
  std::optional<std::vector<SourceRef>> files;
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
  const LoadOptions& options() const { return options_; }
  const std::vector<std::string>& overrides() const { return options_.set; }
  /// The files that it extends and imports.
  const std::vector<SourceRef>& files() const { return files_; }
  /// The whole document as it is composed (compose.h), after profiles and overrides, defaults not
  /// filled in.
  const Tree& tree() const { return tree_; }
  /// A top-level section or a path below it (`train.optimizer`), or null.
  const Tree* find(std::string_view path) const { return tree_.at(path); }
  /// What the config comes to: composed, after profiles and overrides, with the defaults that the
  /// sections declare. It needs no other config, and its paths mean the same in `folder` (""
  /// stands for the config's own).
  Tree resolved_tree(const std::string& folder = {}) const;
  /// The same as canonical YAML: what resolved.yaml holds. Reads back to the same config.
  std::string resolved(const std::string& folder = {}) const;
  /// A path written in the config, made usable from the working directory: relative ones resolve
  /// against the folder of the file in which they stand, those from `--set` against the working
  /// directory in which it was given.
  std::string resolve_path(const Tree& scalar) const;

  /// The same files with other profiles and overrides (not `options.files`).
  Config changed(LoadOptions options) const;

  /// The classes of `define:` and, by dotted names, of imports.
  const Namespace& classes() const { return *classes_; }
  const Layer& model() const { return model_; }
  /// `vars`, evaluated.
  const Value& vars() const { return vars_; }
  /// Warnings of the structure check (a class that shadows a built-in …).
  const Diagnostics& warnings() const { return warnings_; }

 private:
  void change(Diagnostics& d);

  std::string path_;
  SourceRef source_;
  LoadOptions options_;
  Tree tree_;
  std::vector<SourceRef> files_;
  std::shared_ptr<const Namespace> classes_;
  Layer model_;
  Value vars_;
  Diagnostics warnings_;
};

/// A hook, a list of them or a mapping with `hooks:` — in a file, or as YAML itself (`--trace`) —
/// as overrides (`set`, `written`) that append them to a config. Throws DiagnosticError (E01xx,
/// E02xx) that points into the text.
LoadOptions hook_overrides(const std::string& file_or_text);

/// The JSON Schema of config files (draft 7), as text, from the registries and the table of
/// sections. Names of transforms come from the data room: Registry<data::Transform>::names().
std::string json_schema(const std::vector<std::string>& transforms);

}  // namespace nnm::lang
