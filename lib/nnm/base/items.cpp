// Splitting selectors at their commas.
#include "nnm/base/items.h"

#include <algorithm>

namespace nnm {

namespace {

/// Where the item that starts at `begin` ends: at the next comma outside of braces.
size_t end_of_item(std::string_view text, size_t begin) {
  int depth = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}') --depth;
    if (text[i] == ',' && depth == 0) return i;
  }
  return text.size();
}

}  // namespace

void require_matches(const Scope& scope, const Selector& s,
                     const std::function<bool(const Selector& item)>& found) {
  const std::string& text = s.text();
  for (size_t begin = 0, end = 0; begin <= text.size(); begin = end + 1) {
    end = end_of_item(text, begin);
    // Of blanks alone is the selector of the root.
    const size_t first = std::min(text.find_first_not_of(" \t\n", begin), end);
    const size_t last = first == end ? end : text.find_last_not_of(" \t\n", end - 1) + 1;
    const Selector item = Selector::parse(std::string_view(text).substr(first, last - first));
    if (found(item)) continue;
    const Error e = scope.no_match(item);
    throw UnmatchedItem(e.what(), e.hint(), first, last - first);
  }
}

}  // namespace nnm
