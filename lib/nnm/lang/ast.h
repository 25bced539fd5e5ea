// The language's syntax trees: expressions, statements, blocks and classes, with their places.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/base/signature.h"
#include "nnm/base/value.h"
#include "nnm/lang/tree.h"

namespace nnm::lang {

struct Expr;
using ExprRef = std::shared_ptr<const Expr>;

/// Text with `${…}` in it: literal pieces and expressions in turn. `$$` has become `$`.
struct Template {
  struct Piece {
    std::string text;  ///< where `expr` is null
    ExprRef expr;
  };
  std::vector<Piece> pieces;
  Span span;
  bool is_plain() const { return pieces.empty() || (pieces.size() == 1 && !pieces[0].expr); }
  /// The text of a plain template.
  const std::string& plain() const;
};

/// What a for loop, a comprehension or an assignment binds: a name, or a tuple of targets.
struct Target {
  enum class Kind : uint8_t { name, self, tuple };  ///< self: `self.name`, a buffer
  Kind kind = Kind::name;
  Template name;
  std::vector<Target> items;
  Span span;
};

struct Expr {
  enum class Kind : uint8_t {
    literal,        ///< value (numbers, strings without `${}`, true, none, durations, dtypes, ...)
    text,           ///< name: a string literal with `${}`
    name,           ///< name
    list,           ///< items
    tuple,          ///< items
    comprehension,  ///< items[0] is the element; target, items[1] the iterable, items[2] the
                    ///< condition
    unary,          ///< op, items[0]: "-" "+" "not"
    binary,         ///< op, items: + - * / // % @ **
    compare,      ///< chained: items has one more than ops: == != < <= > >= in "not in" is "is not"
    logic,        ///< op "and" / "or", items (two or more, short-circuit)
    conditional,  ///< items: value, condition, otherwise
    call,         ///< items[0] is the callee; args
    index,        ///< items[0][items[1]]; a tuple of subscripts is a tuple
    slice,        ///< items: start, stop, step; null where absent (only inside index)
    attribute,    ///< items[0].name
    pipe  ///< items: left, right; right is a callee (name, attribute, index) or a call of one
  };
  struct Arg {
    std::string name;  ///< keyword, or "" for a positional one
    ExprRef value;
    Span name_span;
  };

  Kind kind = Kind::literal;
  Span span;     ///< of the whole expression
  Span op_span;  ///< of the operator, name or attribute that an error should point at
  Value value;
  Template name;
  std::string op;
  std::vector<std::string> ops;
  std::vector<ExprRef> items;
  std::vector<Arg> args;
  std::optional<Target> target;
};

struct Statement;
using Statements = std::vector<Statement>;

/// `for t in e`, `if e`, `elif e`, `else` with a body of any kind.
template <class Body>
struct Branch {
  ExprRef condition;  ///< null for else
  Body body;
  Span span;  ///< of the header
};

struct Statement {
  enum class Kind : uint8_t { assign, augment, ret, require, loop, branch };
  Kind kind = Kind::assign;
  Span span;
  std::vector<Target> targets;  ///< assign (a tuple is one target each), augment, loop (one)
  std::string op;               ///< augment: "+"
  Span op_span;                 ///< augment: of `+=`
  /// assign: the value; augment: the value; ret: the values; require: the condition; loop: the
  /// iterable
  std::vector<ExprRef> values;
  std::vector<std::string> names;  ///< ret: of named values, else empty
  std::optional<Template> text;    ///< require
  Statements body;                 ///< loop
  std::vector<Branch<Statements>> branches;
};

struct Block;

/// A layer: a call string, or the mapping form `{Type: args}` / `{Type: children}`.
struct Layer {
  Span span;
  /// Of a call string: a call, or a bare name or path: an existing child once more.
  ExprRef call;
  std::string type;  ///< of the mapping form
  Span type_span;
  /// Mapping form with arguments. A name where a string is declared, and which nothing of that name
  /// is in sight of, is that string: `padding_mode: reflect`.
  std::vector<Expr::Arg> args;
  std::shared_ptr<Block> children;  ///< mapping form of Sequential, ModuleList, ModuleDict
};

/// One thing in a block of a class, in document order.
struct BlockItem {
  enum class Kind : uint8_t { let, loop, branch, entry };
  Kind kind = Kind::entry;
  Span span;

