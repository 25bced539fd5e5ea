// For classes whose members hold modules or tensors in values: what becomes of them in a copy.
#pragma once

#include "nnm/base/value.h"

namespace nnm::detail {

/// While deepcopy runs: the value with the copies of its tensors and modules, also within lists,
/// tuples and dicts. Elsewhere the value itself.
Value copied_value(const Value& v);

}  // namespace nnm::detail
