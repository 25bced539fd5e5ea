// The parser of blocks and layers: children, lets, requirements, parameters, ties, init rules.
#include "nnm/lang/parser_block.h"

#include <algorithm>

#include "nnm/lang/python_advice.h"
#include "nnm/lang/yaml_errors.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

namespace {

bool is_container(std::string_view type) {
  return type == "Sequential" || type == "ModuleList" || type == "ModuleDict";
}

/// What to write for a text where a block stands.
std::string block_advice(const std::string& text, BlockKind kind) {
  const std::string line = text.substr(0, text.find('\n'));
  const size_t equals = line.find('='), open = line.find('(');
  if (equals < open || !python_advice(line).empty()) return colon_advice(line, false);
  return kind == BlockKind::children ? "write one layer a line behind `- `, or `name: layer`"
                                     : "write one `name: value` a line, indented";
}

ExprRef literal(Value value, const Span& span) {
  auto e = std::make_shared<Expr>();
  e->value = std::move(value);
  e->span = e->op_span = span;
  return e;
}

}  // namespace

void BlockReader::error(const char* code, const Span& span, std::string message, std::string help) {
  d_.add({code, std::move(message), span, std::move(help), {}});
}

bool BlockReader::is_type(std::string_view name) const {
  return is_container(name) || Registry<Module>::find(name) ||
         std::find(types_.begin(), types_.end(), name) != types_.end();
}

Block BlockReader::block(const Tree& tree, BlockKind kind) {
  Block out;
  out.span = tree.span;
  switch (tree.kind) {
    case Tree::Kind::null: break;
    case Tree::Kind::map: read_map(tree, kind, out); break;
    case Tree::Kind::list:
      out.positional = true;
      for (const Tree& item : tree.items) read_item(item, kind, out);
      break;
    case Tree::Kind::scalar:
      if (kind == BlockKind::require || kind == BlockKind::tie || kind == BlockKind::freeze) {
        read_item(tree, kind, out);
      } else {
        error("E0207", tree.span, "a block stands here, not a text",
              kind == BlockKind::let ? "write `let:` and below it `name: expression`"
                                     : block_advice(tree.text(), kind));
      }
  }
  return out;
}

void BlockReader::read_map(const Tree& tree, BlockKind kind, Block& out) {
  for (const Tree::Entry& e : tree.entries) read_entry(e, kind, out);
}

void BlockReader::read_entry(const Tree::Entry& e, BlockKind kind, Block& out) {
  const std::string& key = e.key.text();
  if (is_header(key)) return read_header_block(e, kind, out);
  if (key == "let" && kind != BlockKind::let) return read_lets(e, out);
  if (key == "add_module" && is_children(kind)) return read_add_module(e, out);
  if (kind == BlockKind::let) return read_let(e, out);
  if (refuse_name(e.key, kind)) return;
  const std::string advice = mapping_advice(key);
  if (!advice.empty() || kind == BlockKind::require || kind == BlockKind::tie) {
    return error("E0113", e.key.span(), "YAML reads a mapping here, because of `: `",
                 advice.empty() ? "a list of conditions or equations stands here" : advice);
  }
  BlockItem item;
  item.span = e.key.span();
  item.key = parse_template(e.key, d_);
  read_value(e.value, kind, item);
  out.items.push_back(std::move(item));
}

/// A name that is none, in another case or language, or one that code could not say.
bool BlockReader::refuse_name(const Located& at, BlockKind kind) {
  const std::string& key = at.text();
  std::string lower = key;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool format = key.size() > 3 && key[0] == 'f' && (key[1] == '"' || key[1] == '\'');
  const bool named = is_children(kind) || kind == BlockKind::params || kind == BlockKind::buffers;
  if (format) {
    std::string name = key.substr(2, key.size() - 3);
    for (size_t i = name.find('{'); i != name.npos; i = name.find('{', i + 2))
      name.insert(i, 1, '$');
    error("E0202", at.span(), "names have no prefix `f`", fmt::format("write `{}`", name));
  } else if (is_header(lower)) {
    const size_t word = lower.find(' ');
    error(
        "E0206", at.span(), fmt::format("`{}` starts no block", key.substr(0, word)),
        fmt::format("write `{}:`", lower.substr(0, word) + key.substr(std::min(word, key.size()))));
  } else if (named && is_reserved(key) && key != "inf" && key != "nan" && key != "null") {
    error("E0204", at.span(), fmt::format("`{}` is a reserved word and no name", key),
          fmt::format("use another name, such as `{}_`", key));
  } else {
    return false;
  }
  return true;
}

