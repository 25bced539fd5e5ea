// The parser of statements, headers, targets, requirements, equations and dims.
#include <algorithm>

#include "nnm/base/signature.h"
#include "nnm/lang/parser.h"
#include "nnm/lang/python_advice.h"
#include "nnm/lang/yaml_errors.h"

namespace nnm::lang {

namespace {

std::string_view first_word(std::string_view s) {
  const size_t end = s.find_first_of(" \t\n(:");
  return s.substr(0, end);
}

}  // namespace

Target Parser::target_of(const Expr& e) const {
  Target t;
  t.span = e.span;
  const bool self = e.kind == Expr::Kind::attribute && e.items[0]->kind == Expr::Kind::name &&
                    e.items[0]->name.is_plain() && e.items[0]->name.plain() == "self";
  if (e.kind == Expr::Kind::name || self) {
    t.kind = self ? Target::Kind::self : Target::Kind::name;
    t.name = e.name;
    return t;
  }
  if (e.kind == Expr::Kind::tuple || e.kind == Expr::Kind::list) {
    t.kind = Target::Kind::tuple;
    for (const ExprRef& item : e.items) t.items.push_back(target_of(*item));
    return t;
  }
  std::string help = "the left side is a name, `self.name` of a buffer, or several of them";
  if (e.kind == Expr::Kind::index)
    help = "tensors are not written into: `where`, `cat` make new ones";
  if (e.kind == Expr::Kind::literal) help = "this word has a meaning of its own";
  if (e.kind == Expr::Kind::binary || e.kind == Expr::Kind::compare) help = "a comparison is `==`";
  throw SyntaxError{{"E0205", "this cannot be assigned to", e.span, std::move(help), {}}};
}

Target Parser::loop_target() {
  const size_t begin = peek().begin;
  std::vector<Target> targets;
  bool comma = false;
  do {
    if (!targets.empty() && peek().is("in")) break;
    const Token& t = peek();
    if (t.kind == Token::Kind::keyword || t.kind == Token::Kind::literal) {
      fail(t, fmt::format("expected a name to bind, got {}", words(t)),
           "write `for i in range(n)` or `for i, (a, b) in enumerate(pairs(xs))`");
    }
    // A name or parentheses; no comparison, so that `in` is left to the loop.
    targets.push_back(target_of(*postfix()));
    if (targets.back().kind == Target::Kind::self) fail(t, "a loop binds plain names");
    comma = accept(",");
  } while (comma);
  if (targets.size() == 1 && !comma) return targets[0];
  Target tuple;
  tuple.kind = Target::Kind::tuple;
  tuple.items = std::move(targets);
  tuple.span = code_.span(begin, last_end());
  return tuple;
}

std::vector<ExprRef> Parser::expression_list(const char* stop) {
  std::vector<ExprRef> out;
  do {
    if (!out.empty() && (at_end() || peek().is(stop))) {
      // `x, = f()` makes a tuple of one.
      return out;
    }
    out.push_back(expression());
  } while (accept(","));
  return out;
}

Statement Parser::return_statement() {
  Statement s;
  s.kind = Statement::Kind::ret;
  ++at_;
  if (at_end()) {
    fail(peek(), "`return` needs a value", "a forward returns a tensor, several, or named ones");
  }
  bool unnamed = false;
  do {
    if (at_end()) break;
    const Token& t = peek();
    if (peek(1).is("=") && t.kind == Token::Kind::name) {
      if (t.text.empty()) fail(t, "an output has a plain name");
      if (std::find(s.names.begin(), s.names.end(), t.text) != s.names.end()) {
        fail(t, fmt::format("output `{}` is returned twice", t.text));
      }
      s.names.push_back(t.text);
      at_ += 2;
    } else {
      unnamed = true;
    }
    if (unnamed && !s.names.empty()) {
      fail(t, "named and unnamed outputs are mixed", "name all of them, or none", "E0205");
    }
    s.values.push_back(expression());
  } while (accept(","));
  return s;
}

void Parser::requirement(ExprRef& condition, std::optional<Template>& text) {
  condition = expression();
  if (accept(",")) {
    const Token& t = peek();
    if (t.kind == Token::Kind::text) {
      text = t.name;
    } else if (t.kind == Token::Kind::literal && t.value.is(Value::Kind::string)) {
      text = Template{{{t.value.string(), nullptr}}, code_.span(t.begin, t.end)};
    } else {
      fail(t, fmt::format("expected a text in quotes, got {}", words(t)),
           "write `condition, \"text with ${values}\"`");
    }
    ++at_;
  }
  expect_end();
}

void Parser::equation(ExprRef& left, ExprRef& right) {
  left = expression();
  expect("=", "write `lm_head.weight = transformer.wte.weight`");
  right = expression();
  expect_end();
}

std::vector<ExprRef> Parser::dims() {
  std::vector<ExprRef> out;
  while (!at_end()) {
    if (peek().is("*") && (peek(1).is(",") || peek(1).kind == Token::Kind::end)) {
      ++at_;
      out.push_back(nullptr);
    } else {
      out.push_back(expression());
    }
    if (!accept(",")) break;
  }
  expect_end();
  return out;
}

namespace {

/// What to write for an expression as a statement; of calls that Python makes for their effect,
/// what has the same.
std::string effect_advice(const Expr& e) {
  const Expr& callee = e.kind == Expr::Kind::call ? *e.items[0] : e;
  if (callee.kind == Expr::Kind::attribute && callee.name.is_plain()) {
    const std::string of = expr_text(*callee.items[0]), &method = callee.name.plain();
    if (method == "append" && e.args.size() == 1)
      return fmt::format("write `{} += [{}]`", of, expr_text(*e.args[0].value));
    if (method == "extend" && e.args.size() == 1)
      return fmt::format("write `{} += {}`", of, expr_text(*e.args[0].value));
    if (method.ends_with('_')) return fmt::format("write `{} = {}`", of, expr_text(e));
  }
  return "write `name = …` to keep its value, or `return …`";
}

}  // namespace

Statement Parser::assignment() {
  Statement s;
  std::vector<ExprRef> left = expression_list("=");
  const bool tuple = left.size() > 1 || (at_ > 0 && tokens_[at_ - 1].is(","));
  const Token& t = peek();
  if (t.is("+=")) {
    s.kind = Statement::Kind::augment;
    s.op = "+";
    s.op_span = code_.span(t.begin, t.end);
    if (tuple) fail(t, "`+=` takes one name on its left");
  } else if (!t.is("=")) {
    if (!at_end()) expect_end();
    throw SyntaxError{
        {"E0205", "this statement does nothing", left[0]->span, effect_advice(*left[0]), {}}};
  }
  ++at_;
  for (const ExprRef& e : left) s.targets.push_back(target_of(*e));
  if (tuple && s.targets.size() == 1) {
    Target one;
    one.kind = Target::Kind::tuple;
    one.span = s.targets[0].span;
    one.items = {std::move(s.targets[0])};
    s.targets = {std::move(one)};
  }
  const size_t begin = peek().begin;
  std::vector<ExprRef> right = expression_list("");
  if (peek().is("=")) {
    fail(peek(), "one assignment a statement", "a comparison is `==`", "E0205");
  }
  if (right.size() == 1 && !tokens_[at_ - 1].is(",")) {
    s.values = std::move(right);
  } else {
    Node node = make(Expr::Kind::tuple, begin);
    node->items = std::move(right);
    s.values = {done(std::move(node), begin)};
  }
  return s;
}

/// What to write for a statement of Python's, "" for one that may be ours.
std::string Parser::python_statement() const {
  // A call or a part of something is an expression, whatever it is called.
  const bool word = peek().kind == Token::Kind::name && !peek(1).is("(") && !peek(1).is(".") &&
                    !peek(1).is(",") && !peek(1).is("[");
  return word || peek().text == "super" || peek().text == "print" ? python_advice(code_.text())
                                                                  : "";
}

Statement Parser::statement() {
  Statement s;
  const Token& t = peek();
  if (t.is("return")) {
    s = return_statement();
  } else if (t.is("require")) {
    ++at_;
    s.kind = Statement::Kind::require;
    ExprRef condition;
    requirement(condition, s.text);
    s.values = {std::move(condition)};
  } else if (t.is("for") || t.is("if") || t.is("elif") || t.is("else")) {
    fail(t, fmt::format("`{}` has no block", t.text),
         fmt::format("end it with `:` and put the statements below: `- {} …:` and `    - x = …`",
                     t.text),
         "E0206");
  } else if (t.is("let")) {
    fail(t, "`let` stands in a block of children", "in forward write `name = expression`", "E0205");
  } else if (const std::string advice = python_statement(); !advice.empty()) {
    fail(t, fmt::format("`{}` is no statement", t.text), advice, "E0205");
  } else {
    s = assignment();
  }
  expect_end();
  s.span = code_.span();
  return s;
}

bool is_header(std::string_view key) {
  const std::string_view word = first_word(key);
  if (word == "else") return true;
  if (word != "for" && word != "if" && word != "elif" && word != "while" && word != "elsif") {
    return false;
  }
  return word.size() < key.size();
}

namespace {

Header header_of(const Located& key) {
  const std::string_view word = first_word(key.text());
  const auto fail = [&](std::string message, std::string help) {
    throw SyntaxError{{"E0206", std::move(message), key.span(), std::move(help), {}}};
  };
  if (word == "while")
    fail("there is no `while`", "loops are `for i in range(n):`; they always end");
  if (word == "elsif") fail("`elsif` is not known", "write `elif condition:`");
  Header h;
  h.span = key.span();
  Parser p(key);
  if (p.accept("else")) {
    h.kind = Header::Kind::otherwise;
    if (p.peek().is("if")) fail("`else if` is written `elif`", "write `elif condition:`");
    if (!p.at_end()) fail("`else` has no condition", "write `elif condition:`, or `else:` alone");
    return h;
  }
  if (p.accept("for")) {
    h.target = p.loop_target();
    p.expect("in", "write `for i in range(n):`");
  } else {
    h.kind = p.accept("if") ? Header::Kind::branch : Header::Kind::elif;
    if (h.kind == Header::Kind::elif) p.expect("elif");
  }
  h.value = p.expression();
  p.expect_end();
  return h;
}

}  // namespace

std::optional<Header> read_header(const Located& key, Diagnostics& d) {
  try {
    return header_of(key);
  } catch (SyntaxError& e) {
    d.add(std::move(e.diagnostic));
    return std::nullopt;
  }
}

namespace {

class StatementReader {
 public:
  explicit StatementReader(Diagnostics& d) : d_(d) {}

