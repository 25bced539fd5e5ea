// The parser of expressions.
#include "nnm/lang/parser.h"

#include <algorithm>
#include <array>
#include <limits>

#include "nnm/base/literal.h"
#include "nnm/base/signature.h"

namespace nnm::lang {

namespace {

constexpr int kMaxDepth = 100;      // of nesting
constexpr size_t kMaxNodes = 4000;  // of one expression: long chains are deep trees

/// Whether it joins two values.
bool is_operator(const Token& t) {
  static constexpr std::array kOperators = {"+",  "-",  "*",  "/", "//", "%",  "@",   "**", "==",
                                            "!=", "<=", ">=", "<", ">",  "in", "and", "or"};
  return std::any_of(kOperators.begin(), kOperators.end(), [&](const char* o) { return t.is(o); });
}

}  // namespace

/// Counts the nesting for the time of a call.
class Parser::Deeper {
 public:
  explicit Deeper(Parser& p) : parser_(p) {
    if (++p.depth_ > kMaxDepth) p.fail(p.peek(), "code nested too deeply", "", "E0216");
  }
  ~Deeper() { --parser_.depth_; }
  Deeper(const Deeper&) = delete;

 private:
  Parser& parser_;
};

std::string Parser::words(const Token& t) {
  switch (t.kind) {
    case Token::Kind::end: return "the end";
    case Token::Kind::literal: return t.value.config_text();
    case Token::Kind::text: return "a string";
    case Token::Kind::name: return t.text.empty() ? "a name" : fmt::format("`{}`", t.text);
    default: return fmt::format("`{}`", t.text);
  }
}

void Parser::fail(const Token& at, std::string message, std::string help, const char* code) const {
  size_t begin = at.begin, end = at.end;
  // The end of a text is shown right behind its last token.
  if (at.kind == Token::Kind::end && at_ > 0) begin = end = tokens_[at_ - 1].end;
  throw SyntaxError{{code, std::move(message), code_.span(begin, end), std::move(help), {}}};
}

bool Parser::accept(const char* token) {
  if (!peek().is(token)) return false;
  ++at_;
  return true;
}

void Parser::expect(const char* token, const char* help) {
  if (accept(token)) return;
  fail(peek(), fmt::format("expected `{}`, got {}", token, words(peek())), help);
}

void Parser::expect_end() {
  if (at_end()) return;
  const Token& t = peek();
  std::string help;
  if (t.is("=")) help = "a comparison is written `==`";
  if (t.is(":"))
    help = insert_depth_ > 0 ? "`${…}` has no format behind a `:`: it puts in the value alone"
                             : "keyword arguments are written `name=value`";
  if (t.is("]") || t.is(")")) help = "it closes nothing";
  if (t.is(",")) help = "several values are a list: `[a, b]`";
  if (t.is("for")) help = "a list of results is written `[f(x) for x in xs]`";
  if (t.kind == Token::Kind::literal && at_ > 0 && tokens_[at_ - 1].kind == Token::Kind::name)
    help = fmt::format("arguments stand in parentheses: `{}({}, …)`", tokens_[at_ - 1].text,
                       t.value.config_text());
  if (at_ > 0 && code_.span(t.begin, t.end).line > code_.span(last_end() - 1, last_end()).line) {
    help = "this line goes on with the one before it; a statement of its own starts with `- `";
  }
  if (t.kind == Token::Kind::name && at_ > 0 && tokens_[at_ - 1].kind == Token::Kind::name) {
    help = "an operator or a comma is missing between two names";
    if (at_ == 1) help = did_you_mean(tokens_[0].text, {"return", "require"}, help);
  }
  if (const Token* before = at_ > 0 ? &tokens_[at_ - 1] : nullptr) {
    const auto is_duration = [](const Token& one) { return one.value.is(Value::Kind::duration); };
    if (is_duration(t) && is_duration(*before))
      help = fmt::format("several lengths are a list: `[{}, {}]`", before->value.config_text(),
                         t.value.config_text());
    const std::string unit = t.kind == Token::Kind::name
                                 ? unit_advice(t.text, before->value.is_number())
                                 : std::string();
    if (!unit.empty()) help = unit;
  }
  fail(t, fmt::format("unexpected {}", words(t)), help);
}

Parser::Node Parser::make(Expr::Kind kind, size_t begin) {
  if (++nodes_ > kMaxNodes) {
    fail(peek(), "this expression is too long", "split it into several", "E0216");
  }
  auto node = std::make_shared<Expr>();
  node->kind = kind;
  node->op_span = code_.span(begin, begin);
  return node;
}

ExprRef Parser::done(Node node, size_t begin) {
  node->span = code_.span(begin, last_end());
  return node;
}

// From the loosest to the tightest.

ExprRef Parser::expression() {
  const Deeper deeper(*this);
  const size_t begin = peek().begin;
  ExprRef e = conditional();
  const bool pipes = peek().is("|>");
  while (peek().is("|>")) e = pipe_into(std::move(e), begin);
  if (pipes && peek().is("if")) {
    fail(peek(), "`|>` binds more loosely than `if`",
         "put parentheses: `(a |> f) if c else d`, or `a |> (f if c else g)(b)` as `f(a) if c "
         "else g(a)`");
  }
  if (pipes && is_operator(peek())) {
    fail(peek(), fmt::format("`|>` binds more loosely than `{}`", peek().text),
         fmt::format("put parentheses: `(x |> f) {} y`", peek().text));
  }
  return e;
}

ExprRef Parser::pipe_into(ExprRef left, size_t begin) {
  const Token& bar = peek();
  ++at_;
  const size_t right_begin = peek().begin;
  if (peek().kind != Token::Kind::name) {
    fail(peek(),
         fmt::format("`|>` needs a function or a child on its right, got {}", words(peek())),
         "write `x |> f` or `x |> f(b, k=1)`, which is f(x, b, k=1)");
  }
  ExprRef right = part_of(word(), right_begin);
  if (peek().is("(")) right = call(std::move(right), right_begin);
  Node node = make(Expr::Kind::pipe, begin);
  node->op_span = code_.span(bar.begin, bar.end);
  node->items = {std::move(left), std::move(right)};
  // What follows the call belongs to its result: `x |> lstm(h0)[0]`.
  ExprRef e = part_of(done(std::move(node), begin), begin);
  if (peek().is("("))
    fail(peek(), "a pipe goes into one call",
         "put parentheses around the pipe: `(x |> f()).g()`, or go on with `|> g`");
  return e;
}

/// Attributes and subscripts of e, as many as follow.
ExprRef Parser::part_of(ExprRef e, size_t begin) {
  while (true) {
    if (peek().is(".")) {
      e = attribute(std::move(e), begin);
    } else if (peek().is("[")) {
      e = index(std::move(e), begin);
    } else {
      return e;
    }
  }
}

ExprRef Parser::conditional() {
  const size_t begin = peek().begin;
  ExprRef value = disjunction();
  if (!peek().is("if")) return value;
  const Deeper deeper(*this);
  Node node = make(Expr::Kind::conditional, begin);
  node->op_span = code_.span(peek().begin, peek().end);
  ++at_;
  ExprRef condition = disjunction();
  if (!accept("else")) {
    fail(peek(), fmt::format("expected `else`, got {}", words(peek())),
         "in an expression both cases are needed: `a if c else b`");
  }
  node->items = {std::move(value), std::move(condition), conditional()};
  return done(std::move(node), begin);
}

ExprRef Parser::disjunction() {
  const size_t begin = peek().begin;
  ExprRef first = conjunction();
  if (!peek().is("or")) return first;
  Node node = make(Expr::Kind::logic, begin);
  node->op = "or";
  node->op_span = code_.span(peek().begin, peek().end);
  node->items.push_back(std::move(first));
  while (accept("or")) node->items.push_back(conjunction());
  return done(std::move(node), begin);
}

ExprRef Parser::conjunction() {
  const size_t begin = peek().begin;
  ExprRef first = negation();
  if (!peek().is("and")) return first;
  Node node = make(Expr::Kind::logic, begin);
  node->op = "and";
  node->op_span = code_.span(peek().begin, peek().end);
  node->items.push_back(std::move(first));
  while (accept("and")) node->items.push_back(negation());
  return done(std::move(node), begin);
}

ExprRef Parser::negation() {
  if (!peek().is("not")) return comparison();
  const Deeper deeper(*this);
  const Token& t = peek();
  ++at_;
  Node node = make(Expr::Kind::unary, t.begin);
  node->op = "not";
  node->op_span = code_.span(t.begin, t.end);
  node->items = {negation()};
  return done(std::move(node), t.begin);
}

/// The operator here, "" if there is none.
std::string Parser::comparison_operator() {
  for (const char* op : {"==", "!=", "<=", ">=", "<", ">", "in"}) {
    if (accept(op)) return op;
  }
  if (peek().is("not") && peek(1).is("in")) {
    at_ += 2;
    return "not in";
  }
  if (accept("is")) return accept("not") ? "is not" : "is";
  return "";
}

void Parser::check_identity(const std::string& op, const Expr& right) const {
  const bool none = right.kind == Expr::Kind::literal && right.value.is_none();
  if (none || !op.starts_with("is")) return;
  throw SyntaxError{{"E0201",
                     fmt::format("`{}` compares with none only", op),
                     right.span,
                     fmt::format("write `{}`", op == "is" ? "==" : "!="),
                     {}}};
}

ExprRef Parser::comparison() {
  const size_t begin = peek().begin;
  ExprRef first = sum();
  Node node;
  while (true) {
    const Token& t = peek();
    std::string op = comparison_operator();
    if (op.empty()) break;
    if (!node) {
      node = make(Expr::Kind::compare, begin);
      node->op_span = code_.span(t.begin, last_end());
      node->items.push_back(first);
    }
    node->items.push_back(sum());
    check_identity(op, *node->items.back());
    node->ops.push_back(std::move(op));
  }
  return node ? done(std::move(node), begin) : first;
}

ExprRef Parser::sum() {
  const size_t begin = peek().begin;
  ExprRef left = term();
  while (peek().is("+") || peek().is("-")) {
    const Token& t = peek();
    ++at_;
    Node node = make(Expr::Kind::binary, begin);
    node->op = t.text;
    node->op_span = code_.span(t.begin, t.end);
    node->items = {std::move(left), term()};
    left = done(std::move(node), begin);
  }
  return left;
}

ExprRef Parser::term() {
  const size_t begin = peek().begin;
  ExprRef left = unary();
  while (true) {
    const Token& t = peek();
    if (!t.is("*") && !t.is("/") && !t.is("//") && !t.is("%") && !t.is("@")) return left;
    ++at_;
    Node node = make(Expr::Kind::binary, begin);
    node->op = t.text;
    node->op_span = code_.span(t.begin, t.end);
    node->items = {std::move(left), unary()};
    left = done(std::move(node), begin);
  }
}

ExprRef Parser::unary() {
  const Token& t = peek();
  if (!t.is("-") && !t.is("+")) return power();
  const Deeper deeper(*this);
  ++at_;
  Node node = make(Expr::Kind::unary, t.begin);
  node->op = t.text;
  node->op_span = code_.span(t.begin, t.end);
  node->items = {unary()};
  return done(std::move(node), t.begin);
}

ExprRef Parser::power() {
  const size_t begin = peek().begin;
  ExprRef base = postfix();
  if (!peek().is("**")) return base;
  const Deeper deeper(*this);
  const Token& t = peek();
  ++at_;
  Node node = make(Expr::Kind::binary, begin);
  node->op = "**";
  node->op_span = code_.span(t.begin, t.end);
  node->items = {std::move(base), unary()};
  return done(std::move(node), begin);
}

ExprRef Parser::postfix() {
  const size_t begin = peek().begin;
  ExprRef e = part_of(primary(), begin);
  while (peek().is("(")) e = part_of(call(std::move(e), begin), begin);
  return e;
}

ExprRef Parser::attribute(ExprRef of, size_t begin) {
  ++at_;
  const Token& t = peek();
  // A keyword may be the name of a child or a method of something.
  if (t.kind != Token::Kind::name && t.kind != Token::Kind::keyword) {
    fail(t, fmt::format("expected a name after `.`, got {}", words(t)));
  }
  ++at_;
  if (of->kind == Expr::Kind::name && of->name.is_plain() && of->name.plain() == "torch") {
    if (Value dtype = find_dtype("torch." + std::string(t.text)); !dtype.is_none()) {
      Node literal = make(Expr::Kind::literal, t.begin);
      literal->value = std::move(dtype);
      return done(std::move(literal), begin);
    }
  }
  Node node = make(Expr::Kind::attribute, begin);
  node->op_span = code_.span(t.begin, t.end);
  node->name = t.name;
  if (t.kind == Token::Kind::keyword) node->name = {{{t.text, nullptr}}, node->op_span};
  node->items = {std::move(of)};
  return done(std::move(node), begin);
}

void Parser::close(const char* bracket, size_t open) {
  if (accept(bracket)) return;
  const Token& t = peek();
  if (t.kind == Token::Kind::end) {
    throw SyntaxError{{"E0201",
                       fmt::format("`{}` is never closed", code_.text()[open]),
                       code_.span(open, open + 1),
                       comment_advice(code_),
                       {}}};
  }
  std::string help;
  if (t.is("=")) help = "only a plain name can be a keyword; a comparison is `==`";
  if (t.is(":")) help = "keyword arguments are written `name=value`";
  if (t.is("for")) help = "put the comprehension into brackets: `[f(x) for x in xs]`";
  if (t.kind == Token::Kind::literal || t.kind == Token::Kind::text || t.kind == Token::Kind::name)
    help = "a comma is missing before it";
  fail(t, fmt::format("expected `,` or `{}`, got {}", bracket, words(t)), help);
}

Expr::Arg Parser::argument() {
  const Token& t = peek();
  if (t.is("*") || t.is("**")) {
    fail(t, "arguments cannot be unpacked",
         t.is("*")
             ? "a list is given as it is: `reshape(x, x.shape)`; layers of a loop stand below "
               "`for i in range(n):`"
             : "keyword arguments are written out: `name=value`");
  }
  Expr::Arg arg;
  if (peek(1).is("=") && (t.kind == Token::Kind::name || t.kind == Token::Kind::keyword)) {
    if (t.text.empty()) fail(t, "the name of a keyword argument is a plain name");
    arg.name = t.text;
    arg.name_span = code_.span(t.begin, t.end);
    at_ += 2;
  }
  arg.value = expression();
  return arg;
}

ExprRef Parser::call(ExprRef callee, size_t begin) {
  const size_t open = peek().begin;
  ++at_;
  Node node = make(Expr::Kind::call, begin);
  bool keywords = false;
  while (!peek().is(")") && !at_end()) {
    const Token& first = peek();
    Expr::Arg arg = argument();
    if (arg.name.empty() && keywords) {
      fail(first, "positional argument follows keyword argument",
           "positional arguments come first; keyword arguments are written `name=value`");
    }
    for (const Expr::Arg& other : node->args) {
      if (arg.name.empty() || other.name != arg.name) continue;
      fail(first, fmt::format("keyword argument repeated: {}", arg.name));
    }
    keywords |= !arg.name.empty();
    node->args.push_back(std::move(arg));
    if (!accept(",")) break;
  }
  close(")", open);
  node->op_span = callee->kind == Expr::Kind::attribute ? callee->op_span : callee->span;
  node->items = {std::move(callee)};
  return done(std::move(node), begin);
}

ExprRef Parser::subscript() {
  const size_t begin = peek().begin;
  const auto part = [&]() -> ExprRef {
    if (peek().is(":") || peek().is("]") || peek().is(",")) return nullptr;
    return expression();
  };
  ExprRef start = part();
  if (!peek().is(":")) return start;
  Node node = make(Expr::Kind::slice, begin);
  ++at_;
  ExprRef stop = part(), step;
  if (accept(":")) step = part();
  node->items = {std::move(start), std::move(stop), std::move(step)};
  return done(std::move(node), begin);
}

ExprRef Parser::index(ExprRef of, size_t begin) {
  const size_t open = peek().begin;
  ++at_;
  std::vector<ExprRef> parts;
  bool comma = false;
  while (!peek().is("]") && !at_end()) {
    ExprRef part = subscript();
    if (!part) fail(peek(), fmt::format("expected a subscript, got {}", words(peek())));
    parts.push_back(std::move(part));
    comma = accept(",");
    if (!comma) break;
  }
  close("]", open);
  if (parts.empty()) fail(tokens_[at_ - 1], "expected a subscript in `[]`");
  Node node = make(Expr::Kind::index, begin);
  node->op_span = code_.span(open, last_end());
  ExprRef subscripts = parts[0];
  if (parts.size() > 1 || comma) {
    Node tuple = make(Expr::Kind::tuple, open);
    tuple->items = std::move(parts);
    tuple->span = node->op_span;
    subscripts = tuple;
  }
  node->items = {std::move(of), std::move(subscripts)};
  return done(std::move(node), begin);
}

ExprRef Parser::primary() {
  const Token& t = peek();
  if (t.kind == Token::Kind::literal || t.kind == Token::Kind::text) {
    ++at_;
    Node node = make(t.kind == Token::Kind::text ? Expr::Kind::text : Expr::Kind::literal, t.begin);
    node->value = t.value;
    node->name = t.name;
    return done(std::move(node), t.begin);
  }
  if (t.kind == Token::Kind::name) return word();
  if (t.is("(")) return parenthesized();
  if (t.is("[")) return bracketed();
  if (accept("...")) {
    Node node = make(Expr::Kind::literal, t.begin);
    node->value = Value::ellipsis();
    return done(std::move(node), t.begin);
  }
  if (t.kind == Token::Kind::keyword) {
    fail(t, fmt::format("`{}` is a reserved word and no value", t.text),
         "a child or argument of that name needs another one", "E0204");
  }
  if (t.is("=")) fail(t, "unexpected `=`", "a comparison is written `==`");
  fail(t, fmt::format("expected a value, got {}", words(t)));
}

ExprRef Parser::parenthesized() {
  const size_t open = peek().begin;
  ++at_;
  std::vector<ExprRef> items;
  bool comma = false;
  while (!peek().is(")") && !at_end()) {
    items.push_back(expression());
    comma = accept(",");
    if (!comma) break;
  }
  close(")", open);
  if (items.size() == 1 && !comma) return items[0];
  Node node = make(Expr::Kind::tuple, open);
  node->items = std::move(items);
  return done(std::move(node), open);
}

ExprRef Parser::bracketed() {
  const size_t open = peek().begin;
  ++at_;
  std::vector<ExprRef> items;
  while (!peek().is("]") && !at_end()) {
    items.push_back(expression());
    if (items.size() == 1 && peek().is("for")) return comprehension(std::move(items[0]), open);
    if (!accept(",")) break;
  }
  close("]", open);
  Node node = make(Expr::Kind::list, open);
  node->items = std::move(items);
  return done(std::move(node), open);
}

ExprRef Parser::comprehension(ExprRef element, size_t begin) {
  Node node = make(Expr::Kind::comprehension, begin);
  node->op_span = code_.span(peek().begin, peek().end);
  ++at_;
  node->target = loop_target();
  expect("in");
  // As in Python, `if` here starts the condition.
  ExprRef iterable = disjunction(), condition;
  if (accept("if")) condition = disjunction();
  if (peek().is("for") || peek().is("if")) {
    fail(peek(), "a comprehension has one `for` and at most one `if`",
         "nest a second comprehension in it, or join conditions with `and`");
  }
  close("]", begin);
  node->items = {std::move(element), std::move(iterable), std::move(condition)};
  return done(std::move(node), begin);
}

ExprRef Parser::word() {
  const Token& t = peek();
  ++at_;
  Node node = make(Expr::Kind::literal, t.begin);
  const bool called = peek().is("(");
  const std::string& s = t.text;
  constexpr double inf = std::numeric_limits<double>::infinity();
  if (s == "true" || s == "True") {
    node->value = true;
  } else if (s == "false" || s == "False") {
    node->value = false;
  } else if (s == "none" || s == "None" || s == "null") {
    node->value = Value();
  } else if (s == "inf") {
    node->value = inf;
  } else if (s == "nan") {
    node->value = std::numeric_limits<double>::quiet_NaN();
  } else if (Value dtype = called || s.empty() ? Value() : find_dtype(s); !dtype.is_none()) {
    node->value = std::move(dtype);
  } else {
    node->kind = Expr::Kind::name;
    node->name = t.name;
  }
  node->op_span = code_.span(t.begin, t.end);
  return done(std::move(node), t.begin);
}

ExprRef read_expr(const Located& code, int depth) {
  Parser parser(code, depth);
  if (parser.at_end()) parser.fail(parser.peek(), "expected an expression, got nothing");
  ExprRef e = parser.expression();
  parser.expect_end();
  return e;
}

ExprRef parse_expr(const Located& code, Diagnostics& d) {
  try {
    return read_expr(code);
  } catch (SyntaxError& e) {
    d.add(std::move(e.diagnostic));
    return nullptr;
  }
}

Template parse_template(const Located& text, Diagnostics& d) {
  try {
    return read_template(text);
  } catch (SyntaxError& e) {
    d.add(std::move(e.diagnostic));
    return {{{text.text(), nullptr}}, text.span()};
  }
}

}  // namespace nnm::lang
