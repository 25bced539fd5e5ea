// Vars: the values of `vars:`, evaluated when they are asked for.
#pragma once

#include "nnm/base/value.h"
#include "nnm/lang/tree.h"

namespace nnm::lang {

/// All of `vars:` as a dict, in order. Plain scalars have the types of YAML's core schema (and
/// durations), quoted ones are strings; `${…}` is replaced, and a scalar that is one `${…}` has its
/// type (inside of `{…}` it must be quoted). Errors (unknown names, cycles, values) go into `d`.
Value evaluate_vars(const Tree& vars, Diagnostics& d);

/// The number that a plain scalar of YAML's core schema stands for. Throws Fault (E0203) where it
/// is out of range.
Value core_number(const Tree& scalar);

}  // namespace nnm::lang
