// Structure: whether the sections of a config have the right keys and forms.
#pragma once

#include <string>

#include "nnm/lang/sections.h"
#include "nnm/lang/tree.h"

namespace nnm::lang {

/// Reports unknown keys, missing keys and wrong forms (E0211, E0212, E0213, E0215) of all sections
/// but `define`, `model` and `vars`.
void check_structure(const Tree& root, const SourceRef& file, Diagnostics& d);
/// The same of a file that is a part of another: nothing need be there.
void check_sections(const Tree& root, Diagnostics& d);
/// The same of a list of hooks alone.
void check_hooks(const Tree& hooks, Diagnostics& d);
/// The same of one value; `path` names it.
void check_form(const Tree& value, const Form& form, const std::string& path, Diagnostics& d);
/// Reports a version of the language that this build does not know (E0215).
void check_version(const Tree& root, Diagnostics& d);

/// What YAML's core schema makes of a plain scalar.
enum class CoreType : uint8_t { text, integer, real, boolean };
CoreType core_type(std::string_view text);

}  // namespace nnm::lang
