// `--set path=value`: finds the place a path means, and reads the value by its type.
#include <algorithm>
#include <charconv>

#include "nnm/base/signature.h"
#include "nnm/lang/sections.h"
#include "nnm/lang/structure.h"
#include "nnm/lang/yaml_errors.h"

namespace nnm::lang {

namespace {

struct OverrideError {
  Diagnostic diagnostic;
};

/// The offsets of the commas outside of brackets and quotes.
std::vector<size_t> top_commas(std::string_view text) {
  std::vector<size_t> out;
  int depth = 0;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if (c == ')' || c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      out.push_back(i);
    }
  }
  return out;
}

class Override {
 public:
  Override(const std::string& text)
      : text_(text), file_(std::make_shared<SourceFile>("--set", text)) {}

  void apply(Tree& root) {
    const size_t equals = text_.find('=');
    if (equals == std::string::npos || equals == 0) {
      fail(0, text_.size(), "an override is `path=value`", "such as --set train.seed=3");
    }
    append_ = text_[equals - 1] == '+';
    end_ = equals - (append_ ? 1 : 0);
    value_ = Located(text_.substr(equals + 1), file_, equals + 1);
    descend(root, &config_form(), 0);
  }

 private:
  [[noreturn]] void fail(size_t begin, size_t end, std::string message, std::string help = {}) {
    throw OverrideError{
        {"E0214", std::move(message), source_span(file_, begin, end), std::move(help), {}}};
  }
  std::string path(size_t end) const { return text_.substr(0, end); }
  std::string_view rest(size_t at) const { return std::string_view(text_).substr(at, end_ - at); }

  /// `form` is null where the file alone says what there is.
  void descend(Tree& node, const Form* form, size_t at) {
    if (form && form->anything) form = nullptr;
    if (at >= end_) return assign(node, form);
    if (text_[at] == '[') return into_item(node, form, at);
    if (text_[at] == '.' && at > 0) ++at;
    if (node.is_list()) return into_named(node, form, at);
    if (node.is_null() && form && form->map) node.kind = Tree::Kind::map;
    if (!node.is_map()) unknown(node, form, at);
    into_key(node, form, at);
  }

  void into_key(Tree& node, const Form* form, size_t at) {
    // A key may hold dots: the longest that fits.
    Tree::Entry* best = nullptr;
    for (Tree::Entry& e : node.entries) {
      const std::string& key = e.key.text();
      if (!rest(at).starts_with(key) || (best && key.size() < best->key.text().size())) continue;
      const size_t next = at + key.size();
      if (next == end_ || text_[next] == '.' || text_[next] == '[') best = &e;
    }
    const size_t end = best ? at + best->key.text().size() : segment_end(at);
    const std::string key = text_.substr(at, end - at);
    const Key* known = form ? form->find(key) : nullptr;
    const Form* below = known ? known->form : form ? form->other : nullptr;
    if (!best) {
      const bool possible = known ? !below->anything : form && form->other;
      if (known && !possible)
        fail(at, end, fmt::format("the file has no `{}`", path(end)),
             fmt::format("names under `{}` are the file's own: declare them there, then override "
                         "them",
                         path(end)));
      if (!possible || key.empty()) unknown(node, form, at);
      node.entries.push_back({Located(key, file_, at), {}});
      best = &node.entries.back();
      best->value.span = source_span(file_, at, end);
    }
    descend(best->value, below, end);
  }

  size_t segment_end(size_t at) const { return std::min(text_.find_first_of(".[", at), end_); }

  void into_item(Tree& node, const Form* form, size_t at) {
    const size_t close = std::min(text_.find(']', at), end_);
    int64_t index = 0;
    const auto read = std::from_chars(text_.data() + at + 1, text_.data() + close, index);
    const auto size = static_cast<int64_t>(node.items.size());
    if (close == end_ || read.ptr != text_.data() + close || read.ec != std::errc()) {
      fail(at, end_, "an item of a list is `path[2]` or `path[-1]`");
    }
    if (!node.is_list() || index >= size || index < -size) {
      fail(at, close + 1,
           node.is_list() ? fmt::format("{} has {} items", path(at), size)
                          : fmt::format("{} is no list", path(at)));
    }
    const size_t i = static_cast<size_t>(index < 0 ? index + size : index);
    descend(node.items[i], form ? form->item : nullptr, close + 1);
  }

  /// `hooks.NAME`: the item with that `name`.
  void into_named(Tree& node, const Form* form, size_t at) {
    const size_t end = segment_end(at);
    std::vector<std::string> names;
    for (Tree& item : node.items) {
      const Tree* name = item.find("name");
      if (!name) continue;
      names.push_back(name->text());
      if (name->text() == rest(at).substr(0, end - at)) {
        return descend(item, form ? form->item : nullptr, end);
      }
    }
    suggest(at, end, names);
  }

  [[noreturn]] void unknown(const Tree& node, const Form* form, size_t at) {
    std::vector<std::string> names = form ? form->names() : std::vector<std::string>();
    for (const Tree::Entry& e : node.entries) {
      const std::string key = e.key.text();
      if (std::find(names.begin(), names.end(), key) == names.end()) names.push_back(key);
    }
    suggest(at, segment_end(at), names);
  }
  [[noreturn]] void suggest(size_t at, size_t end, const std::vector<std::string>& names) {
    const std::string key = text_.substr(at, end - at);
    const std::string near = nearest(key, names);
    std::string help;
    if (!near.empty()) {
      help = fmt::format("did you mean `{}{}`?", path(at), near);
    } else if (!names.empty()) {
      help = fmt::format("there is {}", fmt::join(names, ", "));
    }
    fail(at, end, fmt::format("unknown path `{}`", path(end)), help);
  }

