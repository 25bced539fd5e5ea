// Texts of several lines for a terminal.
#include "cli/escape.h"

#include "nnm/base/text.h"

namespace nnm::cli {

std::string escape_lines(std::string_view text) {
  std::string out;
  for (size_t begin = 0, end = 0; end != std::string_view::npos; begin = end + 1) {
    end = text.find_first_of("\n\t", begin);
    out += escape_terminal(text.substr(begin, end - begin));
    if (end != std::string_view::npos) out += text[end];
  }
  return out;
}

}  // namespace nnm::cli
