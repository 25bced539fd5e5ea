// What an error code means, at length.
#pragma once

#include <string>

#include "nnm/lang/codes.h"

namespace nnm::lang {

/// Its title, what it means, and its example, wrong and right, in lines of at most 80 columns (but
/// for examples). Bytes that a terminal would obey are written out.
std::string explain(const CodeInfo& info);

}  // namespace nnm::lang
