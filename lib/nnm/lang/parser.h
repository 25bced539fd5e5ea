// Parser: recursive descent over the tokens of one piece of code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nnm/lang/lexer.h"

namespace nnm::lang {

/// Reads one piece of code: an expression, a statement, a header. All members throw SyntaxError.
class Parser {
 public:
  explicit Parser(const Located& code, int insert_depth = 0)
      : code_(code), tokens_(tokenize(code, insert_depth)), insert_depth_(insert_depth) {}

  /// An expression, pipes included.
  ExprRef expression();
  /// One statement that is not a header.
  Statement statement();
  /// What a `for` binds, up to `in`.
  Target loop_target();
  /// `condition [, text]`.
  void requirement(ExprRef& condition, std::optional<Template>& text);
  /// `left = right`.
  void equation(ExprRef& left, ExprRef& right);
  /// `dim, dim …`, null for `*`; to the end of the code.
  std::vector<ExprRef> dims();

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool accept(const char* token);
  /// Takes the token; else fails with what was expected after `after`.
  void expect(const char* token, const char* help = "");
  bool at_end() const { return peek().kind == Token::Kind::end; }
  /// Fails with a fitting message unless all tokens were taken.
  void expect_end();
  [[noreturn]] void fail(const Token& at, std::string message, std::string help = {},
                         const char* code = "E0201") const;
  /// The token in words: "`)`", "the end".
  static std::string words(const Token& t);

 private:
  using Node = std::shared_ptr<Expr>;
  class Deeper;

  ExprRef conditional();
  ExprRef disjunction();
  ExprRef conjunction();
  ExprRef negation();
  ExprRef comparison();
  ExprRef sum();
  ExprRef term();
  ExprRef unary();
  ExprRef power();
  ExprRef postfix();
  ExprRef primary();
  // Those that go on with an expression know where it begins.
  ExprRef pipe_into(ExprRef left, size_t begin);
  ExprRef part_of(ExprRef e, size_t begin);
  ExprRef attribute(ExprRef of, size_t begin);
  ExprRef call(ExprRef callee, size_t begin);
  ExprRef index(ExprRef of, size_t begin);
  ExprRef subscript();
  ExprRef parenthesized();
  ExprRef bracketed();
  ExprRef comprehension(ExprRef element, size_t begin);
  ExprRef word();
  Expr::Arg argument();
  std::string comparison_operator();
  void check_identity(const std::string& op, const Expr& right) const;
  void close(const char* bracket, size_t open);

  std::string python_statement() const;
  Statement return_statement();
  Statement require_statement();
  Statement assignment();
  std::vector<ExprRef> expression_list(const char* stop);
  Target target_of(const Expr& e) const;

  Node make(Expr::Kind kind, size_t begin);
  /// Ends the node's span behind the last token that was taken.
  ExprRef done(Node node, size_t begin);
  size_t last_end() const { return at_ == 0 ? 0 : tokens_[at_ - 1].end; }

  const Located& code_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t nodes_ = 0;
  int depth_ = 0;
  int insert_depth_;  ///< of `${…}` around the code
};

/// A key that starts a nested block: `for t in e`, `if e`, `elif e`, `else`.
struct Header {
  enum class Kind : uint8_t { loop, branch, elif, otherwise };
  Kind kind = Kind::loop;
  Target target;  ///< loop
  ExprRef value;  ///< the iterable or the condition
  Span span;
};
/// Whether a key is meant as a header (also a wrong one: `while x`, `else if x`).
bool is_header(std::string_view key);
/// Reads one; what is wrong with it goes into `d`.
std::optional<Header> read_header(const Located& key, Diagnostics& d);

}  // namespace nnm::lang