  // Values.

  void assign(Tree& node, const Form* form) {
    Tree value;
    if (append_) {
      value = appended(node, form);
    } else {
      value = form ? by_form(*form) : by_present(node);
    }
    mark(value);
    node = std::move(value);
  }

  void mark(Tree& t) const {
    if (t.origin.empty()) t.origin = "--set " + text_;
    for (Tree& item : t.items) mark(item);
    for (Tree::Entry& e : t.entries) mark(e.value);
  }

  Tree appended(const Tree& node, const Form* form) {
    if (!node.is_list() && !(form && form->item)) {
      fail(0, end_, fmt::format("`+=` appends to a list, and {} is none", path(end_)));
    }
    Tree out = node;
    if (!out.is_list()) {
      out = Tree();
      out.kind = Tree::Kind::list;
      out.span = value_.span();
      if (!node.is_null()) out.items.push_back(node);
    }
    Tree item = form && form->item  ? by_form(*form->item)
                : out.items.empty() ? yaml(value_)
                                    : by_present(out.items.back());
    mark(item);
    out.origin.clear();
    out.items.push_back(std::move(item));
    return out;
  }

  Tree scalar(const Located& text, Tree::Style style) const {
    Tree t;
    t.kind = Tree::Kind::scalar;
    t.style = style;
    t.scalar = text;
    t.span = text.span();
    return t;
  }

  Tree yaml(const Located& text) const {
    return read_yaml(std::make_shared<SourceFile>("--set", text.text()));
  }

  static bool bracketed(const std::string& s) { return s.starts_with('[') || s.starts_with('{'); }

  std::vector<Located> split(const Located& text) const {
    std::vector<Located> out;
    size_t begin = 0;
    const auto take = [&](size_t end) {
      while (begin < end && text.text()[begin] == ' ') ++begin;
      out.push_back(text.part(begin, end));
      begin = end + 1;
    };
    for (size_t comma : top_commas(text.text())) take(comma);
    take(text.text().size());
    return out;
  }

  Tree list(std::vector<Tree> items) const {
    Tree t;
    t.kind = Tree::Kind::list;
    t.items = std::move(items);
    t.span = value_.span();
    return t;
  }

  /// A value whose type the table of sections declares.
  Tree by_form(const Form& form) const {
    const std::string& text = value_.text();
    const bool word = form.scalar == Form::Scalar::text;
    if (text.empty() || (!word && (text == "none" || text == "null"))) {
      Tree nothing;
      nothing.span = value_.span();
      return nothing;
    }
    if (bracketed(text) && (form.item || form.map)) return yaml(value_);
    if (form.item && !top_commas(text).empty()) {
      std::vector<Tree> items;
      for (const Located& part : split(value_)) items.push_back(scalar(part, Tree::Style::plain));
      return list(std::move(items));
    }
    // A number where a file or a map is due stays one, so that its reader can refuse it.
    const bool other = form.map && core_type(text) != CoreType::text;
    return scalar(value_, word && !other ? Tree::Style::quoted : Tree::Style::plain);
  }

  /// A value of the type of the one that is there.
  Tree by_present(const Tree& present) { return by_present(present, value_); }

  Tree by_present(const Tree& present, const Located& value) {
    const std::string& text = value.text();
    if (present.is_null()) return yaml(value);
    if (present.is_map()) {
      Tree t = yaml(value);
      if (!t.is_map()) wrong_type("a mapping", value);
      return t;
    }
    if (present.is_list()) {
      if (bracketed(text)) return yaml(value);
      std::vector<Tree> items;
      if (text.empty()) return list({});
      for (const Located& part : split(value)) {
        items.push_back(present.items.empty() ? yaml(part)
                                              : by_present(present.items.front(), part));
      }
      return list(std::move(items));
    }
    // What a quoted or worded scalar is set to is a text; an expression may become anything.
    if (present.style != Tree::Style::plain) return scalar(value, Tree::Style::quoted);
    if (text.find("${") != text.npos) return scalar(value, Tree::Style::plain);
    if (present.text().find("${") != std::string::npos) return yaml(value);
    const CoreType type = core_type(text);
    switch (core_type(present.text())) {
      case CoreType::text: return scalar(value, Tree::Style::quoted);
      case CoreType::boolean:
        if (type != CoreType::boolean) wrong_type("true or false", value);
        break;
      case CoreType::integer:
      case CoreType::real:
        if (type != CoreType::integer && type != CoreType::real) wrong_type("a number", value);
    }
    return scalar(value, Tree::Style::plain);
  }

  [[noreturn]] void wrong_type(const char* type, const Located& value) {
    throw OverrideError{{"E0214",
                         fmt::format("{} is {}, not `{}`", path(end_), type, value.text()),
                         value.span(),
                         "",
                         {}}};
  }

  const std::string& text_;
  SourceRef file_;
  size_t end_ = 0;  ///< of the path
  bool append_ = false;
  Located value_;
};

}  // namespace

void apply_override(Tree& root, const std::string& assignment, Diagnostics& d) {
  try {
    Override(assignment).apply(root);
  } catch (OverrideError& e) {
    d.add(std::move(e.diagnostic));
  } catch (const DiagnosticError& e) {
    for (const Diagnostic& one : e.diagnostics.all()) d.add(one);
  }
}

}  // namespace nnm::lang
