// Metrics that evaluations report: which way they improve.
#pragma once

#include <optional>
#include <string_view>

#include "nnm/lang/ast.h"

namespace nnm::train {

/// Whether larger is better, for the value of a function; none where that is not known.
std::optional<bool> larger_is_better(std::string_view function);
/// The same, for an expression such as `accuracy(out, y)`: known by the function it
/// calls. None where that is not known.
std::optional<bool> larger_is_better(const lang::Expr& metric);

}  // namespace nnm::train
