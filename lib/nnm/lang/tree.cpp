// Trees: finding nodes by key and by path.
#include "nnm/lang/tree.h"

#include <charconv>

namespace nnm::lang {

Tree Tree::mapping(const Span& span) {
  Tree t;
  t.kind = Kind::map;
  t.span = span;
  return t;
}

const Tree* Tree::find(std::string_view key) const {
  for (const Entry& e : entries) {
    if (e.key.text() == key) return &e.value;
  }
  return nullptr;
}

Tree* Tree::find(std::string_view key) {
  return const_cast<Tree*>(static_cast<const Tree*>(this)->find(key));
}

void Tree::mark(const std::string& set_by) {
  if (origin.empty()) origin = set_by;
  for (Tree& item : items) item.mark(set_by);
  for (Entry& e : entries) e.value.mark(set_by);
}

namespace {

/// Reads `[2]` or `[-1]` at the start of a path and moves behind it; null where the item is absent.
const Tree* item_at(const Tree& tree, std::string_view& path) {
  int64_t index = 0;
  const size_t close = path.find(']');
  if (close == std::string_view::npos) return nullptr;
  const char* end = path.data() + close;
  const auto read = std::from_chars(path.data() + 1, end, index);
  const auto size = static_cast<int64_t>(tree.items.size());
  if (read.ec != std::errc() || read.ptr != end) return nullptr;
  if (index < 0) index += size;
  if (index < 0 || index >= size) return nullptr;
  path.remove_prefix(close + 1);
  return &tree.items[static_cast<size_t>(index)];
}

}  // namespace

const Tree* Tree::at(std::string_view path) const {
  if (path.empty()) return this;
  if (path.front() == '[') {
    const Tree* item = item_at(*this, path);
    if (item && !path.empty() && path.front() == '.') path.remove_prefix(1);
    return item ? item->at(path) : nullptr;
  }
  // A key may hold dots (a selector): the longest one that fits is tried first.
  const Entry* best = nullptr;
  const Tree* found = nullptr;
  for (const Entry& e : entries) {
    const std::string& key = e.key.text();
    if (!path.starts_with(key) || (best && key.size() <= best->key.text().size())) continue;
    std::string_view rest = path.substr(key.size());
    if (!rest.empty() && rest.front() != '.' && rest.front() != '[') continue;
    if (!rest.empty() && rest.front() == '.') rest.remove_prefix(1);
    if (const Tree* t = e.value.at(rest)) {
      best = &e;
      found = t;
    }
  }
  return found;
}

}  // namespace nnm::lang
