// ForwardWatcher: sees what forwards compute outside of modules.
#pragma once

#include <string>

#include "nnm/base/diagnostic.h"
#include "nnm/base/value.h"

namespace nnm::lang {

/// Is told of the functions and operators of forwards, on the thread whose `current` it is.
class ForwardWatcher {
 public:
  virtual ~ForwardWatcher() = default;

  /// After a function, with its arguments in the order of its signature, or an operator (`+`;
  /// `[…]` with what stands in it; `.T`).
  virtual void computed(const std::string& what, const Span& at, const Value* in, size_t n,
                        const Value& out) = 0;

  /// Of this thread, or null where nobody looks.
  static ForwardWatcher*& current();
};

}  // namespace nnm::lang
