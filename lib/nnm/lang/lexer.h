// Lexer: the tokens of the language's code, with their places.
#pragma once

#include <string>
#include <vector>

#include "nnm/lang/ast.h"

namespace nnm::lang {

/// Thrown by the lexer and the parser at the first error of one piece of code, and caught where
/// that piece was asked for.
struct SyntaxError {
  Diagnostic diagnostic;
};

struct Token {
  enum class Kind : uint8_t { end, literal, text, name, keyword, op };
  Kind kind = Kind::end;
  size_t begin = 0, end = 0;  ///< in the code
  std::string text;           ///< keyword, op; name without `${}`
  Value value;                ///< literal: number, duration, string without `${}`
  Template name;              ///< name; text: a string literal with `${}`

  bool is(const char* s) const { return (kind == Kind::op || kind == Kind::keyword) && text == s; }
};

/// The tokens of a code text, the last one `end`. Throws SyntaxError. `depth` counts the `${}`
/// that the code stands in.
std::vector<Token> tokenize(const Located& code, int depth = 0);

/// The offset behind the `}` that closes the `${` whose content starts at `begin`, or npos.
size_t end_of_insert(std::string_view text, size_t begin);

/// What to say where code ends too early because YAML takes ` #` in it for a comment; else "".
std::string comment_advice(const Located& code);

/// What to say of a word that could not be read as a unit: behind a number, or, for a unit, behind
/// something else; else "".
std::string unit_advice(const std::string& word, bool behind_number);

/// Whether the word is reserved or a literal of the language (`for`, `none`, `True`).
bool is_reserved(std::string_view word);

/// A whole code text as one expression, or text with `${…}`; both throw SyntaxError.
ExprRef read_expr(const Located& code, int depth = 0);
Template read_template(const Located& text, int depth = 0);

}  // namespace nnm::lang
