// Reads selectors and matches them against dotted names.
#include "nnm/base/select.h"

#include <algorithm>

#include "nnm/base/glob.h"

namespace nnm {

namespace {

constexpr size_t kMaxPatterns = 4096;  // after the expansion of braces
constexpr size_t kMaxBraces = 64;      // expansion recurs once for each

std::string_view trimmed(std::string_view s, size_t& offset) {
  const size_t begin = std::min(s.find_first_not_of(" \t\n"), s.size());
  offset += begin;
  s.remove_prefix(begin);
  return s.substr(0, s.find_last_not_of(" \t\n") + 1);
}

[[noreturn]] void bad(std::string_view text, size_t offset, const std::string& why) {
  throw SelectorError(fmt::format("selector `{}`: {} at column {}", text, why, offset + 1), offset);
}

/// Splits at `separator` outside of braces: pairs of piece and offset.
std::vector<std::pair<std::string_view, size_t>> split(std::string_view text, char separator) {
  std::vector<std::pair<std::string_view, size_t>> out;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}') --depth;
    if (text[i] == separator && depth == 0) {
      out.emplace_back(text.substr(begin, i - begin), begin);
      begin = i + 1;
    }
  }
  out.emplace_back(text.substr(begin), begin);
  return out;
}

void check_braces(std::string_view text) {
  std::vector<size_t> open;
  size_t braces = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      open.push_back(i);
      if (++braces > kMaxBraces) bad(text, i, "too many braces");
    }
    if (text[i] != '}') continue;
    if (open.empty()) bad(text, i, "`}` without `{`");
    open.pop_back();
  }
  if (!open.empty()) bad(text, open.back(), "`{` without `}`");
}

/// All texts that one with braces stands for.
std::vector<std::string> expand(const std::string& text, std::string_view whole, size_t offset) {
  const size_t open = text.find('{');
  if (open == std::string::npos) return {text};
  size_t close = open;
  for (int depth = 0; close < text.size(); ++close) {
    if (text[close] == '{') ++depth;
    if (text[close] == '}' && --depth == 0) break;
  }
  std::vector<std::string> out;
  const std::string_view inner = std::string_view(text).substr(open + 1, close - open - 1);
  for (const auto& [piece, at] : split(inner, ',')) {
    size_t ignored = 0;
    const std::string alternative(trimmed(piece, ignored));
    for (std::string& s :
         expand(text.substr(0, open) + alternative + text.substr(close + 1), whole, offset)) {
      out.push_back(std::move(s));
      if (out.size() > kMaxPatterns) bad(whole, offset, "too many alternatives");
    }
  }
  return out;
}

std::vector<std::string> segments_of(const std::string& pattern, std::string_view whole,
                                     size_t offset) {
  std::vector<std::string> out;
  for (const auto& [piece, at] : split(pattern, '.')) {
    const std::string segment(piece);
    if (segment.empty()) bad(whole, offset, "an empty segment");
    if (segment != "**" && segment.find("**") != std::string::npos) {
      bad(whole, offset,
          fmt::format("`**` must be a segment of its own, not part of `{}`,", segment));
    }
    out.push_back(segment);
  }
  return out;
}

}  // namespace

Selector Selector::parse(std::string_view text) {
  Selector out;
  out.text_ = text;
  check_braces(text);
  size_t ignored = 0;
  const std::string_view bare = trimmed(text, ignored);
  if (bare.empty() || bare == "\"\"") {
    out.patterns_.emplace_back();
    return out;
  }
  for (const auto& [piece, at] : split(text, ',')) {
    size_t offset = at;
    const std::string item(trimmed(piece, offset));
    if (item.empty()) bad(text, offset, "an empty item");
    if (item == "\"\"") {
      out.patterns_.emplace_back();
      continue;
    }
    for (const std::string& pattern : expand(item, text, offset)) {
      out.patterns_.push_back(segments_of(pattern, text, offset));
    }
    if (out.patterns_.size() > kMaxPatterns) bad(text, offset, "too many alternatives");
  }
  return out;
}

std::vector<Selector> Selector::patterns() const {
  std::vector<Selector> out;
  for (const Segments& pattern : patterns_) {
    Selector& one = out.emplace_back();
    one.text_ = fmt::format("{}", fmt::join(pattern, "."));
    one.patterns_ = {pattern};
  }
  return out;
}

namespace {

std::vector<std::string_view> dotted(std::string_view path) {
  std::vector<std::string_view> out;
  if (path.empty()) return out;
  for (const auto& [piece, at] : split(path, '.')) out.push_back(piece);
  return out;
}

bool matches_alone(const std::vector<std::vector<std::string>>& patterns,
                   const std::vector<std::string_view>& segments, size_t depth,
                   std::string_view type, std::string_view root_class) {
  // Ancestors between the root and the module have no known type: none is ever called "".
  const std::string own(type), root(root_class), unknown;
  std::vector<const std::string*> types(depth + 1, &unknown);
  types.front() = &root;
  types.back() = &own;
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& p) {
    return glob_path(p, 0, segments, 0) || glob_type(p, segments, types);
  });
}

}  // namespace

bool Selector::matches_module(std::string_view path, std::string_view type,
                              std::string_view root_class) const {
  const auto segments = dotted(path);
  return matches_alone(patterns_, segments, segments.size(), type, root_class);
}

bool Selector::matches_tensor(std::string_view module_path, std::string_view module_type,
                              std::string_view name, std::string_view root_class) const {
  auto segments = dotted(module_path);
  const size_t depth = segments.size();
  segments.push_back(name);
  return matches_alone(patterns_, segments, depth, module_type, root_class);
}

}  // namespace nnm
