// Lines up the value of a YAML scalar with its source: quotes, escapes, folding, indentation.
#include "nnm/lang/scalar_place.h"

#include <algorithm>

#include "nnm/base/text.h"

namespace nnm::lang {

namespace {

class Aligner {
 public:
  Aligner(const SourceRef& file, size_t at, const std::string& value)
      : file_(file), text_(file->text), value_(value), at_(at), out_("", file, at) {}

  void flow(char quote);
  void block();
  Located take() {
    flush();
    return std::move(out_);
  }
  size_t at() const { return at_; }

 private:
  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  static bool blank(char c) { return c == ' ' || c == '\t'; }
  static bool line_break(char c) { return c == '\n' || c == '\r'; }

  /// Takes n bytes of the value that stand at this place of the source.
  void put(size_t n, size_t source) {
    n = std::min(n, value_.size() - done_);
    if (run_ == 0 || source != run_source_ + run_) {
      flush();
      run_source_ = source;
    }
    run_ += n;
    done_ += n;
  }
  void flush() {
    if (run_ > 0) out_.append(value_.substr(done_ - run_, run_), run_source_);
    run_ = 0;
  }
  /// Moves over blanks and line breaks; the number of line breaks.
  size_t skip_folded() {
    size_t breaks = 0;
    for (; at_ < text_.size() && (blank(text_[at_]) || line_break(text_[at_])); ++at_) {
      breaks += text_[at_] == '\n';
    }
    return breaks;
  }
  bool at_fold() const {
    size_t i = at_;
    while (i < text_.size() && blank(text_[i])) ++i;
    return i < text_.size() && line_break(text_[i]);
  }
  size_t white_run() const {
    size_t n = 0;
    while (done_ + n < value_.size() && (value_[done_ + n] == ' ' || value_[done_ + n] == '\n')) {
      ++n;
    }
    return n;
  }
  bool escape();
  void skip_indent(size_t indent) {
    for (size_t i = 0; i < indent && here() == ' '; ++i) ++at_;
  }
  size_t block_indent() const;

  const SourceRef& file_;
  std::string_view text_;
  const std::string& value_;
  size_t at_, done_ = 0;
  size_t run_ = 0, run_source_ = 0;  // the bytes before done_ that are not in out_ yet
  Located out_;
};

/// An escape of a double-quoted scalar.
bool Aligner::escape() {
  if (here() != '\\' || at_ + 1 >= text_.size()) return false;
  const char c = text_[at_ + 1];
  if (line_break(c)) {
    ++at_;
    skip_folded();
    return true;
  }
  const size_t length = c == 'x' ? 4 : c == 'u' ? 6 : c == 'U' ? 10 : 2;
  put(std::max<size_t>(1, utf8_length(std::string_view(value_).substr(done_))), at_);
  at_ += length;
  return true;
}

/// Plain (quote 0) and quoted scalars, from behind the opening quote on.
void Aligner::flow(char quote) {
  while (done_ < value_.size() && at_ < text_.size()) {
    if (quote == '"' && escape()) continue;
    if (quote == '\'' && here() == '\'') {
      put(1, at_);
      at_ += 2;
    } else if (at_fold()) {
      const size_t from = at_, breaks = skip_folded();
      put(std::min(white_run(), std::max<size_t>(1, breaks - 1)), from);
    } else if (here() == value_[done_]) {
      put(1, at_++);
    } else {
      break;
    }
  }
}

size_t Aligner::block_indent() const {
  size_t spaces = 0;
  for (size_t i = at_; i < text_.size(); ++i) {
    if (text_[i] == ' ') {
      ++spaces;
    } else if (line_break(text_[i])) {
      spaces = 0;
    } else {
      break;
    }
  }
  return spaces;
}

/// Literal and folded scalars, from the indicator on.
void Aligner::block() {
  size_t explicit_indent = 0;
  for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
    if (text_[at_] == '#') break;
    if (text_[at_] >= '1' && text_[at_] <= '9') {
      explicit_indent = static_cast<size_t>(text_[at_] - '0');
    }
  }
  at_ = std::min(text_.find('\n', at_), text_.size() - 1) + 1;
  // An explicit number counts from the parent's indentation, which the first line tells as well.
  const size_t indent = block_indent();
  if (explicit_indent > 0 && indent > explicit_indent && value_.starts_with(' ')) return;
  skip_indent(indent);
  while (done_ < value_.size() && at_ < text_.size()) {
    if (here() == '\r') {
      ++at_;
    } else if (here() == '\n') {
      const size_t from = at_;
      size_t breaks = 0;
      while (here() == '\n' || here() == '\r') {
        breaks += here() == '\n';
        ++at_;
        skip_indent(indent);
      }
      put(std::min(white_run(), breaks), from);
    } else if (here() == value_[done_]) {
      put(1, at_++);
    } else {
      break;
    }
  }
}

}  // namespace

size_t skip_to_content(std::string_view text, size_t at) {
  while (at < text.size()) {
    const char c = text[at];
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at;
    } else {
      break;
    }
  }
  return at;
}

PlacedScalar place_scalar(const SourceRef& file, size_t mark, const std::string& value,
                          bool plain) {
  const std::string& text = file->text;
  size_t at = std::min(mark, text.size());
  // The mark stands at an anchor or tag, if there is one.
  while (at < text.size() && (text[at] == '&' || text[at] == '!')) {
    at = std::min(text.find_first_of(" \t\r\n", at), text.size());
    at = skip_to_content(text, at);
  }
  PlacedScalar out;
  out.begin = at;
  const char first = at < text.size() ? text[at] : '\0';
  const bool quoted = !plain && (first == '"' || first == '\'');
  const bool block = !plain && (first == '|' || first == '>');
  out.style = quoted ? Tree::Style::quoted : block ? Tree::Style::block : Tree::Style::plain;
  Aligner aligner(file, quoted ? at + 1 : at, value);
  block ? aligner.block() : aligner.flow(quoted ? first : '\0');
  out.text = aligner.take();
  out.end = aligner.at() + (quoted ? 1 : 0);
  const size_t placed = out.text.text().size();
  if (placed < value.size()) out.text.append(value.substr(placed), at);
  return out;
}

}  // namespace nnm::lang