/// `{type: Linear, in_features: 3}`: the form of other tools. Says what to write instead.
bool BlockReader::refuse_type_key(const Tree& tree) {
  for (const char* key : {"type", "class", "layer", "_target_"}) {
    const Tree* named = tree.find(key);
    if (!named || !named->is_scalar()) continue;
    const std::string type = named->text().substr(named->text().rfind('.') + 1);
    if (!is_type(type)) continue;
    error("E0207", named->span, fmt::format("the type of a layer is not under a key `{}`", key),
          fmt::format("write `{0}(…)`, or `{0}:` and its arguments below", type));
    return true;
  }
  return false;
}

void BlockReader::read_item(const Tree& tree, BlockKind kind, Block& out) {
  if (tree.is_map() && kind == BlockKind::children && refuse_type_key(tree)) return;
  if (tree.is_map()) {
    const bool layer = is_children(kind) && tree.entries.size() == 1 &&
                       is_type(tree.entries[0].key.text()) &&
                       !is_header(tree.entries[0].key.text());
    if (!layer) return read_map(tree, kind, out);
  }
  BlockItem item;
  item.span = tree.span;
  switch (kind) {
    case BlockKind::children:
      if (tree.is_null()) return error("E0207", tree.span, "a layer is missing here");
      item.layer = layer(tree);
      break;
    case BlockKind::require: read_requirement(tree, item); break;
    case BlockKind::tie: read_equation(tree, item); break;
    case BlockKind::freeze:
      if (!tree.is_scalar()) return error("E0207", tree.span, "expected a selector");
      item.key = parse_template(tree.scalar, d_);
      break;
    case BlockKind::modules:
      return error("E0207", tree.span, "a child needs a name",
                   "write `name: Linear(10, 20)`; layers without names stand in a `Sequential:`");
    default:
      return error("E0207", tree.span, "a list stands where names with values should",
                   "write `name: value`, without the `- `");
  }
  out.items.push_back(std::move(item));
}

void BlockReader::read_header_block(const Tree::Entry& e, BlockKind kind, Block& out) {
  std::optional<Header> h = read_header(e.key, d_);
  if (e.value.is_null()) {
    error("E0206", e.key.span(), fmt::format("`{}:` has no block", e.key.text()),
          "put its content below, indented");
  }
  auto body = std::make_shared<Block>(block(e.value, kind));
  if (!h) return;
  BlockItem item;
  item.span = h->span;
  if (h->kind == Header::Kind::loop) {
    item.kind = BlockItem::Kind::loop;
    item.target = std::move(h->target);
    item.iterable = std::move(h->value);
    item.body = std::move(body);
    out.items.push_back(std::move(item));
    return;
  }
  Branch<std::shared_ptr<Block>> branch{std::move(h->value), std::move(body), h->span};
  if (h->kind == Header::Kind::branch) {
    item.kind = BlockItem::Kind::branch;
    item.branches.push_back(std::move(branch));
    out.items.push_back(std::move(item));
    return;
  }
  const bool open = !out.items.empty() && out.items.back().kind == BlockItem::Kind::branch &&
                    out.items.back().branches.back().condition;
  if (open) {
    out.items.back().branches.push_back(std::move(branch));
  } else {
    error("E0206", e.key.span(), fmt::format("`{}` without an `if` before it", e.key.text()),
          "it follows right after the block of an `if` or `elif`");
  }
}

void BlockReader::read_lets(const Tree::Entry& e, Block& out) {
  Block lets = block(e.value, BlockKind::let);
  for (BlockItem& item : lets.items) out.items.push_back(std::move(item));
}

void BlockReader::read_let(const Tree::Entry& e, Block& out) {
  const std::string& name = e.key.text();
  if (!is_plain_name(name)) {
    return error("E0207", e.key.span(), fmt::format("`{}` is no name", name),
                 "a let is `name: expression`");
  }
  ExprRef value = code(e.value);
  if (!value) return;
  if (out.items.empty() || out.items.back().kind != BlockItem::Kind::let) {
    BlockItem item;
    item.kind = BlockItem::Kind::let;
    item.span = e.key.span();
    out.items.push_back(std::move(item));
  }
  out.items.back().lets.emplace_back(e.key, std::move(value));
}

void BlockReader::read_add_module(const Tree::Entry& e, Block& out) {
  const Tree& v = e.value;
  if (!v.is_list() || v.items.size() != 2 || !v.items[0].is_scalar()) {
    return error("E0207", v.is_null() ? e.key.span() : v.span,
                 "add_module takes a name and a layer",
                 "write `add_module: [\"linear_${i}\", Linear(a, b)]`");
  }
  BlockItem item;
  item.add_module = true;
  item.span = e.key.span();
  item.key = parse_template(v.items[0].scalar, d_);
  item.layer = layer(v.items[1]);
  out.items.push_back(std::move(item));
}

