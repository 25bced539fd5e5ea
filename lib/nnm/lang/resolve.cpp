// Defaults and paths, by the table of sections.
#include "nnm/lang/resolve.h"

#include <algorithm>
#include <filesystem>

#include "nnm/base/file.h"
#include "nnm/lang/expression.h"
#include "nnm/lang/lexer.h"
#include "nnm/lang/sections.h"

namespace nnm::lang {

namespace {

namespace fs = std::filesystem;

/// Whether the key's default holds in a mapping that leaves it out.
bool falls_back(const Tree& t, const Key& key) {
  const auto stands = [&t](const char* other) { return t.find(other) != nullptr; };
  return key.fallback &&
         (key.beside.empty() || std::any_of(key.beside.begin(), key.beside.end(), stands));
}

void fill(Tree& t, const Form& form) {
  if (form.item)
    for (Tree& item : t.items) fill(item, *form.item);
  if (!t.is_map()) return;
  for (Tree::Entry& e : t.entries)
    if (form.other && !form.find(e.key.text())) fill(e.value, *form.other);
  for (const Key& key : form.keys) {
    Tree* there = t.find(key.name);
    if (falls_back(t, key) && (!there || there->is_null())) {
      Tree value = read_yaml(std::make_shared<SourceFile>("default", key.fallback));
      value.mark("default");
      if (there) {
        *there = std::move(value);
      } else {
        t.entries.push_back({Located(key.name, nullptr, 0), std::move(value)});
      }
    } else if (there) {
      fill(*there, *key.form);
    }
  }
}

class Rebase {
 public:
  Rebase(std::string folder, const Value& vars) : folder_(std::move(folder)), vars_(vars) {}

  void value(Tree& t, const Form& form) {
    if (form.anything) return;
    if (t.is_scalar() && form.scalar == Form::Scalar::path) path(t, 0);
    if (t.is_scalar() && form.scalar == Form::Scalar::code) code(t);
    if (form.item) {
      for (Tree& item : t.items) value(item, *form.item);
    }
    // Beside `file:` stand the names of its columns.
    const bool columns = form.find("file") && t.find("file");
    for (Tree::Entry& e : t.entries) {
      const Key* key = form.find(e.key.text());
      if (key) {
        value(e.value, *key->form);
      } else if (form.other && !columns) {
        value(e.value, *form.other);
      }
      const bool merges = key && e.key.text() == "tokenizer" && e.value.text().starts_with("bpe:");
      if (merges) path(e.value, 4);
    }
  }

 private:
  /// What stands before the relative paths of a file, from `folder_`: "", or "../base/".
  std::string prefix_of(const Located& text) const {
    if (!text.file()) return {};
    std::error_code ignored;
    const fs::path from = fs::absolute(folder_of(text.file()->path), ignored).lexically_normal();
    const fs::path to = fs::absolute(folder_, ignored).lexically_normal();
    const std::string way = (from / "").lexically_relative(to / "").string();
    if (way.empty()) return from.string() + "/";
    return way == "." || way == "./" ? "" : way + (way.ends_with('/') ? "" : "/");
  }

  void path(Tree& t, size_t begin) const {
    const std::string& text = t.text();
    begin = std::min(text.find_first_not_of(' ', begin), text.size());
    if (begin == text.size() || absolute(t.scalar.part(begin, text.size()))) return;
    const std::string prefix = prefix_of(t.scalar);
    if (prefix.empty()) return;
    const std::string moved = fs::path(prefix + text.substr(begin)).lexically_normal().string();
    t.scalar = Located(text.substr(0, begin) + moved, t.scalar.file(), t.scalar.source_offset(0));
  }
  bool absolute(const Located& text) const {
    if (!text.text().starts_with("${")) return text.text().starts_with('/');
    try {
      return evaluate_text(text, vars_).starts_with('/');
    } catch (const Error&) {
      return true;  // who reads the path says what is wrong with it
    }
  }
  static void insert(Tree& t, size_t at, const std::string& prefix) {
    if (prefix.empty()) return;
    std::string text = t.text();
    t.scalar = Located(text.insert(at, prefix), t.scalar.file(), t.scalar.source_offset(0));
  }

  /// The path in `load("clean.h5", "…")`.
  void code(Tree& t) const {
    const std::string prefix = prefix_of(t.scalar);
    if (prefix.empty() || t.text().find("load") == std::string::npos) return;
    const Located whole = t.scalar;
    const std::vector<Token> tokens = tokenize(whole);
    // From the back, so that the places before stay.
    for (size_t i = tokens.size(); i-- > 0;) {
      const bool call = tokens[i].kind == Token::Kind::name && tokens[i].text == "load" &&
                        i + 1 < tokens.size() && tokens[i + 1].is("(");
      size_t first = i + 2;
      if (call && first + 1 < tokens.size() && tokens[first].text == "path" &&
          tokens[first + 1].is("="))
        first += 2;
      if (!call || first >= tokens.size()) continue;
      const size_t at = tokens[first].begin;
      const char quote = whole.text()[at];
      if ((quote == '"' || quote == '\'') && whole.text()[at + 1] != '/') insert(t, at + 1, prefix);
    }
  }

  std::string folder_;
  const Value& vars_;
};

}  // namespace

void fill_defaults(Tree& root) { fill(root, config_form()); }

void rebase_paths(Tree& root, const std::string& folder, const Value& vars) {
  Rebase(folder, vars).value(root, config_form());
}

}  // namespace nnm::lang
