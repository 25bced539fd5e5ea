// Reading order of names in a forward.
#include "nnm/lang/forward_inputs.h"

#include <algorithm>

namespace nnm::lang {

namespace {

class Scan {
 public:
  explicit Scan(const std::function<bool(const std::string&)>& known) : known_(known) {}

  void statements(const Statements& all) {
    for (const Statement& s : all) statement(s);
  }
  std::vector<ExprRef> found;

 private:
  void statement(const Statement& s) {
    if (s.kind == Statement::Kind::augment) {
      for (const Target& t : s.targets) read_target(t);
    }
    for (const ExprRef& v : s.values) expr(v);
    if (s.text) templ(*s.text);
    for (const Target& t : s.targets) assign(t);
    statements(s.body);
    for (const auto& b : s.branches) {
      if (b.condition) expr(b.condition);
      statements(b.body);
    }
  }

  void assign(const Target& t) {
    for (const Target& inner : t.items) assign(inner);
    if (t.kind != Target::Kind::name) return;
    templ(t.name);
    if (t.name.is_plain()) set_.insert(t.name.plain());
    else made_.push_back(&t.name);
  }

  /// Whether the name could be one that a `s${i} = …` before it has made.
  bool made(const std::string& name) const {
    return std::any_of(made_.begin(), made_.end(), [&](const Template* t) {
      const auto& first = t->pieces.front();
      const auto& last = t->pieces.back();
      const std::string head = first.expr ? "" : first.text, tail = last.expr ? "" : last.text;
      return name.size() > head.size() + tail.size() && name.starts_with(head) &&
             name.ends_with(tail);
    });
  }

  /// `x += 1` reads x.
  void read_target(const Target& t) {
    if (t.kind != Target::Kind::name || !t.name.is_plain()) return;
    auto e = std::make_shared<Expr>();
    e->kind = Expr::Kind::name;
    e->name = t.name;
    e->span = e->op_span = t.span;
    name(e);
  }

  void templ(const Template& t) {
    for (const Template::Piece& p : t.pieces) {
      if (p.expr) expr(p.expr);
    }
  }

  void name(const ExprRef& e) {
    templ(e->name);
    if (!e->name.is_plain()) return;
    const std::string& n = e->name.plain();
    if (set_.count(n) || known_(n) || made(n)) return;
    set_.insert(n);
    found.push_back(e);
  }

  void callee(const ExprRef& e) {
    // What is called is a child or a function, not an input; a method's object may be one.
    if (e->kind == Expr::Kind::name) return templ(e->name);
    expr(e);
  }

  void expr(const ExprRef& e) {
    if (!e) return;
    switch (e->kind) {
      case Expr::Kind::name: return name(e);
      case Expr::Kind::text: return templ(e->name);
      case Expr::Kind::comprehension: return comprehension(e);
      case Expr::Kind::call:
        callee(e->items[0]);
        for (const Expr::Arg& a : e->args) expr(a.value);
        return;
      case Expr::Kind::pipe: {
        expr(e->items[0]);
        const ExprRef& right = e->items[1];
        right->kind == Expr::Kind::call ? expr(right) : callee(right);
        return;
      }
      default:
        for (const ExprRef& item : e->items) expr(item);
    }
  }

  void comprehension(const ExprRef& e) {
    expr(e->items[1]);
    const std::set<std::string> before = set_;
    if (e->target) assign(*e->target);
    expr(e->items[0]);
    if (e->items.size() > 2) expr(e->items[2]);
    // Its names end here; inputs found inside stay.
    std::set<std::string> after = before;
    for (const ExprRef& f : found) after.insert(f->name.plain());
    set_ = std::move(after);
  }

  const std::function<bool(const std::string&)>& known_;
  std::set<std::string> set_;
  std::vector<const Template*> made_;
};

bool add_target(const Target& t, std::set<std::string>& out) {
  bool made = false;
  for (const Target& inner : t.items) made |= add_target(inner, out);
  if (t.kind != Target::Kind::name) return made;
  if (t.name.is_plain()) out.insert(t.name.plain());
  return made || !t.name.is_plain();
}

}  // namespace

std::vector<ExprRef> free_names(const Statements& forward,
                                const std::function<bool(const std::string&)>& known) {
  Scan scan(known);
  scan.statements(forward);
  return scan.found;
}

bool assigned_names(const Statements& statements, std::set<std::string>& out) {
  bool made = false;
  for (const Statement& s : statements) {
    for (const Target& t : s.targets) made |= add_target(t, out);
    made |= assigned_names(s.body, out);
    for (const auto& b : s.branches) made |= assigned_names(b.body, out);
  }
  return made;
}

}  // namespace nnm::lang
