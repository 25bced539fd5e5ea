// Items of selectors: each must match something, whatever its neighbours do.
#pragma once

#include <functional>

#include "nnm/base/select.h"

namespace nnm {

/// An item of a selector's comma list that matches nothing.
struct UnmatchedItem : Error {
  UnmatchedItem(const std::string& message, std::string hint, size_t offset, size_t length)
      : Error(ErrorKind::config, message, std::move(hint)), offset(offset), length(length) {}
  size_t offset, length;  ///< where it stands in the selector's text, in bytes
};

/// Asks `found` about each item of the comma list, as a selector of its own; the alternatives of
/// braces are one item. Throws UnmatchedItem for the first that it denies, with the nearest name in
/// the scope as the hint.
void require_matches(const Scope& scope, const Selector& s,
                     const std::function<bool(const Selector& item)>& found);

}  // namespace nnm
