// The commit that a build is of.
#pragma once

namespace nnm::run {

/// As git names it, in 40 digits; "" of what was built outside of a clone.
const char* built_commit();

}  // namespace nnm::run