  void read(const Tree& tree, Statements& out) {
    if (tree.is_list()) {
      for (const Tree& item : tree.items) read_item(item, out);
    } else {
      read_item(tree, out);
    }
  }

 private:
  void error(const char* code, const Span& span, std::string message, std::string help = {}) {
    d_.add({code, std::move(message), span, std::move(help), {}});
  }

  void read_item(const Tree& item, Statements& out) {
    switch (item.kind) {
      case Tree::Kind::null:
        return error("E0205", item.span, "a statement is missing here", "write `- x = …`");
      case Tree::Kind::list:
        return error("E0205", item.span, "a list stands where a statement should",
                     "a statement that starts with `[` or `- ` is put into quotes");
      case Tree::Kind::scalar: return read_code(item, out);
      case Tree::Kind::map: break;
    }
    for (const Tree::Entry& e : item.entries) {
      if (is_header(e.key.text())) {
        read_block(e, out);
      } else {
        misread(e);
      }
    }
  }

  void read_code(const Tree& item, Statements& out) {
    try {
      out.push_back(Parser(item.scalar).statement());
    } catch (SyntaxError& e) {
      // Lines of a block text are one statement where they read as one.
      if (item.style == Tree::Style::block && item.text().find('\n') < item.text().size() - 1)
        return error("E0205", item.span, "several statements in one text",
                     "a forward is a list: one `- statement` a line");
      d_.add(std::move(e.diagnostic));
    }
  }

