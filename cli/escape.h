// Texts of several lines for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace nnm::cli {

/// escape_terminal, but line breaks and tabs are the text's own.
std::string escape_lines(std::string_view text);

}  // namespace nnm::cli
