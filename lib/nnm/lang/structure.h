// Structure: whether the sections of a config have the right keys and forms, and changes to them.
#pragma once

#include <string>

#include "nnm/lang/tree.h"

namespace nnm::lang {

/// Reports unknown keys, missing keys and wrong forms (E0211, E0212, E0213, E0215) of all sections
/// but `define`, `model` and `vars`.
void check_structure(const Tree& root, const SourceRef& file, Diagnostics& d);
/// The same of a list of hooks alone.
void check_hooks(const Tree& hooks, Diagnostics& d);

/// Applies `path=value` (or `path+=value`, which appends to a list); errors are E0214.
void apply_override(Tree& root, const std::string& assignment, Diagnostics& d);

/// What YAML's core schema makes of a plain scalar.
enum class CoreType : uint8_t { text, integer, real, boolean };
CoreType core_type(std::string_view text);

}  // namespace nnm::lang
