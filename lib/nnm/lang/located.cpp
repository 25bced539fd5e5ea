// Located texts: from bytes of a text back to lines and columns of its source.
#include <algorithm>

#include "nnm/lang/tree.h"

namespace nnm::lang {

Span source_span(const SourceRef& file, size_t begin, size_t end) {
  if (!file) return {};
  begin = std::clamp(begin, file->line_starts[0], file->text.size());
  end = std::clamp(end, begin, file->text.size());
  const auto& starts = file->line_starts;
  const auto line = std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin();
  const size_t line_start = starts[static_cast<size_t>(line) - 1];
  const size_t line_end = line_start + file->line(static_cast<int>(line)).size();
  const size_t points = file->code_points_before(line_start);
  const auto column = [&](size_t offset) {
    return 1 + static_cast<int>(file->code_points_before(offset) - points);
  };
  return {file, static_cast<int>(line), column(begin),
          column(std::max(begin, std::min(end, line_end)))};
}

Located::Located(std::string text, SourceRef file, size_t source_offset)
    : text_(std::move(text)), file_(std::move(file)), pieces_{{0, source_offset}} {}

size_t Located::source_offset(size_t at) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), at,
                                      [](size_t a, const Piece& p) { return a < p.begin; });
  if (after == pieces_.begin()) return 0;
  const Piece& piece = *std::prev(after);
  return piece.source + (at - piece.begin);
}

Span Located::span(size_t begin, size_t end) const {
  // The end is found through the last byte, which may stand far from what follows it.
  const size_t from = source_offset(begin);
  return source_span(file_, from, end > begin ? source_offset(end - 1) + 1 : from);
}

Located Located::part(size_t begin, size_t end) const {
  Located out;
  out.file_ = file_;
  out.text_ = text_.substr(begin, end - begin);
  out.pieces_.push_back({0, source_offset(begin)});
  for (const Piece& p : pieces_) {
    if (p.begin > begin && p.begin < end) out.pieces_.push_back({p.begin - begin, p.source});
  }
  return out;
}

void Located::append(std::string_view text, size_t source_offset) {
  const bool follows = !pieces_.empty() && this->source_offset(text_.size()) == source_offset;
  if (!follows) pieces_.push_back({text_.size(), source_offset});
  text_ += text;
}

}  // namespace nnm::lang
