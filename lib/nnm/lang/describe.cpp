// Leaves of a config's tree with their paths.
#include "nnm/lang/describe.h"

#include <unordered_map>

#include "nnm/base/json.h"
#include "nnm/lang/structure.h"
#include "nnm/lang/vars.h"

namespace nnm::lang {

std::string origin_of(const Tree& value) {
  if (value.origin.starts_with("--set")) return "--set";
  if (!value.origin.empty()) return value.origin;
  const Span& at = value.span;
  return at ? fmt::format("{}:{}", at.file->path, at.line) : "";
}

namespace {

/// Whether a text is one without quotes, too.
bool is_word(const std::string& text) {
  return !text.empty() && text != "null" && text != "~" && core_type(text) == CoreType::text;
}

void collect(const Tree& t, const std::string& path, std::vector<ConfigValue>& out) {
  if (t.is_map() && !t.entries.empty()) {
    for (const Tree::Entry& e : t.entries)
      collect(e.value, path.empty() ? e.key.text() : path + "." + e.key.text(), out);
  } else if (t.is_list() && !t.items.empty()) {
    for (size_t i = 0; i < t.items.size(); ++i)
      collect(t.items[i], fmt::format("{}[{}]", path, i), out);
  } else {
    const bool bare = t.is_scalar() && (t.style == Tree::Style::plain || is_word(t.text()));
    out.push_back({path, bare ? t.text() : write_flow(t), origin_of(t)});
  }
}

void write(Json& j, const Tree& t) {
  switch (t.kind) {
    case Tree::Kind::null: j.value(nullptr); return;
    case Tree::Kind::list:
      j.array();
      for (const Tree& item : t.items) write(j, item);
      j.end();
      return;
    case Tree::Kind::map:
      j.object();
      for (const Tree::Entry& e : t.entries) {
        j.key(e.key.text());
        write(j, e.value);
      }
      j.end();
      return;
    case Tree::Kind::scalar: break;
  }
  const CoreType type = t.style == Tree::Style::plain ? core_type(t.text()) : CoreType::text;
  if (type == CoreType::boolean) {
    j.value((t.text()[0] | 0x20) == 't');
  } else if (type == CoreType::integer || type == CoreType::real) {
    j.value(core_number(t));
  } else {
    j.value(t.text());
  }
}

}  // namespace

std::vector<ConfigValue> values_of(const Tree& tree) {
  std::vector<ConfigValue> out;
  collect(tree, "", out);
  return out;
}

std::vector<ConfigDifference> compare(const Tree& a, const Tree& b) {
  const std::vector<ConfigValue> left = values_of(a), right = values_of(b);
  std::unordered_map<std::string, const ConfigValue*> of_b, of_a;
  for (const ConfigValue& v : right) of_b.emplace(v.path, &v);
  for (const ConfigValue& v : left) of_a.emplace(v.path, &v);
  std::vector<ConfigDifference> out;
  for (const ConfigValue& v : left) {
    const auto other = of_b.find(v.path);
    if (other == of_b.end()) {
      out.push_back({v.path, v, {}});
    } else if (other->second->value != v.value) {
      out.push_back({v.path, v, *other->second});
    }
  }
  for (const ConfigValue& v : right) {
    if (!of_a.count(v.path)) out.push_back({v.path, {}, v});
  }
  return out;
}

std::string write_json(const Tree& tree) {
  Json j(2);
  write(j, tree);
  return j.text();
}

}  // namespace nnm::lang