  /// A `: ` in a statement makes YAML read a mapping.
  void misread(const Tree::Entry& e) {
    const std::string& key = e.key.text();
    if (key.find("lambda") != key.npos) {
      return error("E0201", e.key.span(), "there is no `lambda`", "write a class of `define:`");
    }
    if (const std::string advice = mapping_advice(key); !advice.empty()) {
      return error("E0113", e.key.span(), "YAML reads a mapping here, because of `: `", advice);
    }
    if (std::string advice = python_advice(key); !advice.empty()) {
      return error("E0205", e.key.span(), fmt::format("`{}` is no statement", first_word(key)),
                   advice);
    }
    if (const size_t question = key.find(" ? "); e.value.is_scalar() && question != key.npos) {
      // `y = c ? a : b`
      const size_t word = key.rfind("= ", question), begin = word == key.npos ? 0 : word + 2;
      return error(
          "E0205", e.key.span(), "there is no `?` that chooses",
          fmt::format("write `{}{} if {} else {}`", key.substr(0, begin), key.substr(question + 3),
                      key.substr(begin, question - begin), e.value.text()));
    }
    if (e.value.is_scalar()) {
      // `return: y`, `y: Tensor = f(x)` and `y: f(x)`.
      const std::string& value = e.value.text();
      const size_t equals = value.find(" = ");
      const std::string right = equals == value.npos ? value : value.substr(equals + 3);
      return error("E0205", e.key.span(), "a mapping stands where a statement should",
                   key == "return" ? fmt::format("write `return {}`", right)
                                   : fmt::format("write `{} = {}`", key, right));
    }
    error("E0205", e.key.span(), "a mapping stands where a statement should",
          did_you_mean(first_word(key), {"for", "if", "elif", "else"},
                       "a statement is `x = …` or `return …`; nested blocks start with `for …:` "
                       "or `if …:`; a text with `: ` in it needs quotes"));
  }

