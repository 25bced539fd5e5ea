// The canonical spelling of expressions: as few parentheses as precedence asks for.
#include "nnm/lang/ast.h"

namespace nnm::lang {

namespace {

// From loose to tight; a part that binds looser than its place needs parentheses.
enum Level : int {
  kPipe,
  kConditional,
  kOr,
  kAnd,
  kNot,
  kCompare,
  kSum,
  kTerm,
  kUnary,
  kPower,
  kPostfix
};

class Writer {
 public:
  std::string text(const Expr& e, int level) {
    std::string out = write(e);
    return level_of(e) < level ? "(" + out + ")" : out;
  }
  std::string name(const Template& t, bool in_string) {
    std::string out;
    for (const Template::Piece& p : t.pieces) {
      if (p.expr) {
        out += "${" + text(*p.expr, kPipe) + "}";
      } else {
        out += in_string ? escaped(p.text) : p.text;
      }
    }
    return out;
  }

 private:
  static int level_of(const Expr& e) {
    switch (e.kind) {
      case Expr::Kind::pipe: return kPipe;
      case Expr::Kind::conditional: return kConditional;
      case Expr::Kind::logic: return e.op == "or" ? kOr : kAnd;
      case Expr::Kind::compare: return kCompare;
      case Expr::Kind::unary: return e.op == "not" ? kNot : kUnary;
      case Expr::Kind::binary:
        if (e.op == "+" || e.op == "-") return kSum;
        return e.op == "**" ? kPower : kTerm;
      default: return kPostfix;
    }
  }

  static std::string escaped(const std::string& s) {
    const std::string quoted = Value(s).config_text();
    std::string out;
    for (char c : quoted) out += c == '$' ? "$$" : std::string(1, c);
    return out.substr(1, out.size() - 2);
  }

  std::string join(const std::vector<ExprRef>& items, const char* separator, int level) {
    std::string out;
    for (const ExprRef& item : items) {
      if (!out.empty()) out += separator;
      out += item ? text(*item, level) : "";
    }
    return out;
  }

  std::string arguments(const Expr& e) {
    std::string out = "(";
    for (const Expr::Arg& a : e.args) {
      if (out.size() > 1) out += ", ";
      if (!a.name.empty()) out += a.name + "=";
      out += text(*a.value, kPipe);
    }
    return out + ")";
  }

  std::string binary(const Expr& e) {
    if (e.op == "**") return text(*e.items[0], kPostfix) + " ** " + text(*e.items[1], kUnary);
    const int level = level_of(e);
    return text(*e.items[0], level) + " " + e.op + " " + text(*e.items[1], level + 1);
  }

  std::string subscript(const Expr& e) {
    if (e.kind == Expr::Kind::slice) {
      std::string out = part(e.items[0]) + ":" + part(e.items[1]);
      return e.items[2] ? out + ":" + part(e.items[2]) : out;
    }
    if (e.kind != Expr::Kind::tuple || e.items.empty()) return text(e, kPipe);
    std::string out;
    for (const ExprRef& item : e.items) out += (out.empty() ? "" : ", ") + subscript(*item);
    return e.items.size() == 1 ? out + "," : out;
  }
  std::string part(const ExprRef& e) { return e ? text(*e, kConditional) : ""; }

  std::string comprehension(const Expr& e) {
    std::string out = "[" + text(*e.items[0], kPipe) + " for " + target(*e.target, true) + " in " +
                      text(*e.items[1], kOr);
    if (e.items[2]) out += " if " + text(*e.items[2], kOr);
    return out + "]";
  }

  std::string target(const Target& t, bool outer) {
    if (t.kind == Target::Kind::name) return name(t.name, false);
    if (t.kind == Target::Kind::self) return "self." + name(t.name, false);
    std::string out;
    for (const Target& item : t.items) out += (out.empty() ? "" : ", ") + target(item, false);
    if (t.items.size() == 1) out += ",";
    return outer ? out : "(" + out + ")";
  }

  std::string write(const Expr& e) {
    switch (e.kind) {
      case Expr::Kind::literal:
        if (!e.value.is(Value::Kind::string)) return e.value.config_text();
        return "\"" + escaped(e.value.string()) + "\"";
      case Expr::Kind::text: return "\"" + name(e.name, true) + "\"";
      case Expr::Kind::name: return name(e.name, false);
      case Expr::Kind::list: return "[" + join(e.items, ", ", kPipe) + "]";
      case Expr::Kind::tuple:
        return "(" + join(e.items, ", ", kPipe) + (e.items.size() == 1 ? ",)" : ")");
      case Expr::Kind::comprehension: return comprehension(e);
      case Expr::Kind::unary:
        return e.op == "not" ? "not " + text(*e.items[0], kNot) : e.op + text(*e.items[0], kUnary);
      case Expr::Kind::binary: return binary(e);
      case Expr::Kind::compare: {
        std::string out = text(*e.items[0], kSum);
        for (size_t i = 0; i < e.ops.size(); ++i) {
          out += " " + e.ops[i] + " " + text(*e.items[i + 1], kSum);
        }
        return out;
      }
      case Expr::Kind::logic:
        return join(e.items, e.op == "or" ? " or " : " and ", level_of(e) + 1);
      case Expr::Kind::conditional:
        return text(*e.items[0], kOr) + " if " + text(*e.items[1], kOr) + " else " +
               text(*e.items[2], kConditional);
      case Expr::Kind::call: return text(*e.items[0], kPostfix) + arguments(e);
      case Expr::Kind::index:
        return text(*e.items[0], kPostfix) + "[" + subscript(*e.items[1]) + "]";
      case Expr::Kind::slice: return subscript(e);
      case Expr::Kind::attribute: return text(*e.items[0], kPostfix) + "." + name(e.name, false);
      case Expr::Kind::pipe: return text(*e.items[0], kPipe) + " |> " + text(*e.items[1], kPostfix);
    }
    return "";
  }
};

}  // namespace

std::string expr_text(const Expr& e) { return Writer().text(e, kPipe); }

std::string template_text(const Template& t) { return Writer().name(t, false); }

}  // namespace nnm::lang
