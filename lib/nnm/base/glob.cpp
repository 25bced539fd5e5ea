// Globs without backtracking beyond one star, and a table for `**`.
#include "nnm/base/glob.h"

namespace nnm {

bool glob_segment(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = pattern.npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      // Let the last star take one character more.
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool glob_path(const std::vector<std::string>& pattern, size_t from,
               const std::vector<std::string_view>& segments, size_t begin) {
  // row[j]: the pattern so far matches the first j segments.
  const size_t n = segments.size() - begin;
  std::vector<char> row(n + 1), next(n + 1);
  row[0] = 1;
  for (size_t i = from; i < pattern.size(); ++i) {
    const bool any = pattern[i] == "**";
    next[0] = any && row[0];
    for (size_t j = 1; j <= n; ++j) {
      next[j] = any ? row[j] || next[j - 1]
                    : row[j - 1] && glob_segment(pattern[i], segments[begin + j - 1]);
    }
    row.swap(next);
  }
  return row[n];
}

namespace {

/// `rn.Block` is known by its last part, too.
bool is_called(std::string_view type, std::string_view name) {
  return type == name || (type.size() > name.size() && type.ends_with(name) &&
                          type[type.size() - name.size() - 1] == '.');
}

}  // namespace

bool glob_type(const std::vector<std::string>& pattern,
               const std::vector<std::string_view>& segments,
               const std::vector<const std::string*>& types) {
  std::string head;
  for (size_t h = 0; h < pattern.size(); ++h) {
    head += (h ? "." : "") + pattern[h];
    for (size_t d = 0; d < types.size(); ++d) {
      if (is_called(*types[d], head) && glob_path(pattern, h + 1, segments, d)) return true;
    }
  }
  return false;
}

}  // namespace nnm
