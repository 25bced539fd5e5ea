// The parser of classes: arguments with types, inputs with dims, and the keys of a class.
#include <algorithm>
#include <array>
#include <cctype>

#include "nnm/base/literal.h"
#include "nnm/lang/parser_block.h"
#include "nnm/lang/python_advice.h"

namespace nnm::lang {

bool is_plain_name(std::string_view name) {
  const auto start = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto follow = [&](char c) { return start(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && start(name.front()) && std::all_of(name.begin(), name.end(), follow) &&
         !is_reserved(name);
}

size_t find_outside(std::string_view text, char c, size_t from) {
  int depth = 0;
  char quote = 0;
  for (size_t i = from; i < text.size(); ++i) {
    const char x = text[i];
    if (quote) {
      if (x == quote) quote = 0;
    } else if (depth == 0 && x == c) {
      return i;
    } else if (x == '"' || x == '\'') {
      quote = x;
    } else if (x == '(' || x == '[' || x == '{') {
      ++depth;
    } else if (x == ')' || x == ']' || x == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

namespace {

size_t trimmed_end(std::string_view text, size_t end) {
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\n')) --end;
  return end;
}

/// What Python and other tools call the types.
std::string type_advice(std::string_view type) {
  struct Known {
    const char *from, *to;
  };
  static constexpr std::array kKnown = {
      Known{"integer", "int"},   Known{"long", "int"},        Known{"double", "float"},
      Known{"number", "float"},  Known{"real", "float"},      Known{"string", "str"},
      Known{"boolean", "bool"},  Known{"list", "int[]"},      Known{"tuple", "int[]"},
      Known{"List", "int[]"},    Known{"Tuple", "int[]"},     Known{"class", "module"},
      Known{"Module", "module"}, Known{"nn.Module", "module"}};
  for (const Known& k : kKnown) {
    if (type.starts_with(k.from)) return fmt::format("write `{}`", k.to);
  }
  if (!type.empty() && (type[0] == '-' || (type[0] >= '0' && type[0] <= '9'))) {
    return fmt::format("an argument has a type before its default: `int = {}`", type);
  }
  return "";
}

void read_type(ArgDecl& arg, const Located& code, Diagnostics& d) {
  const std::string& type = code.text();
  std::string_view bare = type;
  const bool optional = bare.ends_with('?');
  if (optional) bare.remove_suffix(1);
  if (bare == "module" || bare == "module[]") {
    arg.is_class = true;
  }
  if (const char c = type.empty() ? '\0' : type[0]; c == '_' || !std::isalpha(c)) {
    return void(
        d.add({"E0209", fmt::format("`{}` is no type", type), code.span(), type_advice(type), {}}));
  }
  try {
    arg.type = ArgType::parse(type);
  } catch (const Error& e) {
    const std::string advice = type_advice(type);
    d.add({"E0209", e.what(), code.span(), advice.empty() ? e.hint() : advice, {}});
  }
}

ArgDecl read_arg(const Tree::Entry& e, Diagnostics& d) {
  ArgDecl arg;
  arg.name = e.key.text();
  arg.span = e.key.span();
  const auto error = [&](const Span& span, std::string message, std::string help) {
    d.add({"E0209", std::move(message), span, std::move(help), {}});
  };
  if (!is_plain_name(arg.name)) {
    error(arg.span, fmt::format("`{}` cannot be the name of an argument", arg.name),
          "a name has letters, digits and `_`, and is no reserved word");
  }
  if (!e.value.is_scalar()) {
    error(e.value.is_null() ? arg.span : e.value.span,
          fmt::format("the type of `{}` is missing", arg.name),
          "write `name: int`, `name: float = 0.1`, `name: int[] = [1, 2]`; inside `{…}` types and "
          "lists with brackets need quotes");
    return arg;
  }
  const Located& code = e.value.scalar;
  const size_t equals = find_outside(code.text(), '=');
  const size_t end = trimmed_end(code.text(), std::min(equals, code.text().size()));
  const Located type = code.part(0, end);
  arg.type_span = type.span();
  read_type(arg, type, d);
  if (equals == std::string::npos) return arg;
  size_t begin = equals + 1;
  while (begin < code.text().size() && code.text()[begin] == ' ') ++begin;
  if (begin == code.text().size()) {
    error(code.span(equals, equals + 1), fmt::format("`{}` has no default after `=`", arg.name),
          "leave the `=` away, or write `= none`");
    return arg;
  }
  arg.fallback = parse_expr(code.part(begin, code.text().size()), d);
  return arg;
}

/// What to say of a text that is no type of an input: `f32(B, 10)` has the wrong brackets.
std::string type_help(const std::string& text, const char* form,
                      const std::vector<std::string>& types) {
  const size_t open = text.find('(');
  if (open != text.npos &&
      std::find(types.begin(), types.end(), text.substr(0, open)) != types.end())
    return form;
  return fmt::format("dtypes are {}", fmt::join(types, ", "));
}

InputDecl read_input(const Tree::Entry& e, Diagnostics& d) {
  InputDecl in;
  in.name = e.key.text();
  in.span = e.key.span();
  const auto error = [&](const Span& span, std::string message, std::string help) {
    d.add({"E0210", std::move(message), span, std::move(help), {}});
  };
  if (!is_plain_name(in.name)) {
    error(in.span, fmt::format("`{}` cannot be the name of an input", in.name),
          "a name has letters, digits and `_`, and is no reserved word");
  }
  const char* form = "an input is `x: f32[B, 3, H, W]`, an optional one `y: i64[B]?`";
  if (!e.value.is_scalar()) {
    error(e.value.is_null() ? in.span : e.value.span,
          fmt::format("the type of input `{}` is missing", in.name), form);
    return in;
  }
  const Located& code = e.value.scalar;
  const std::string& text = code.text();
  size_t end = trimmed_end(text, text.size());
  if (end > 0 && text[end - 1] == '?') {
    in.optional = true;
    end = trimmed_end(text, end - 1);
  }
  const size_t open = text.find('[');
  const size_t type_end = trimmed_end(text, std::min(open, end));
  const std::string type = text.substr(0, type_end);
  const Value dtype = find_dtype(type);
  if (dtype.is_none()) {
    static const std::vector<std::string> kTypes(std::begin(kDTypeNames), std::end(kDTypeNames));
    std::string near = nearest(type, kTypes);
    if (type == "int" || type == "long") near = "i64";
    if (type == "float" || type == "Tensor") near = "f32";
    error(code.span(0, type_end), fmt::format("unknown dtype `{}`", type),
          near.empty() ? type_help(type, form, kTypes) : fmt::format("did you mean `{}`?", near));
    return in;
  }
  in.dtype = dtype.dtype();
  const size_t close = text.rfind(']', end);
  if (open == std::string::npos || open > end || close == std::string::npos || close < open) {
    error(code.span(), fmt::format("the shape of input `{}` is missing", in.name), form);
    return in;
  }
  if (close + 1 != end) {
    const size_t rest = text.find_first_not_of(' ', close + 1);
    error(code.span(rest, end),
          fmt::format("unexpected `{}` behind the shape of input `{}`",
                      text.substr(rest, end - rest), in.name),
          form);
    return in;
  }
  try {
    const Located dims = code.part(open + 1, end - 1);
    in.dims = Parser(dims).dims();
  } catch (SyntaxError& s) {
    d.add(std::move(s.diagnostic));
  }
  return in;
}

void expect_map(const Tree& tree, const char* what, const char* help, Diagnostics& d) {
  if (tree.is_map() || tree.is_null()) return;
  d.add({"E0213", fmt::format("{} is a mapping", what), tree.span, help, {}});
}

std::string class_key_advice(std::string_view key, const std::vector<std::string>& known) {
  struct Known {
    const char *from, *to;
  };
  static constexpr std::array kKnown = {
      Known{"layers", "modules"},    Known{"children", "modules"},   Known{"module", "modules"},
      Known{"__init__", "modules"},  Known{"submodules", "modules"}, Known{"call", "forward"},
      Known{"parameters", "params"}, Known{"arguments", "args"},     Known{"asserts", "require"},
      Known{"assert", "require"},    Known{"vars", "let"},           Known{"tied", "tie"},
      Known{"outputs", "forward"}};
  for (const Known& k : kKnown) {
    if (key == k.from) return fmt::format("did you mean `{}`?", k.to);
  }
  if (std::string advice = python_advice(key); !advice.empty()) return advice;
  return did_you_mean(key, known, fmt::format("keys of a class are {}", fmt::join(known, ", ")));
}

}  // namespace

std::vector<ArgDecl> parse_args(const Tree& tree, Diagnostics& d) {
  expect_map(tree, "`args`", "write `name: type = default`, one a line", d);
  std::vector<ArgDecl> out;
  for (const Tree::Entry& e : tree.entries) out.push_back(read_arg(e, d));
  return out;
}

std::vector<InputDecl> parse_inputs(const Tree& tree, Diagnostics& d) {
  expect_map(tree, "`inputs`", "write `x: f32[B, 3, H, W]`, one a line", d);
  std::vector<InputDecl> out;
  for (const Tree::Entry& e : tree.entries) out.push_back(read_input(e, d));
  return out;
}

const std::vector<std::string>& class_keys() {
  static const std::vector<std::string> keys = {"doc",     "args",   "let",     "require",
                                                "modules", "params", "buffers", "tie",
                                                "init",    "freeze", "inputs",  "forward"};
  return keys;
}

namespace {

void read_class_key(ClassDef& c, const Tree::Entry& e, const TypeNames& types, Diagnostics& d) {
  const std::string& key = e.key.text();
  struct BlockKey {
    const char* key;
    BlockKind kind;
    Block ClassDef::*block;
  };
  static constexpr std::array kBlocks = {
      BlockKey{"let", BlockKind::let, &ClassDef::let},
      BlockKey{"require", BlockKind::require, &ClassDef::require},
      BlockKey{"modules", BlockKind::modules, &ClassDef::modules},
      BlockKey{"params", BlockKind::params, &ClassDef::params},
      BlockKey{"buffers", BlockKind::buffers, &ClassDef::buffers},
      BlockKey{"tie", BlockKind::tie, &ClassDef::tie},
      BlockKey{"init", BlockKind::init, &ClassDef::init},
      BlockKey{"freeze", BlockKind::freeze, &ClassDef::freeze}};
  for (const BlockKey& b : kBlocks) {
    if (key == b.key) c.*b.block = BlockReader(d, types).block(e.value, b.kind);
  }
  if (key == "inputs") {
    c.has_inputs = true;
    c.inputs = parse_inputs(e.value, d);
  } else if (key == "forward") {
    c.has_forward = true;
    c.forward = parse_statements(e.value, d);
  } else if (key == "doc") {
    c.doc = e.value.text();
  } else if (std::find(class_keys().begin(), class_keys().end(), key) == class_keys().end() &&
             !e.is_note()) {
    d.add({"E0208",
           fmt::format("class {} has no key `{}`", c.name, key),
           e.key.span(),
           class_key_advice(key, class_keys()),
           {}});
  }
}

}  // namespace

ClassDef parse_class(const Located& name, const Tree& tree, Diagnostics& d,
                     const TypeNames& types) {
  ClassDef c;
  c.name = name.text();
  c.span = name.span();
  if (!is_plain_name(c.name)) {
    d.add({"E0208",
           fmt::format("`{}` cannot be the name of a class", c.name),
           c.span,
           "a name has letters, digits and `_`, and is no reserved word",
           {}});
  }
  if (tree.is_list()) {
    d.add({"E0208",
           fmt::format("class {} is a mapping, not a list", c.name),
           tree.span,
           "write its keys one below the other, without `- `",
           {}});
    return c;
  }
  if (!tree.is_map()) {
    d.add({"E0208",
           fmt::format("class {} has no body", c.name),
           tree.is_null() ? c.span : tree.span,
           "write `modules:` and below it `name: Layer(…)`; all keys: " +
               fmt::format("{}", fmt::join(class_keys(), ", ")),
           {}});
    return c;
  }
  // An argument that is a class counts as a type in the blocks.
  TypeNames known = types;
  if (const Tree* args = tree.find("args")) c.args = parse_args(*args, d);
  for (const ArgDecl& arg : c.args) {
    if (arg.is_class) known.push_back(arg.name);
  }
  for (const Tree::Entry& e : tree.entries) read_class_key(c, e, known, d);
  return c;
}

}  // namespace nnm::lang
