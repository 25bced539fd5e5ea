// Errors of a build: duplicates dropped, frames of expansion as notes.
#include "nnm/lang/build_report.h"

namespace nnm::lang {

void Reporter::report(const Fault& f) {
  ++reported;
  if (f.silent) return;
  add(f.diagnostic);
  for (const Diagnostic& one : f.more) add(one);
}

void Reporter::add(Diagnostic d) {
  const Span& s = d.span;
  if (!seen_.emplace(d.code, s ? s.file->path : "", s.line, s.column).second) return;
  // Of a class in itself many levels deep, the innermost and the outermost frames tell all.
  constexpr size_t kInner = 8, kOuter = 4;
  const size_t n = frames.size();
  for (size_t i = 0; i < n; ++i) {
    const bool shown = n <= kInner + kOuter || i < kInner || i + kOuter >= n;
    if (shown) d.notes.push_back(frames[n - 1 - i]());
    else if (i == kInner) d.notes.push_back({fmt::format("… {} more", n - kInner - kOuter), {}});
  }
  diagnostics.add(std::move(d));
}

namespace {

std::string target_text(const Target& t) {
  if (t.kind != Target::Kind::tuple) return template_text(t.name);
  std::string out = "(";
  for (size_t i = 0; i < t.items.size(); ++i) out += (i ? ", " : "") + target_text(t.items[i]);
  return out + (t.items.size() == 1 ? ",)" : ")");
}

/// A value in at most a line.
std::string short_text(const Value& v) {
  std::string text = v.is(Value::Kind::module) ? v.repr() : v.config_text();
  if (const size_t line = text.find('\n'); line != text.npos) text = text.substr(0, line) + "…)";
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}

}  // namespace

Note loop_note(const Target& target, const Expr& iterable, const Span& header, const Value& item) {
  const bool tuple = target.kind == Target::Kind::tuple;
  std::string names = target_text(target);
  if (tuple) names = names.substr(1, names.size() - (target.items.size() == 1 ? 3 : 2));
  std::string with;
  if (tuple && item.is_sequence() && item.items().size() == target.items.size()) {
    for (size_t i = 0; i < target.items.size(); ++i) {
      with += fmt::format("{}{} = {}", i ? ", " : "", target_text(target.items[i]),
                          short_text(item.items()[i]));
    }
  } else {
    with = fmt::format("{} = {}", names, short_text(item));
  }
  return {fmt::format("while expanding `for {} in {}` (line {}) with {}", names,
                      expr_text(iterable), header.line, with),
          {}};
}

}  // namespace nnm::lang
