// Checks a config's sections against the table of their keys.
#include "nnm/lang/structure.h"

#include <algorithm>
#include <array>

#include "nnm/base/signature.h"
#include "nnm/lang/ast.h"
#include "nnm/lang/python_advice.h"
#include "nnm/lang/sections.h"

namespace nnm::lang {

CoreType core_type(std::string_view text) {
  for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
    if (text == word) return CoreType::boolean;
  }
  // YAML 1.2 core's other bases: no sign, lower case.
  for (const auto& [prefix, figures] :
       {std::pair("0x", "0123456789abcdefABCDEF"), std::pair("0o", "01234567")}) {
    if (text.size() > 2 && text.starts_with(prefix) &&
        text.find_first_not_of(figures, 2) == std::string_view::npos)
      return CoreType::integer;
  }
  std::string_view rest = text;
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  for (const char* word : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", "inf", "nan"}) {
    if (rest == word) return CoreType::real;
  }
  // digits [. digits] [e [sign] digits], with at least one digit before the exponent.
  const auto digits = [&rest] {
    size_t n = 0;
    while (n < rest.size() && ((rest[n] >= '0' && rest[n] <= '9') || (rest[n] == '_' && n > 0))) {
      ++n;
    }
    rest.remove_prefix(n);
    return n;
  };
  bool real = false;
  size_t mantissa = digits();
  if (mantissa > 0 && rest.empty()) return CoreType::integer;
  if (rest.starts_with('.')) {
    real = true;
    rest.remove_prefix(1);
    mantissa += digits();
  }
  if (mantissa == 0) return CoreType::text;
  if (rest.starts_with('e') || rest.starts_with('E')) {
    real = true;
    rest.remove_prefix(1);
    if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
    if (digits() == 0) return CoreType::text;
  }
  return real && rest.empty() ? CoreType::real : CoreType::text;
}

namespace {

class Checker {
 public:
  explicit Checker(Diagnostics& d) : d_(d) {}

  void value(const Tree& t, const Form& form, const std::string& path) {
    if (form.anything || t.is_null()) return;
    switch (t.kind) {
      case Tree::Kind::null: break;
      case Tree::Kind::scalar: return scalar(t, form, path);
      case Tree::Kind::list:
        if (!form.item) return wrong_form(t, form, path);
        for (size_t i = 0; i < t.items.size(); ++i) {
          const std::string item = fmt::format("{}[{}]", path, i);
          // A key without a value takes its default; an item of a list has none.
          if (t.items[i].is_null()) wrong_form(t.items[i], *form.item, item);
          else value(t.items[i], *form.item, item);
        }
        break;
      case Tree::Kind::map:
        if (!form.map) return wrong_form(t, form, path);
        map(t, form, path);
    }
  }

  void require(const Tree& t, const Form& form, const std::string& path, const Span& span) {
    for (const Key& k : form.keys) {
      if (!k.required || t.find(k.name) || is_misspelt(t, form, path, k.name)) continue;
      const std::string help = path.empty() && std::string_view(k.name) == "nnm"
                                   ? "write `nnm: 1` in the first line"
                                   : fmt::format("`{}:` is {}", k.name, k.doc);
      error("E0212", span,
            fmt::format("{} has no `{}`", path.empty() ? "the config" : path, k.name), help);
    }
  }

 private:
  void error(const char* code, const Span& span, std::string message, std::string help = {}) {
    d_.add({code, std::move(message), span, std::move(help), {}});
  }

  /// What is said about a key that the form does not know.
  static std::string advice(const std::string& key, const Form& form, const std::string& path) {
    std::string help = key_advice(path.substr(0, path.find_first_of(".[")), key);
    if (help.empty()) help = python_advice(key);
    if (help.empty() && key.starts_with("\u00a0"))
      help = "it starts with no-break spaces; write plain ones";
    return help.empty() ? did_you_mean(key, form.names()) : help;
  }

  /// Whether an unknown key is told to be this one: what is missing is there, then.
  static bool is_misspelt(const Tree& t, const Form& form, const std::string& path,
                          const std::string& name) {
    return std::any_of(t.entries.begin(), t.entries.end(), [&](const Tree::Entry& e) {
      if (form.find(e.key.text()) || e.is_note()) return false;
      const std::string help = advice(e.key.text(), form, path);
      return help == fmt::format("did you mean `{}`?", name) ||
             help.starts_with(fmt::format("write `{}:", name));
    });
  }

  void wrong_form(const Tree& t, const Form& form, const std::string& path) {
    const char* got = t.is_map()    ? "a mapping"
                      : t.is_list() ? "a list"
                      : t.is_null() ? "nothing"
                                    : "a text";
    const bool keys = t.is_list() && form.map && !form.keys.empty();
    error("E0213", t.span, fmt::format("{} is {}, not {}", path, form.example, got),
          keys ? "write its keys one below the other, without `- `" : "");
  }

