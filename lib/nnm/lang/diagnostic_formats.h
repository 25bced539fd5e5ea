// Diagnostics for programs: what a terminal is shown, as JSON, SARIF and GitHub's commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nnm/base/diagnostic.h"

namespace nnm::lang {

/// What `--diagnostics` takes; the first is the default.
const std::vector<std::string>& diagnostic_formats();

/// The diagnostics of some files in one text, whose last line ends:
/// - text: as a compiler shows them, with ANSI colours if asked; nothing where there are none
/// - json: `{"ok": …, "diagnostics": [{"code", "message", "file", "line", "column", "end_column",
///   "help", "notes"}]}`, with `more` where errors were left out
/// - sarif: a SARIF 2.1.0 log of one run, with all codes as rules; columns count code points
/// - github: a line `::error file=…::…` each, which GitHub shows beside the code
/// Throws Error(value) for another format.
std::string format_diagnostics(const std::vector<Diagnostics>& files, std::string_view format,
                               bool colour = false);

}  // namespace nnm::lang
