// Writes trees as YAML that reads back to the same tree.
#include <algorithm>

#include "nnm/base/text.h"
#include "nnm/lang/structure.h"
#include "nnm/lang/tree.h"

namespace nnm::lang {

namespace {

constexpr size_t kMaxSimpleKey = 1000;  // YAML finds the `:` of a key within 1024 characters

/// Whether a plain scalar reads back as this text, also as a key.
bool plain_is_safe(const std::string& s) {
  if (s.empty() || s == "~" || s == "null" || s == "Null" || s == "NULL" || s == "<<") return false;
  if (s.front() == ' ' || s.back() == ' ' || s.back() == ':') return false;
  if (std::string_view("[]{}!&*@>|%`\"'#,?").find(s.front()) != std::string_view::npos)
    return false;
  if (s.front() == '-' && (s.size() == 1 || s[1] == ' ' || s[1] == '-')) return false;
  if (s.starts_with(": ") || s.starts_with("...")) return false;
  if (s.find(": ") != s.npos || s.find(" #") != s.npos) return false;
  return std::none_of(s.begin(), s.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

class Writer {
 public:
  explicit Writer(const std::function<std::string(const Tree&)>& note) : note_(note) {}

  std::string text(const Tree& t) {
    if (t.is_map() && !t.entries.empty()) {
      map(t, 0, false);
    } else if (t.is_list() && !t.items.empty()) {
      list(t, 0, false);
    } else {
      end_line(t);
    }
    return note_ ? aligned() : std::move(out_);
  }

 private:
  static std::string leaf(const Tree& t) {
    switch (t.kind) {
      case Tree::Kind::null: return "null";
      case Tree::Kind::map: return "{}";
      case Tree::Kind::list: return "[]";
      case Tree::Kind::scalar: break;
    }
    const bool plain = t.style == Tree::Style::plain && plain_is_safe(t.text());
    return plain ? t.text() : quoted(t.text());
  }
  static bool nested(const Tree& t) {
    return (t.is_map() && !t.entries.empty()) || (t.is_list() && !t.items.empty());
  }

  void end_line(const Tree& t) {
    out_ += leaf(t);
    if (note_) notes_.emplace_back(out_.size(), note_(t));
    out_ += "\n";
  }

  /// The text with its comments in one column, but for those of long lines.
  std::string aligned() const {
    constexpr size_t kWidest = 60;
    const auto width = [&](size_t end) {
      const size_t start = out_.rfind('\n', end - 1);
      return code_points(std::string_view(out_).substr(start + 1, end - start - 1));
    };
    size_t column = 0;
    for (const auto& [end, note] : notes_) column = std::max(column, std::min(width(end), kWidest));
    std::string text;
    size_t begin = 0;
    for (const auto& [end, note] : notes_) {
      text += out_.substr(begin, end - begin);
      if (!note.empty())
        text += std::string(std::max(column, width(end)) - width(end) + 2, ' ') + "# " + note;
      begin = end;
    }
    return text + out_.substr(begin);
  }

  void start_line(int indent, bool& inline_first) {
    if (!std::exchange(inline_first, false)) out_.append(static_cast<size_t>(indent), ' ');
  }

  /// `inline_first`: the first entry stands behind the `- ` of a list item.
  void map(const Tree& t, int indent, bool inline_first) {
    for (const Tree::Entry& e : t.entries) {
      start_line(indent, inline_first);
      const std::string& key = e.key.text();
      const std::string name = plain_is_safe(key) ? key : quoted(key);
      if (name.size() > kMaxSimpleKey) {
        out_ += "? " + name + "\n" + std::string(static_cast<size_t>(indent), ' ') + ":";
      } else {
        out_ += name + ":";
      }
      value(e.value, indent);
    }
  }

  void value(const Tree& t, int indent) {
    if (!nested(t)) {
      out_ += " ";
      return end_line(t);
    }
    out_ += "\n";
    t.is_map() ? map(t, indent + 2, false) : list(t, indent + 2, false);
  }

  void list(const Tree& t, int indent, bool inline_first) {
    for (const Tree& item : t.items) {
      start_line(indent, inline_first);
      out_ += "- ";
      if (!nested(item)) {
        end_line(item);
      } else if (item.is_map()) {
        map(item, indent + 2, true);
      } else {
        list(item, indent + 2, true);
      }
    }
  }

  const std::function<std::string(const Tree&)>& note_;
  std::string out_;
  std::vector<std::pair<size_t, std::string>> notes_;  ///< behind which byte of out_, and what
};

}  // namespace

std::string write_yaml(const Tree& tree, const std::function<std::string(const Tree&)>& note) {
  return Writer(note).text(tree);
}

std::string write_flow(const Tree& t) {
  std::string out;
  switch (t.kind) {
    case Tree::Kind::null: return "null";
    case Tree::Kind::scalar:
      return t.style == Tree::Style::plain && core_type(t.text()) != CoreType::text
                 ? t.text()
                 : quoted(t.text());
    case Tree::Kind::list:
      for (const Tree& item : t.items) out += (out.empty() ? "" : ", ") + write_flow(item);
      return "[" + out + "]";
    case Tree::Kind::map: break;
  }
  for (const Tree::Entry& e : t.entries)
    out += (out.empty() ? "" : ", ") + quoted(e.key.text()) + ": " + write_flow(e.value);
  return "{" + out + "}";
}

}  // namespace nnm::lang