  // let
  std::vector<std::pair<Located, ExprRef>> lets;
  // loop
  std::optional<Target> target;
  ExprRef iterable;
  std::shared_ptr<Block> body;
  // branch
  std::vector<Branch<std::shared_ptr<Block>>> branches;
  // entry: what it holds depends on the block it stands in
  /// The child's, parameter's or buffer's name; a selector in init and freeze. None: positional (a
  /// list item).
  std::optional<Template> key;
  bool add_module = false;     ///< written as `add_module: [key, layer]`
  std::optional<Layer> layer;  ///< modules, children
  ExprRef value;  ///< params, buffers (value), tie (right side), init (right side), require
  ExprRef other;  ///< tie: the left side
  std::optional<Template> text;  ///< require's message
  /// params, buffers: shape, dtype, persistent, requires_grad; init: optional.
  std::vector<std::pair<std::string, ExprRef>> options;
  ExprRef init_rule;  ///< params, buffers: `init: rule`
};

struct Block {
  std::vector<BlockItem> items;
  bool positional = false;  ///< a list
  Span span;
};

/// `args: {p: "float(0..1) = 0.0"}`.
struct ArgDecl {
  std::string name;
  ArgType type;
  bool is_class = false;  ///< type `module`: a class or layer type as an argument
  ExprRef fallback;       ///< null: required
  Span span, type_span;
};

/// `inputs: {x: f32[B, 3, H, W]}`, `targets: i64[B, T]?`.
struct InputDecl {
  std::string name;
  DType dtype = DType::f32;
  std::vector<ExprRef> dims;  ///< a literal, an expression, a bare name; null for `*`
  bool optional = false;
  Span span;
};

struct Namespace;

struct ClassDef {
  std::string name, doc;
  const Namespace* home = nullptr;  ///< the file's: what its names mean
  Span span;
  std::vector<ArgDecl> args;
  Block let, require, modules, params, buffers, tie, init, freeze;  ///< empty where absent
  bool has_inputs = false, has_forward = false;
  std::vector<InputDecl> inputs;
  Statements forward;
};

/// The classes of one file, and those of the files it imports.
struct Namespace {
  std::string prefix;  ///< "rn." of `import: {rn: …}`, "" of the config itself
  std::vector<ClassDef> classes;
  std::vector<std::pair<std::string, std::shared_ptr<const Namespace>>> imports;

  /// A class by its name here: `BasicBlock`, `rn.BasicBlock`, or null.
  const ClassDef* find(std::string_view name) const;
  /// Names of all classes that can be used here.
  std::vector<std::string> names() const;
  /// The import that a name such as `rn.Resnet` starts with, or null.
  const Namespace* import_of(std::string_view name) const;
};

// The parser. Each reports what it can into `d` (E02xx) with places, and returns null or what it
// could read.

ExprRef parse_expr(const Located& code, Diagnostics& d);
Template parse_template(const Located& text, Diagnostics& d);
/// A list of statements (`forward:`), headers included.
Statements parse_statements(const Tree& tree, Diagnostics& d);
/// Names of layer types beside the registered ones: classes of `define:` and of imports.
using TypeNames = std::vector<std::string>;
/// A block of children. `types` tell a layer in mapping form from a named child in lists.
Block parse_modules(const Tree& tree, Diagnostics& d, const TypeNames& types = {});
/// `name: "type = default"` lines.
std::vector<ArgDecl> parse_args(const Tree& tree, Diagnostics& d);
std::vector<InputDecl> parse_inputs(const Tree& tree, Diagnostics& d);
/// One class of `define:`; unknown keys are reported with the nearest known one.
ClassDef parse_class(const Located& name, const Tree& tree, Diagnostics& d,
                     const TypeNames& types = {});
/// The value of `model:`: a layer, or a list of layers (a Sequential).
Layer parse_model(const Tree& tree, Diagnostics& d, const TypeNames& types = {});

/// The canonical spelling of an expression, for messages and resolved configs.
std::string expr_text(const Expr& e);
/// The same of a template: `linear_${i}`.
std::string template_text(const Template& t);

}  // namespace nnm::lang