  void scalar(const Tree& t, const Form& form, const std::string& path) {
    if (form.scalar == Form::Scalar::none) return wrong_form(t, form, path);
    const std::string& text = t.text();
    if (!is_text(form.scalar)) {
      // `every 500 steps` is a length.
      const size_t begin =
          form.scalar == Form::Scalar::duration && text.starts_with("every ") ? 6 : 0;
      parse_expr(t.scalar.part(begin, text.size()), d_);
    }
    if (form.choices.empty() || text.find("${") != text.npos) return;
    if (std::find(form.choices.begin(), form.choices.end(), text) != form.choices.end()) return;
    error("E0213", t.span,
          fmt::format("{} is one of {}, not `{}`", path, fmt::join(form.choices, ", "), text),
          did_you_mean(text, {form.choices.begin(), form.choices.end()}, form.advice));
  }

  /// Whether a value is so unlike the form that its key cannot be meant: `bacth: 128` names no
  /// split.
  static bool fits(const Tree& t, const Form& form) {
    if (form.anything || t.is_null()) return true;
    if (t.is_list()) return form.item != nullptr;
    if (t.is_map()) return form.map;
    if (!is_text(form.scalar)) return form.scalar != Form::Scalar::none;
    return t.style != Tree::Style::plain || core_type(t.text()) == CoreType::text;
  }

  void map(const Tree& t, const Form& form, const std::string& path) {
    for (const Tree::Entry& e : t.entries) {
      const std::string& key = e.key.text();
      const std::string below = path.empty() ? key : path + "." + key;
      if (e.is_note()) continue;
      if (const Key* known = form.find(key)) {
        value(e.value, *known->form, below);
      } else if (form.other && (form.keys.empty() || fits(e.value, *form.other))) {
        value(e.value, *form.other, below);
      } else {
        unknown(e, form, path);
      }
    }
    if (!path.empty()) require(t, form, path, t.span);
    if (&form == hook_form()) one_effect(t, path);
  }

  static const Form* hook_form() { return config_form().find("hooks")->form->item; }

  /// A hook changes, captures or watches.
  void one_effect(const Tree& t, const std::string& path) {
    static constexpr std::array kEffects = {"input",       "output",  "grad", "grad_input",
                                            "grad_output", "capture", "rule"};
    std::vector<std::string> found;
    for (const char* effect : kEffects) {
      if (t.find(effect)) found.emplace_back(effect);
    }
    // Rules know where and when to look; others are told.
    for (const char* key : {"on", "at"}) {
      if (t.find("rule") || t.find(key)) continue;
      error("E0212", t.span, fmt::format("{} has no `{}`", path, key),
            fmt::format("`{}:` is {}", key, hook_form()->find(key)->doc));
    }
    if (found.size() == 1) return;
    const std::string help =
        "one of input, output, grad, grad_input, grad_output (an expression), "
        "capture, rule";
    if (found.empty()) return error("E0212", t.span, path + " does nothing", help);
    error("E0211", t.span, fmt::format("{} does several things: {}", path, fmt::join(found, ", ")),
          "write a hook for each");
  }

  void unknown(const Tree::Entry& e, const Form& form, const std::string& path) {
    const std::string& key = e.key.text();
    std::string help = advice(key, form, path);
    if (help.empty() && path == "data" && e.value.is_scalar())
      help = fmt::format("a split is a file or a mapping: `{}: {{split: 0.2}}`", key);
    if (help.empty()) help = fmt::format("there is {}", fmt::join(form.names(), ", "));
    const std::string where = path.empty() ? "a config" : fmt::format("`{}:`", path);
    error("E0211", e.key.span(), fmt::format("unknown key `{}` in {}", key, where), help);
  }

  Diagnostics& d_;
};

}  // namespace

void check_structure(const Tree& root, const SourceRef& file, Diagnostics& d) {
  const Span top = root.span ? root.span : Span{file, 1, 1, 1};
  if (!root.is_map()) {
    const bool colon = root.is_scalar() && root.text().find(':') != std::string::npos;
    d.add({"E0213",
           root.is_null() ? "the config is empty" : "a config is a mapping",
           root.is_null() ? top : root.span,
           colon ? "a space is missing behind a `:`" : "it starts with `nnm: 1` and has a `model:`",
           {}});
    return;
  }
  Checker checker(d);
  checker.require(root, config_form(), "", top);
  check_version(root, d);
  checker.value(root, config_form(), "");
}

void check_sections(const Tree& root, Diagnostics& d) { Checker(d).value(root, config_form(), ""); }

void check_version(const Tree& root, Diagnostics& d) {
  const Tree* version = root.find("nnm");
  if (!version || version->text() == "1") return;
  d.add({"E0215",
         fmt::format("version `{}` of the language is not known", version->text()),
         version->span,
         "this build reads `nnm: 1`",
         {}});
}

void check_form(const Tree& value, const Form& form, const std::string& path, Diagnostics& d) {
  Checker(d).value(value, form, path);
}

void check_hooks(const Tree& hooks, Diagnostics& d) {
  Checker(d).value(hooks, *config_form().find("hooks")->form, "hooks");
}

}  // namespace nnm::lang
