// Overrides: changes of a config's tree before anything in it is evaluated.
#pragma once

#include <string>
#include <vector>

#include "nnm/lang/tree.h"

namespace nnm::lang {

/// Applies `path=value`, `path+=value` (which appends to a list) or `~path` (which takes it away);
/// errors are E0214. Paths in the value are relative to `folder`, "" for the working directory.
/// `written`, where it is not null, is the value as it was read elsewhere.
void apply_override(Tree& root, const std::string& text, const std::string& folder, Diagnostics& d,
                    const Tree* written = nullptr);

/// Checks all of `profiles:` against the config: unknown paths (E0211) and values of the wrong form
/// (E0213).
void check_profiles(Tree& root, Diagnostics& d);
/// Applies one profile: its keys are paths, a mapping below one is merged, all else replaces.
/// Without such a profile: E0217 with the nearest.
void apply_profile(Tree& root, const std::string& name, Diagnostics& d);

}  // namespace nnm::lang