void BlockReader::read_value(const Tree& tree, BlockKind kind, BlockItem& item) {
  switch (kind) {
    case BlockKind::modules:
    case BlockKind::children:
      if (tree.is_null()) {
        return error("E0207", item.span, "this child has no layer", "write `name: Linear(10, 20)`");
      }
      item.layer = layer(tree);
      break;
    case BlockKind::params:
      read_tensor(tree, item, {"value", "shape", "dtype", "init", "requires_grad"});
      break;
    case BlockKind::buffers:
      read_tensor(tree, item, {"value", "shape", "dtype", "init", "persistent"});
      break;
    case BlockKind::init: read_tensor(tree, item, {"rule", "optional"}); break;
    case BlockKind::freeze:
      error("E0207", item.span, "freeze is a list of selectors", "write `- encoder.**`");
      break;
    default: break;
  }
}

/// `name: expression`, or a mapping with some of the keys.
void BlockReader::read_tensor(const Tree& tree, BlockItem& item,
                              const std::vector<std::string>& keys) {
  if (!tree.is_map()) {
    if (tree.is_null()) return error("E0207", item.span, "a value is missing here");
    item.value = code(tree);
    return;
  }
  for (const Tree::Entry& e : tree.entries) {
    const std::string& key = e.key.text();
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      error("E0211", e.key.span(), fmt::format("unknown key `{}`", key),
            did_you_mean(key, keys, fmt::format("keys are {}", fmt::join(keys, ", "))));
      continue;
    }
    ExprRef value = code(e.value);
    if (!value) continue;
    if (key == "value" || key == "rule") {
      item.value = std::move(value);
    } else if (key == "init") {
      item.init_rule = std::move(value);
    } else {
      item.options.emplace_back(key, std::move(value));
    }
  }
  const bool shape = std::any_of(item.options.begin(), item.options.end(),
                                 [](const auto& o) { return o.first == "shape"; });
  if (!item.value && !shape && !d_.has_errors()) {
    error("E0212", item.span, fmt::format("`{}` is missing", keys[0]),
          keys[0] == "rule" ? "write `\"selector\": {rule: zeros, optional: true}`"
                            : "write `value: expression`, or `shape: [3, 4]`");
  }
}

void BlockReader::read_requirement(const Tree& tree, BlockItem& item) {
  if (!tree.is_scalar()) {
    return error("E0207", tree.span, "expected a condition", "write `- a > b, \"text\"`");
  }
  try {
    Parser(tree.scalar).requirement(item.value, item.text);
  } catch (SyntaxError& e) {
    d_.add(std::move(e.diagnostic));
  }
}

void BlockReader::read_equation(const Tree& tree, BlockItem& item) {
  if (!tree.is_scalar()) return error("E0207", tree.span, "expected `a.weight = b.weight`");
  try {
    Parser(tree.scalar).equation(item.other, item.value);
  } catch (SyntaxError& e) {
    d_.add(std::move(e.diagnostic));
  }
}

/// What to write in place of a type that is no plain name: `nn.Linear`, `rn.Resnet`.
std::string BlockReader::type_advice(const std::string& type) const {
  const size_t dot = type.rfind('.');
  return did_you_mean(type, types_,
                      dot == type.npos ? "a layer is one `Type: {…}`"
                                       : fmt::format("write `{}`", type.substr(dot + 1)));
}

/// The `- ` in a further line of a plain text, which YAML takes for a part of the text.
Span BlockReader::list_below(const Tree& tree) {
  const Located& text = tree.scalar;
  if (tree.style != Tree::Style::plain || text.empty()) return {};
  const std::string& source = text.file()->text;
  const size_t end = text.source_offset(text.text().size() - 1);
  for (size_t at = source.find('\n', text.source_offset(0)); at < end;
       at = source.find('\n', at + 1)) {
    const size_t first = source.find_first_not_of(" \r\n", at);
    if (first < end && source.compare(first, 2, "- ") == 0) {
      return source_span(text.file(), first, first + 1);
    }
  }
  return {};
}

