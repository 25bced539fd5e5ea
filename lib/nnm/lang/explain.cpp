// The explanation of a code for people.
#include "nnm/lang/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "nnm/base/text.h"
#include "nnm/lang/code_examples.h"

namespace nnm::lang {

namespace {

constexpr size_t kWidth = 80;

std::string wrapped(std::string_view text) {
  std::string out;
  size_t column = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    const size_t width = code_points(word);
    if (column > 0 && column + 1 + width > kWidth) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += width;
    at = end + 1;
  }
  return out;
}

/// A config as it is shown: indented, and with nothing that a terminal would obey.
std::string shown(const std::string& file) {
  std::string out;
  for (size_t at = 0; at < file.size();) {
    const size_t end = file.find('\n', at);
    out += "    " + escape_terminal(file.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string explain(const CodeInfo& info) {
  std::string out = fmt::format("{}: {}\n\n{}\n", info.code, info.title, wrapped(info.text));
  const CodeExample* e = find_example(info.code);
  if (!e) return out;
  const auto part = [&](const char* title, const CodeCase& c) {
    out += fmt::format("\n{} ({}):\n\n{}", title, c.command, shown(c.file()));
    const std::string base = c.base_file();
    if (!base.empty()) out += fmt::format("\nwith base.yaml:\n\n{}", shown(base));
  };
  part("Wrong", e->wrong);
  part("Right", e->right);
  return out;
}

}  // namespace nnm::lang
