// Rendering of diagnostics.
#include "nnm/base/diagnostic.h"

#include <algorithm>

namespace nnm {
namespace {

constexpr const char* kBold = "\033[1m";
constexpr const char* kRed = "\033[1;31m";
constexpr const char* kYellow = "\033[1;33m";
constexpr const char* kBlue = "\033[1;34m";
constexpr const char* kOff = "\033[0m";

bool continues(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// Tabs become one space and control characters a mark, so that the carets stand where they should.
std::string printable(std::string_view line) {
  std::string out;
  for (char c : line) out += c == '\t' ? ' ' : static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

int code_points(std::string_view s) {
  return static_cast<int>(std::count_if(s.begin(), s.end(), [](char c) { return !continues(c); }));
}

std::string frame(const Span& s, const char* blue, const char* red, const char* off) {
  const std::string number = std::to_string(s.line);
  const std::string gutter(number.size(), ' ');
  const std::string line = printable(s.file->line(s.line));
  const int width = code_points(line);
  const int from = std::max(1, std::min(s.column, width + 1));
  const int to = std::max(from + 1, std::min(s.end_column, width + 1));
  std::string out = fmt::format("{}{}--> {}{}:{}:{}\n", gutter, blue, off, s.file->path, s.line, s.column);
  out += fmt::format("{}{} |{}\n", blue, gutter, off);
  out += fmt::format("{}{} |{} {}\n", blue, number, off, line);
  out += fmt::format("{}{} |{} {}{}{}{}\n", blue, gutter, off, std::string(static_cast<size_t>(from - 1), ' '), red,
                     std::string(static_cast<size_t>(to - from), '^'), off);
  return out;
}

std::string render_one(const Diagnostic& d, bool colour) {
  const char* off = colour ? kOff : "";
  const char* blue = colour ? kBlue : "";
  const char* red = !colour ? "" : d.is_warning() ? kYellow : kRed;
  std::string out = fmt::format("{}{}{}{}{}: {}{}\n", red, d.is_warning() ? "warning" : "error",
                                d.code.empty() ? "" : fmt::format("[{}]", d.code), off, colour ? kBold : "",
                                d.message, off);
  std::string gutter = "  ";
  if (d.span) {
    out += frame(d.span, blue, red, off);
    gutter = std::string(std::to_string(d.span.line).size() + 1, ' ');
  }
  if (!d.help.empty()) out += fmt::format("{}{}={} help: {}\n", gutter, blue, off, d.help);
  for (const Note& n : d.notes) {
    out += fmt::format("{}{}={} note: {}", gutter, blue, off, n.text);
    if (n.span) out += fmt::format(" ({}:{}:{})", n.span.file->path, n.span.line, n.span.column);
    out += '\n';
  }
  return out;
}

}  // namespace

SourceFile::SourceFile(std::string p, std::string t) : path(std::move(p)), text(std::move(t)) {
  line_starts.push_back(0);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') line_starts.push_back(i + 1);
  }
}

std::string_view SourceFile::line(int number) const {
  if (number < 1 || static_cast<size_t>(number) > line_starts.size()) return {};
  const size_t start = line_starts[static_cast<size_t>(number) - 1];
  const size_t end = std::min(text.find('\n', start), text.size());
  std::string_view l(text.data() + start, end - start);
  if (!l.empty() && l.back() == '\r') l.remove_suffix(1);
  return l;
}

Diagnostic& Diagnostics::add(Diagnostic d) {
  all_.push_back(std::move(d));
  return all_.back();
}

bool Diagnostics::has_errors() const {
  return std::any_of(all_.begin(), all_.end(), [](const Diagnostic& d) { return !d.is_warning(); });
}

std::string Diagnostics::render(bool colour) const {
  std::string out;
  size_t errors = 0, hidden = 0;
  for (const Diagnostic& d : all_) {
    if (!d.is_warning() && ++errors > kMaxErrors) {
      ++hidden;
      continue;
    }
    out += render_one(d, colour);
  }
  if (hidden) out += fmt::format("… and {} more error{}\n", hidden, hidden == 1 ? "" : "s");
  return out;
}

void Diagnostics::throw_if_errors() const {
  if (has_errors()) throw DiagnosticError(*this);
}

DiagnosticError::DiagnosticError(Diagnostics d)
    : Error(ErrorKind::config,
            [&] {
              for (const Diagnostic& x : d.all()) {
                if (!x.is_warning()) return x.message;
              }
              return std::string("invalid configuration");
            }()),
      diagnostics(std::move(d)) {}

}  // namespace nnm
