// Names of modules and arguments as names of links in a trace.
#include "nnm/io/link_name.h"

#include <utility>

namespace nnm::io {
namespace {

constexpr std::pair<std::string_view, char> kEscapes[] = {
    {"%2F", '/'}, {"%25", '%'}, {"%40", '@'}, {"%2E", '.'}};
constexpr std::string_view kEmpty = "%";

}  // namespace

std::string link_name(std::string_view name) {
  if (name.empty()) return std::string(kEmpty);
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool escaped = c == '/' || c == '%' || (c == '@' && i == 0) || name == ".";
    for (const auto& [text, meant] : kEscapes)
      if (escaped && meant == c) out += text;
    if (!escaped) out += c;
  }
  return out;
}

std::string name_of_link(std::string_view link) {
  if (link == kEmpty) return "";
  std::string out;
  while (!link.empty()) {
    size_t taken = 1;
    char c = link[0];
    for (const auto& [text, meant] : kEscapes) {
      if (!link.starts_with(text)) continue;
      taken = text.size();
      c = meant;
    }
    out += c;
    link.remove_prefix(taken);
  }
  return out;
}

}  // namespace nnm::io
