// Evaluates `vars:` lazily: an entry may use the others, in any order, but not itself.
#include "nnm/lang/vars.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "nnm/base/literal.h"
#include "nnm/lang/eval.h"
#include "nnm/lang/parser_block.h"
#include "nnm/lang/structure.h"

namespace nnm::lang {

namespace {

constexpr size_t kMaxChain = 200;  // of variables that need each other

class Vars : public Env {
 public:
  Vars(const Tree& tree, Diagnostics& d) : tree_(tree), d_(d) {
    for (const Tree::Entry& e : tree.entries) by_name_.emplace(e.key.text(), &e);
  }

  Value all() {
    Items out;
    for (const Tree::Entry& e : tree_.entries) {
      if (!is_plain_name(e.key.text())) {
        d_.add({"E0213",
                fmt::format("`{}` cannot be the name of a variable", e.key.text()),
                e.key.span(),
                "a name has letters, digits and `_`, and is no reserved word",
                {}});
        continue;
      }
      try {
        out.emplace_back(e.key.text(), value_of(e));
      } catch (const Fault& f) {
        if (f.silent) continue;
        d_.add(f.diagnostic);
        for (const Diagnostic& one : f.more) d_.add(one);
      }
    }
    return Value::dict(std::move(out));
  }

  std::optional<Value> find(const std::string& path) const override {
    if (path == "vars") return known();
    if (!path.starts_with("vars.")) return std::nullopt;
    const auto at = by_name_.find(path.substr(5));
    return at == by_name_.end() ? std::nullopt : std::optional<Value>(value_of(*at->second));
  }
  void names(std::vector<std::string>& out) const override {
    for (const Tree::Entry& e : tree_.entries) out.push_back("vars." + e.key.text());
  }

 private:
  /// What `vars` by itself stands for: it tells which names there are.
  Value known() const {
    Items out;
    for (const Tree::Entry& e : tree_.entries) {
      const auto at = values_.find(&e);
      out.emplace_back(e.key.text(), at == values_.end() ? Value() : at->second);
    }
    return Value::dict(std::move(out));
  }

  Value value_of(const Tree::Entry& e) const {
    if (const auto known = values_.find(&e); known != values_.end()) return known->second;
    if (failed_.contains(&e)) {
      Fault f({"E0301", "follows from an earlier error", e.key.span(), "", {}});
      f.silent = true;
      throw f;
    }
    const auto again = std::find(open_.begin(), open_.end(), &e);
    if (again != open_.end()) {
      std::string chain;
      for (auto at = again; at != open_.end(); ++at) chain += (*at)->key.text() + " → ";
      const auto start = open_.begin() + (again - open_.begin());
      fault((*start)->value.span, "E0307",
            fmt::format("vars.{} needs itself: {}{}", e.key.text(), chain, e.key.text()),
            "give one of them a value of its own");
    }
    if (open_.size() >= kMaxChain) {
      fault(e.key.span(), "E0307", "variables need each other in too long a chain");
    }
    open_.push_back(&e);
    struct Closing {
      const Vars& vars;
      const Tree::Entry* entry;
      ~Closing() {
        vars.open_.pop_back();
        if (!vars.values_.contains(entry)) vars.failed_.insert(entry);
      }
    } closing{*this, &e};
    Value v = value(e.value);
    return values_[&e] = std::move(v);
  }

  Value value(const Tree& t) const {
    switch (t.kind) {
      case Tree::Kind::null: return {};
      case Tree::Kind::scalar: return scalar(t);
      case Tree::Kind::list: {
        Values out;
        for (const Tree& item : t.items) out.push_back(value(item));
        return Value::list(std::move(out));
      }
      case Tree::Kind::map: break;
    }
    Items out;
    for (const Tree::Entry& e : t.entries) out.emplace_back(text(e.key), value(e.value));
    return Value::dict(std::move(out));
  }

  std::string text(const Located& l) const {
    if (l.text().find('$') == std::string::npos) return l.text();
    return expand(pieces(l), *this);
  }
  static Template pieces(const Located& l) {
    try {
      return read_template(l);
    } catch (const SyntaxError& e) {
      throw Fault(e.diagnostic);
    }
  }

  Value scalar(const Tree& t) const {
    const std::string& s = t.text();
    if (s.find('$') != std::string::npos) {
      const Template parts = pieces(t.scalar);
      const bool whole = parts.pieces.size() == 1 && parts.pieces[0].expr;
      if (whole) return evaluate(*parts.pieces[0].expr, *this);
      return expand(parts, *this);
    }
    if (t.style != Tree::Style::plain) return s;
    switch (core_type(s)) {
      case CoreType::boolean: return s[0] == 't' || s[0] == 'T';
      case CoreType::integer:
      case CoreType::real: return core_number(t);
      case CoreType::text: break;
    }
    return duration(t);
  }

  /// `10 epochs` is a duration; other texts are texts.
  static Value duration(const Tree& t) {
    const std::string& s = t.text();
    if (s.empty() || s[0] < '0' || s[0] > '9') return s;
    try {
      const std::vector<Token> tokens = tokenize(t.scalar);
      if (tokens.size() == 2 && tokens[0].value.is(Value::Kind::duration)) return tokens[0].value;
    } catch (const SyntaxError&) {
      return s;  // a text that starts with a digit
    }
    return s;
  }

  const Tree& tree_;
  Diagnostics& d_;
  std::unordered_map<std::string, const Tree::Entry*> by_name_;
  mutable std::unordered_map<const Tree::Entry*, Value> values_;
  mutable std::unordered_set<const Tree::Entry*> failed_;
  mutable std::vector<const Tree::Entry*> open_;
};

}  // namespace

Value core_number(const Tree& t) {
  std::string s = t.text();
  if (s.starts_with("0x") || s.starts_with("0o")) {
    int64_t i = 0;
    const char *from = s.data() + 2, *end = s.data() + s.size();
    if (std::from_chars(from, end, i, s[1] == 'x' ? 16 : 8).ec == std::errc()) return i;
    fault(t.span, "E0203", "this number is out of range");
  }
  std::erase(s, '_');
  if (s.find('.') == 0 || s.find('.') == 1) {
    const char c = static_cast<char>(s[s.find('.') + 1] | 0x20);
    if (c == 'n') return std::nan("");
    if (c == 'i') s.erase(s.find('.'), 1);
  }
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  try {
    return parse_literal(s);
  } catch (const Error&) {
    fault(t.span, "E0203", "this number is out of range");
  }
}

Value evaluate_vars(const Tree& vars, Diagnostics& d) {
  if (!vars.is_map()) {
    if (!vars.is_null()) {
      d.add({"E0213", "`vars:` is a mapping", vars.span, "write `vars: {name: value}`", {}});
    }
    return Value::dict({});
  }
  return Vars(vars, d).all();
}

}  // namespace nnm::lang
