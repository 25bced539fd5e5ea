// Selectors: the one syntax that picks modules and tensors of a model by path or by type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nnm/base/error.h"

namespace nnm {

/// A selector that cannot be read; `offset` is the byte at which reading stopped.
struct SelectorError : Error {
  SelectorError(const std::string& message, size_t offset)
      : Error(ErrorKind::config, message), offset(offset) {}
  size_t offset;
};

/// A comma list of patterns over dotted names, anchored at the root: `*` stands for one segment or
/// a part of one, `**` alone for zero or more segments, `{a,b}` for alternatives. A pattern is a
/// path (`transformer.h.*.attn.**`) or starts with a type and goes on below modules of that type
/// (`Linear`, `Linear.bias`, `Block.mlp.**`). The root is `""` or its class name.
class Selector {
 public:
  /// Throws SelectorError.
  static Selector parse(std::string_view text);

  const std::string& text() const { return text_; }
  /// Its patterns, braces expanded, each as a selector.
  std::vector<Selector> patterns() const;
  /// Whether any pattern, read as a path or as a type, names this module. Types of other modules
  /// than this one and the root are unknown here; a Scope knows them all.
  bool matches_module(std::string_view path, std::string_view type,
                      std::string_view root_class) const;
  /// The same of a parameter or buffer `name` of the module at `module_path`.
  bool matches_tensor(std::string_view module_path, std::string_view module_type,
                      std::string_view name, std::string_view root_class) const;

 private:
  friend class Scope;
  using Segments = std::vector<std::string>;  // none: the root
  std::string text_;
  std::vector<Segments> patterns_;  // braces expanded
};

struct NamedModule {
  std::string path;  ///< "" is the root
  std::string type;
};
struct NamedTensor {
  std::string module;  ///< path of the module that owns it
  std::string name;    ///< without dots
};

/// All names of one model: what selectors select from. Here a path wins over a type of the same
/// name.
class Scope {
 public:
  Scope(std::vector<NamedModule> modules, std::vector<NamedTensor> tensors);
  Scope(Scope&&) = default;  // not copied: names are views of the lists

  /// Indices of the modules selected, ascending; empty if none.
  std::vector<size_t> modules(const Selector& s) const;
  /// Indices of the tensors selected, ascending. `below`: a selected module stands for all the
  /// tensors in it and below it, too (freeze: encoder).
  std::vector<size_t> tensors(const Selector& s, bool below = false) const;
  /// The error of a selector that matches nothing, with the nearest name as its hint.
  Error no_match(const Selector& s) const;

 private:
  struct Name {
    std::vector<std::string_view> segments;
    std::vector<const std::string*> types;  // of the root, its child, … and the module itself
  };
  static bool selects(const Selector& s, const std::vector<char>& readings, const Name& name);
  /// Per pattern, whether it is a path or a type.
  std::vector<char> readings(const Selector& s) const;
  std::string path_suggestion(const Selector::Segments& pattern) const;
  std::string type_suggestion(const Selector::Segments& pattern) const;

  std::vector<NamedModule> module_list_;
  std::vector<NamedTensor> tensor_list_;
  std::vector<Name> module_names_, tensor_names_;
};

}  // namespace nnm
