// Which names a forward reads before it sets them: the inputs of a class without `inputs:`.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "nnm/lang/ast.h"

namespace nnm::lang {

/// In the order of first use. `known` says which names mean something without being inputs.
std::vector<ExprRef> free_names(const Statements& forward,
                                const std::function<bool(const std::string&)>& known);

/// Adds the plain names that the statements set; whether one has a made name (`s${i}`).
bool assigned_names(const Statements& statements, std::set<std::string>& out);

}  // namespace nnm::lang
