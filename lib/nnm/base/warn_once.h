// Warnings that are not repeated.
#pragma once

#include <string>

namespace nnm {

/// log_warning, but only the first time: functions and hooks run every step, and Python's filter
/// repeats no warning either.
void warn_once(const std::string& text);

}  // namespace nnm
