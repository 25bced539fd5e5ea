// Renders diagnostics as a compiler does: message, place, source line, carets, help, notes.
#include "nnm/base/diagnostic.h"

#include <algorithm>

#include "nnm/base/text.h"

namespace nnm {

namespace {

bool starts_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

bool same(const Span& a, const Span& b) {
  return a.file == b.file && a.line == b.line && a.column == b.column &&
         a.end_column == b.end_column;
}

bool same(const Note& a, const Note& b) { return a.text == b.text && same(a.span, b.span); }

bool same(const Diagnostic& a, const Diagnostic& b) {
  return a.code == b.code && a.message == b.message && same(a.span, b.span) && a.help == b.help &&
         std::equal(a.notes.begin(), a.notes.end(), b.notes.begin(), b.notes.end(),
                    [](const Note& x, const Note& y) { return same(x, y); });
}

}  // namespace

SourceFile::SourceFile(std::string path_, std::string text_)
    : path(std::move(path_)), text(std::move(text_)), line_starts{0} {
  // A byte order mark is none of the text: columns count from behind it.
  if (text.starts_with("\xef\xbb\xbf")) line_starts[0] = 3;
  size_t points = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i % kBlock == 0) points_.push_back(points);
    points += starts_point(text[i]);
    if (text[i] == '\n') line_starts.push_back(i + 1);
  }
  points_.push_back(points);  // of a text that ends with a block
}

size_t SourceFile::code_points_before(size_t offset) const {
  offset = std::min(offset, text.size());
  const size_t block = offset / kBlock;
  size_t points = points_[block];
  for (size_t i = block * kBlock; i < offset; ++i) points += starts_point(text[i]);
  return points;
}

std::string_view SourceFile::line(int number) const {
  if (number < 1 || static_cast<size_t>(number) > line_starts.size()) return {};
  const size_t begin = line_starts[static_cast<size_t>(number) - 1];
  const bool last = static_cast<size_t>(number) == line_starts.size();
  size_t end = last ? text.size() : line_starts[static_cast<size_t>(number)] - 1;
  if (end > begin && text[end - 1] == '\r') --end;
  return std::string_view(text).substr(begin, end - begin);
}

// What two readers of one place find is told once; beyond those that are shown nobody looks.
Diagnostic& Diagnostics::add(Diagnostic d) {
  const auto end = all_.begin() + static_cast<long>(std::min(all_.size(), kMaxErrors));
  const auto known =
      std::find_if(all_.begin(), end, [&](const Diagnostic& x) { return d.span && same(x, d); });
  return known == end ? all_.emplace_back(std::move(d)) : *known;
}

bool Diagnostics::has_errors() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& d) { return !d.is_warning(); });
}

void Diagnostics::throw_if_errors() const {
  if (has_errors()) throw DiagnosticError(*this);
}

namespace {

constexpr int kMaxColumns = 160;  // of a source line; longer ones are cut around the caret

std::vector<std::string> code_points(std::string_view line) {
  std::vector<std::string> out;
  for (char c : line) {
    const auto u = static_cast<unsigned char>(c);
    if ((u & 0xc0) == 0x80 && !out.empty()) out.back() += c;
    else out.emplace_back(1, c);
  }
  for (std::string& point : out)
    if (point != "\t" && escape_terminal(point) != point)
      point = "\xef\xbf\xbd";  // U+FFFD: a terminal must not obey a config's text
  return out;
}

struct Palette {
  const char *severity, *bold, *gutter, *reset;
};

Palette palette(bool colour, bool warning) {
  if (!colour) return {"", "", "", ""};
  return {warning ? "\x1b[1;33m" : "\x1b[1;31m", "\x1b[1m", "\x1b[1;34m", "\x1b[0m"};
}

/// Continuation lines of a text stand below its first; what a terminal would obey is written out.
std::string indented(std::string_view text, size_t columns) {
  std::string out;
  for (size_t begin = 0, end = 0; end != text.npos; begin = end + 1) {
    end = text.find('\n', begin);
    if (begin > 0) out.append("\n").append(columns, ' ');
    out += escape_terminal(text.substr(begin, end - begin));
  }
  return out;
}

void render_source(std::string& out, const Span& span, size_t width, const Palette& p) {
  const std::vector<std::string> points = code_points(span.file->line(span.line));
  const int length = static_cast<int>(points.size());
  const int column = std::clamp(span.column, 1, length + 1) - 1;
  const int last = std::max(column + 1, std::min(span.end_column - 1, length));
  int from = 0, to = length;
  if (length > kMaxColumns) {
    from = std::clamp(column - kMaxColumns / 3, 0, length - kMaxColumns);
    to = from + kMaxColumns;
  }
  std::string text = from > 0 ? "…" : "", carets = from > 0 ? " " : "";
  for (int i = from; i < to; ++i) {
    text += points[static_cast<size_t>(i)];
    if (i < column) carets += points[static_cast<size_t>(i)] == "\t" ? '\t' : ' ';
  }
  if (to < length) text += "…";
  carets.append(static_cast<size_t>(std::max(1, std::min(last, std::max(to, column + 1)) - column)),
                '^');
  const std::string pad(width + 1, ' ');
  out += fmt::format("{}{}|{}\n", p.gutter, pad, p.reset);
  out += fmt::format("{}{:>{}} |{} {}\n", p.gutter, span.line, width, p.reset, text);
  out += fmt::format("{}{}|{} {}{}{}\n", p.gutter, pad, p.reset, p.severity, carets, p.reset);
}

std::string place(const Span& span) {
  if (span.line < 1) return escape_terminal(span.file->path);
  return fmt::format("{}:{}:{}", escape_terminal(span.file->path), span.line, span.column);
}

void render_one(std::string& out, const Diagnostic& d, bool colour) {
  const Palette p = palette(colour, d.is_warning());
  const char* word = d.is_warning() ? "warning" : "error";
  const std::string code = d.code.empty() ? "" : fmt::format("[{}]", d.code);
  out += fmt::format("{}{}{}{}{}: {}{}\n", p.severity, word, code, p.reset, p.bold,
                     indented(d.message, 2), p.reset);
  const size_t width = d.span ? std::to_string(d.span.line).size() : 1;
  const std::string pad(width + 1, ' ');
  if (d.span) {
    out += fmt::format("{}{}-->{} {}\n", p.gutter, pad.substr(1), p.reset, place(d.span));
    if (d.span.line >= 1) render_source(out, d.span, width, p);
  }
  const auto remark = [&](const char* label, const std::string& text) {
    const size_t columns = width + 5 + std::string_view(label).size();
    out += fmt::format("{}{}={} {}{}:{} {}\n", p.gutter, pad, p.reset, p.bold, label, p.reset,
                       indented(text, columns));
  };
  if (!d.help.empty()) remark("help", d.help);
  for (const Note& note : d.notes) {
    remark("note", note.span ? fmt::format("{} ({})", note.text, place(note.span)) : note.text);
  }
}

}  // namespace

std::string Diagnostics::render(bool colour) const {
  std::string out;
  size_t errors = 0;
  for (const Diagnostic& d : all_) {
    if (!d.is_warning() && ++errors > kMaxErrors) continue;
    if (!out.empty()) out += '\n';
    render_one(out, d, colour);
  }
  if (errors > kMaxErrors) {
    const size_t more = errors - kMaxErrors;
    out += fmt::format("\n… {} more error{}\n", more, more == 1 ? "" : "s");
  }
  return out;
}

DiagnosticError::DiagnosticError(Diagnostics d, ErrorKind kind)
    : Error(kind, d.render()), diagnostics(std::move(d)) {}

}  // namespace nnm
