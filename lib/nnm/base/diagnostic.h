// Diagnostics: errors that point at a place in a text file, rendered as a compiler does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nnm/base/error.h"

namespace nnm {

/// A text that was read, kept for error messages.
struct SourceFile {
  std::string path;  ///< as the user named it
  std::string text;  ///< UTF-8
  std::vector<size_t> line_starts;
  SourceFile(std::string path, std::string text);
  std::string_view line(int number) const;  ///< 1-based, without the newline; "" beyond the end
  /// Code points in text[0, offset).
  size_t code_points_before(size_t offset) const;

 private:
  // Code points before every block of the text: a long line must not make each place a long count.
  static constexpr size_t kBlock = 256;
  std::vector<size_t> points_;
};
using SourceRef = std::shared_ptr<const SourceFile>;

/// A place in a source: line and columns count from 1, columns in code points; end is exclusive.
struct Span {
  SourceRef file;
  int line = 0, column = 0, end_column = 0;
  explicit operator bool() const { return file != nullptr; }
};

struct Note {
  std::string text;
  Span span;  ///< optional
};

struct Diagnostic {
  std::string code;  ///< "E0303"; warnings "W…"
  std::string message;
  Span span;
  std::string help;
  std::vector<Note> notes;
  bool is_warning() const { return !code.empty() && code[0] == 'W'; }
};

/// All independent errors of one phase; `kMaxErrors` are shown.
class Diagnostics {
 public:
  static constexpr size_t kMaxErrors = 20;
  Diagnostic& add(Diagnostic d);
  bool has_errors() const;
  const std::vector<Diagnostic>& all() const { return all_; }
  /// `error[E0303]: …` with `-->`, source line, carets, help and notes; ANSI colours if asked.
  std::string render(bool colour = false) const;
  /// Throws DiagnosticError if there are errors.
  void throw_if_errors() const;

 private:
  std::vector<Diagnostic> all_;
};

struct DiagnosticError : Error {
  explicit DiagnosticError(Diagnostics d, ErrorKind kind = ErrorKind::config);
  Diagnostics diagnostics;
};

}  // namespace nnm
