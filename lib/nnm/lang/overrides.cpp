// `--set path=value`: finds the place a path means, and reads the value by its type.
#include "nnm/lang/overrides.h"

#include <algorithm>

#include "nnm/lang/parser_block.h"
#include "nnm/lang/places.h"
#include "nnm/lang/structure.h"

namespace nnm::lang {

namespace {

constexpr std::string_view kUnset = "~";

struct OverrideError {
  Diagnostic diagnostic;
};

/// Whether it is the path of an argument's declaration: `define.Net.args.width`.
bool names_argument(std::string_view path) {
  constexpr std::string_view kDefine = "define.", kArgs = ".args.";
  const size_t end = path.find('.', kDefine.size());
  if (!path.starts_with(kDefine) || end == path.npos || !path.substr(end).starts_with(kArgs))
    return false;
  return path.find_first_of(".[", end + kArgs.size()) == path.npos;
}

/// The type in `type = default`.
std::string_view type_of(std::string_view declaration) {
  const std::string_view type = declaration.substr(0, find_outside(declaration, '='));
  return type.substr(0, type.find_last_not_of(' ') + 1);
}

/// Whether all of a text is one `${…}`, whose value need not be a text.
bool is_expression(std::string_view text) {
  return text.starts_with("${") && end_of_insert(text, 2) == text.size();
}

bool is_type(std::string_view text) {
  try {
    (void)ArgType::parse(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

class Override {
 public:
  Override(const std::string& text, const std::string& folder, const Tree* written)
      : written_(written),
        unset_(text.starts_with(kUnset)),
        text_(unset_ ? text.substr(kUnset.size()) : text),
        file_(std::make_shared<SourceFile>(
            (folder.empty() ? "" : folder + "/") + (unset_ ? "--unset" : "--set"), text_)) {}

  void apply(Tree& root) {
    if (unset_) return remove(root);
    const size_t equals = text_.find('=');
    if (equals == std::string::npos || equals == 0) {
      fail(0, text_.size(), "an override is `path=value`", "such as --set train.seed=3");
    }
    append_ = text_[equals - 1] == '+';
    end_ = equals - (append_ ? 1 : 0);
    value_ = Located(text_.substr(equals + 1), file_, equals + 1);
    const Place place = find(root, Missing::make);
    assign(*place.node, place.form);
  }

 private:
  [[noreturn]] void fail(size_t begin, size_t end, std::string message, std::string help = {}) {
    throw OverrideError{
        {"E0214", std::move(message), source_span(file_, begin, end), std::move(help), {}}};
  }
  std::string path(size_t end) const { return text_.substr(0, end); }

  Place find(Tree& root, Missing missing) {
    try {
      const Located path(text_.substr(0, end_), file_, 0);
      return find_place(whole_config(root), path, missing);
    } catch (PathError& e) {
      throw OverrideError{{"E0214", std::move(e.message), e.span, std::move(e.help), {}}};
    }
  }

  /// What is not there stays away.
  void remove(Tree& root) {
    end_ = text_.size();
    const Place place = find(root, Missing::keep);
    if (place.node == &root) fail(0, end_, "a path is missing", "such as --unset train.clip");
    if (!place.parent) return;
    std::erase_if(place.parent->entries,
                  [&](const Tree::Entry& e) { return &e.value == place.node; });
    std::erase_if(place.parent->items, [&](const Tree& item) { return &item == place.node; });
  }

  // Values.

  void assign(Tree& node, const Form* form) {
    if (append_) {
      node = appended(node, form);
      return;
    }
    Tree value = path(end_) == "model"        ? yaml(value_)
                 : form                       ? by_form(*form)
                 : names_argument(path(end_)) ? declaration(node)
                                              : by_present(node);
    value.mark("--set " + text_);
    node = std::move(value);
  }

  Tree appended(const Tree& node, const Form* form) {
    if (!node.is_list() && !(form && form->item)) {
      fail(0, end_, fmt::format("`+=` appends to a list, and {} is not one", path(end_)));
    }
    Tree out = node;
    if (!out.is_list()) {
      out = Tree();
      out.kind = Tree::Kind::list;
      out.span = value_.span();
      if (!node.is_null()) out.items.push_back(node);
    }
    if (!written_ && !form && is_several(out.items)) {
      for (Tree& item : by_present(out).items) {
        item.mark("--set " + text_);
        out.items.push_back(std::move(item));
      }
      out.origin.clear();
      return out;
    }
    Tree item = written_             ? Tree(*written_)
                : form && form->item ? by_form(*form->item)
                : alike(out.items)   ? by_present(out.items.back())
                                     : yaml(value_);
    item.mark("--set " + text_);
    out.origin.clear();
    out.items.push_back(std::move(item));
    return out;
  }

  /// Whether what is appended is several items: a list, to one whose items are none.
  bool is_several(const std::vector<Tree>& items) const {
    const std::string& text = value_.text();
    if (std::any_of(items.begin(), items.end(), [](const Tree& t) { return t.is_list(); }))
      return false;
    const bool words =
        items.empty() || !alike(items) || core_type(items[0].text()) == CoreType::text;
    return text.starts_with('[') || (!words && find_outside(text, ',') != text.npos);
  }

  Tree scalar(const Located& text, Tree::Style style) const {
    Tree t;
    t.kind = Tree::Kind::scalar;
    t.style = style;
    t.scalar = text;
    t.span = text.span();
    return t;
  }

  /// A value that is a text: quotes around all of it are YAML's, others are part of it.
  Tree text_of(const Located& value) const {
    const std::string& s = value.text();
    const bool quoted = s.size() > 1 && (s[0] == '"' || s[0] == '\'');
    if (quoted && s.find(s[0], 1) == s.size() - 1) return yaml(value);
    return scalar(value, Tree::Style::quoted);
  }

  Tree yaml(const Located& text) const {
    return read_yaml(std::make_shared<SourceFile>(file_->path, text.text()));
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
    for (size_t comma; (comma = find_outside(text.text(), ',', begin)) != std::string::npos;)
      take(comma);
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
    const bool word = is_text(form.scalar);
    const bool none = (text == "none" && !form.never) || text == "null";
    if (text.empty() || (!word && none)) {
      Tree nothing;
      nothing.span = value_.span();
      return nothing;
    }
    if (bracketed(text) && (form.item || form.map)) return yaml(value_);
    if (form.item && find_outside(text, ',') != text.npos) {
      std::vector<Tree> items;
      for (const Located& part : split(value_)) items.push_back(scalar(part, Tree::Style::plain));
      return list(std::move(items));
    }
    // A number where a file or a map is due stays one, so that its reader can refuse it.
    const bool other = form.map && core_type(text) != CoreType::text;
    return word && !other ? text_of(value_) : scalar(value_, Tree::Style::plain);
  }

  /// The declaration of an argument: a new one, or another default for that which is there.
  Tree declaration(const Tree& present) const {
    if (!present.is_scalar() || is_type(type_of(value_.text())))
      return scalar(value_, Tree::Style::plain);
    const std::string_view type = type_of(present.text());
    const bool text = is_type(type) && ArgType::parse(type).base == ArgType::Base::string &&
                      !ArgType::parse(type).list && !value_.text().starts_with('"');
    const size_t at = value_.source_offset(0);
    Located out(fmt::format("{} = {}", type, text ? "\"" : ""), file_, at);
    out.append(value_.text(), at);
    if (text) out.append("\"", at);
    return scalar(out, Tree::Style::plain);
  }

  /// Whether items have one type, which new ones have as well.
  static bool alike(const std::vector<Tree>& items) {
    const auto kind = [](const Tree& t) {
      const bool plain = t.is_scalar() && t.style == Tree::Style::plain;
      const CoreType type = plain ? core_type(t.text()) : CoreType::text;
      return std::pair(t.kind, type == CoreType::real ? CoreType::integer : type);
    };
    return !items.empty() && std::all_of(items.begin(), items.end(), [&](const Tree& t) {
      return kind(t) == kind(items.front());
    });
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
        items.push_back(alike(present.items) ? by_present(present.items.front(), part)
                                             : yaml(part));
      }
      return list(std::move(items));
    }
    // What a quoted or worded scalar is set to is a text; an expression may become anything.
    if (is_expression(present.text())) return yaml(value);
    if (present.style != Tree::Style::plain) return text_of(value);
    if (text.find("${") != text.npos) return scalar(value, Tree::Style::plain);
    if (present.text().find("${") != std::string::npos) return yaml(value);
    const CoreType type = core_type(text);
    switch (core_type(present.text())) {
      case CoreType::text: return text_of(value);
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
                         fmt::format("{}{} is {}, not `{}`", append_ ? "an item of " : "",
                                     path(end_), type, value.text()),
                         value.span(),
                         append_ ? "`+=` appends an item, or a list of them" : "",
                         {}}};
  }

  const Tree* const written_;
  const bool unset_;
  const std::string text_;
  SourceRef file_;
  size_t end_ = 0;  ///< of the path
  bool append_ = false;
  Located value_;
};

}  // namespace

void apply_override(Tree& root, const std::string& text, const std::string& folder, Diagnostics& d,
                    const Tree* written) {
  try {
    Override(text, folder, written).apply(root);
  } catch (OverrideError& e) {
    d.add(std::move(e.diagnostic));
  } catch (const DiagnosticError& e) {
    for (const Diagnostic& one : e.diagnostics.all()) d.add(one);
  }
}

}  // namespace nnm::lang
