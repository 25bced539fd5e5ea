// Resolving: what a config says by itself, and in another folder.
#pragma once

#include <string>

#include "nnm/base/value.h"
#include "nnm/lang/tree.h"

namespace nnm::lang {

/// Gives the keys that a section of the config leaves out the defaults that the table of sections
/// knows (origin "default").
void fill_defaults(Tree& root);

/// Rewrites the relative paths of a config (files of `data:`, `load("…")` in hooks) so that they
/// mean the same where the text stands in `folder`.
void rebase_paths(Tree& root, const std::string& folder, const Value& vars);

}  // namespace nnm::lang