  void read_block(const Tree::Entry& e, Statements& out) {
    std::optional<Header> h = read_header(e.key, d_);
    Statements body;
    if (e.value.is_null()) {
      error("E0206", e.key.span(), fmt::format("`{}:` has no block", e.key.text()),
            "put its statements below, indented: `    - x = …`");
    } else {
      read(e.value, body);
    }
    if (!h) return;
    Statement s;
    s.span = h->span;
    if (h->kind == Header::Kind::loop) {
      s.kind = Statement::Kind::loop;
      s.targets = {std::move(h->target)};
      s.values = {std::move(h->value)};
      s.body = std::move(body);
      out.push_back(std::move(s));
      return;
    }
    Branch<Statements> branch{std::move(h->value), std::move(body), h->span};
    if (h->kind == Header::Kind::branch) {
      s.kind = Statement::Kind::branch;
      s.branches.push_back(std::move(branch));
      out.push_back(std::move(s));
      return;
    }
    const bool open = !out.empty() && out.back().kind == Statement::Kind::branch &&
                      out.back().branches.back().condition;
    if (open) {
      out.back().branches.push_back(std::move(branch));
    } else {
      error("E0206", e.key.span(), fmt::format("`{}` without an `if` before it", e.key.text()),
            "it follows right after the block of an `if` or `elif`");
    }
  }

  Diagnostics& d_;
};

}  // namespace

Statements parse_statements(const Tree& tree, Diagnostics& d) {
  Statements out;
  StatementReader(d).read(tree, out);
  return out;
}

}  // namespace nnm::lang