Layer BlockReader::layer(const Tree& tree) {
  Layer out;
  out.span = tree.span;
  if (tree.is_scalar()) {
    if (const Span list = list_below(tree); list) {
      error("E0104", list, "a list stands below a value",
            fmt::format("write `{}:`, and the list below it",
                        tree.text().substr(0, tree.text().find(' '))));
    } else {
      out.call = parse_expr(tree.scalar, d_);
    }
    return out;
  }
  if (tree.is_list()) {
    error("E0207", tree.span, "a list stands where a layer should",
          "write `Sequential:` and put the list below it");
    return out;
  }
  if (refuse_type_key(tree)) return out;
  if (tree.entries.size() != 1) {
    error("E0207", tree.span, "a layer is one `Type: {…}`",
          "for several children write `Sequential:` (or `ModuleDict:`) above them, indented");
    return out;
  }
  const Tree::Entry& e = tree.entries[0];
  out.type = e.key.text();
  out.type_span = e.key.span();
  if (is_header(out.type)) {
    error("E0207", out.type_span, "a block stands where a layer should",
          "write the loop or condition around the child, or put `Sequential:` above it");
    return out;
  }
  if (const std::string advice = mapping_advice(out.type); !advice.empty()) {
    error("E0113", out.type_span, "YAML reads a mapping here, because of `: `", advice);
    return out;
  }
  if (!is_plain_name(out.type) && !is_type(out.type)) {
    error("E0207", out.type_span, fmt::format("`{}` is no type of layer", out.type),
          type_advice(out.type));
    return out;
  }
  if (is_container(out.type)) {
    out.children = std::make_shared<Block>(block(e.value, BlockKind::children));
  } else {
    read_args(e.value, out);
  }
  return out;
}

void BlockReader::read_args(const Tree& tree, Layer& out) {
  switch (tree.kind) {
    case Tree::Kind::null: break;
    case Tree::Kind::scalar:
      error("E0207", tree.span, fmt::format("`{}` takes its arguments as a mapping", out.type),
            fmt::format("write `{}({})`, or `{}:` and its arguments below", out.type, tree.text(),
                        out.type));
      break;
    case Tree::Kind::list:
      for (const Tree& item : tree.items) out.args.push_back({"", argument(item), item.span});
      break;
    case Tree::Kind::map:
      for (const Tree::Entry& e : tree.entries) {
        out.args.push_back({e.key.text(), argument(e.value), e.key.span()});
      }
  }
}

/// A value in mapping form as an expression. Lists are lists, a mapping with one key is a call.
ExprRef BlockReader::argument(const Tree& tree) {
  auto node = std::make_shared<Expr>();
  node->span = node->op_span = tree.span;
  switch (tree.kind) {
    case Tree::Kind::null: return literal(Value(), tree.span);
    case Tree::Kind::scalar: return quoted_or_code(tree);
    case Tree::Kind::list:
      node->kind = Expr::Kind::list;
      for (const Tree& item : tree.items) node->items.push_back(argument(item));
      return node;
    case Tree::Kind::map: break;
  }
  const Layer inner = layer(tree);
  if (inner.type.empty() || inner.children) {
    if (inner.children) error("E0207", tree.span, "a container cannot be an argument");
    return nullptr;
  }
  auto callee = std::make_shared<Expr>();
  callee->kind = Expr::Kind::name;
  callee->name = {{{inner.type, nullptr}}, inner.type_span};
  callee->span = callee->op_span = inner.type_span;
  node->kind = Expr::Kind::call;
  node->span = node->op_span = inner.type_span;
  node->items = {callee};
  node->args = inner.args;
  return node;
}

/// Quotes may be there for YAML's sake or for the text's: what is no code is a text.
ExprRef BlockReader::quoted_or_code(const Tree& tree) {
  if (tree.style != Tree::Style::quoted) return parse_expr(tree.scalar, d_);
  Diagnostics ignored;
  ExprRef e = parse_expr(tree.scalar, ignored);
  return e ? e : literal(tree.text(), tree.span);
}

/// A scalar as code; lists and nulls as such.
ExprRef BlockReader::code(const Tree& tree) {
  if (tree.is_scalar()) return parse_expr(tree.scalar, d_);
  if (tree.is_map()) {
    error("E0113", tree.span, "YAML reads a mapping here, because of `: `",
          "put an expression with `: ` in it into quotes");
    return nullptr;
  }
  return argument(tree);
}

Block parse_modules(const Tree& tree, Diagnostics& d, const TypeNames& types) {
  return BlockReader(d, types).block(tree, BlockKind::modules);
}

Layer parse_model(const Tree& tree, Diagnostics& d, const TypeNames& types) {
  BlockReader reader(d, types);
  if (!tree.is_list()) return reader.layer(tree);
  Layer out;
  out.span = out.type_span = tree.span;
  out.type = "Sequential";
  out.children = std::make_shared<Block>(reader.block(tree, BlockKind::children));
  return out;
}

}  // namespace nnm::lang
