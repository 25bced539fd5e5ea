// attempt: what a part of a check throws becomes its diagnostics, and the check goes on.
#pragma once

#include <string>
#include <utility>

#include "nnm/base/diagnostic.h"

namespace nnm::train {

/// Adds an error.
inline Diagnostic& report(Diagnostics& d, const char* code, const Span& span, std::string message,
                          std::string help = {}) {
  return d.add({code, std::move(message), span, std::move(help), {}});
}

/// Adds what an exception of a lower floor says: its own diagnostics, or its text at `span`.
void report(Diagnostics& d, const char* code, const Span& span, const Error& e);

/// Runs f; false where it threw an Error, which then stands in `d`. Internal errors pass.
template <class F>
bool attempt(Diagnostics& d, const char* code, const Span& span, F&& f) {
  try {
    f();
    return true;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) throw;
    report(d, code, span, e);
    return false;
  }
}

}  // namespace nnm::train
