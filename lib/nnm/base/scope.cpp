// Selection among all names of a model, and what to say when nothing matches.
#include <algorithm>
#include <map>
#include <set>

#include "nnm/base/glob.h"
#include "nnm/base/select.h"
#include "nnm/base/signature.h"

namespace nnm {

namespace {

enum Reading : char { kPath, kType };

}  // namespace

Scope::Scope(std::vector<NamedModule> modules, std::vector<NamedTensor> tensors)
    : module_list_(std::move(modules)), tensor_list_(std::move(tensors)) {
  std::map<std::string_view, const std::string*> types;
  for (const NamedModule& m : module_list_) types.emplace(m.path, &m.type);
  static const std::string unknown;
  const auto name_of = [&](std::string_view path, const std::string* tensor) {
    Name name;
    const auto type_at = [&](size_t length) {
      const auto it = types.find(path.substr(0, length));
      name.types.push_back(it == types.end() ? &unknown : it->second);
    };
    type_at(0);
    for (size_t begin = 0; begin < path.size();) {
      const size_t end = std::min(path.find('.', begin), path.size());
      name.segments.push_back(path.substr(begin, end - begin));
      type_at(end);
      begin = end + 1;
    }
    if (tensor) name.segments.push_back(*tensor);
    return name;
  };
  for (const NamedModule& m : module_list_) module_names_.push_back(name_of(m.path, nullptr));
  for (const NamedTensor& t : tensor_list_) tensor_names_.push_back(name_of(t.module, &t.name));
}

std::vector<char> Scope::readings(const Selector& s) const {
  std::vector<char> out;
  for (const auto& pattern : s.patterns_) {
    const auto is_path = [&](const Name& n) { return glob_path(pattern, 0, n.segments, 0); };
    const bool path = std::any_of(module_names_.begin(), module_names_.end(), is_path) ||
                      std::any_of(tensor_names_.begin(), tensor_names_.end(), is_path);
    out.push_back(path ? kPath : kType);
  }
  return out;
}

bool Scope::selects(const Selector& s, const std::vector<char>& readings, const Name& name) {
  for (size_t i = 0; i < s.patterns_.size(); ++i) {
    const auto& pattern = s.patterns_[i];
    if (readings[i] == kPath ? glob_path(pattern, 0, name.segments, 0)
                             : glob_type(pattern, name.segments, name.types)) {
      return true;
    }
  }
  return false;
}

std::vector<size_t> Scope::modules(const Selector& s) const {
  const std::vector<char> reading = readings(s);
  std::vector<size_t> out;
  for (size_t i = 0; i < module_names_.size(); ++i) {
    if (selects(s, reading, module_names_[i])) out.push_back(i);
  }
  return out;
}

std::vector<size_t> Scope::tensors(const Selector& s, bool below) const {
  const std::vector<char> reading = readings(s);
  std::vector<size_t> out;
  for (size_t i = 0; i < tensor_names_.size(); ++i) {
    Name name = tensor_names_[i];
    bool hit = selects(s, reading, name);
    // The modules that enclose it, innermost first.
    while (below && !hit && !name.segments.empty()) {
      name.segments.pop_back();
      name.types.resize(name.segments.size() + 1);
      hit = selects(s, reading, name);
    }
    if (hit) out.push_back(i);
  }
  return out;
}

namespace {

std::string joined(const std::vector<std::string>& segments) {
  std::string out;
  for (const std::string& s : segments) out += (out.empty() ? "" : ".") + s;
  return out;
}

template <class Names>
std::string first_few(const Names& names) {
  constexpr size_t kMost = 8;
  std::string out;
  size_t count = 0;
  for (const auto& name : names)
    if (count++ < kMost) out += fmt::format("{}`{}`", out.empty() ? "" : ", ", name);
  return count > kMost ? out + ", …" : out;
}

std::string below_text(const std::string& path, const std::set<std::string>& names) {
  return fmt::format("below `{}` there is {}", path, first_few(names));
}

}  // namespace

std::string Scope::path_suggestion(const Selector::Segments& pattern) const {
  // The first segment at which no name goes on is the one that is wrong.
  Selector::Segments before;
  for (size_t i = 0; i < pattern.size(); before.push_back(pattern[i++])) {
    const bool anywhere = std::find(before.begin(), before.end(), "**") != before.end();
    std::set<std::string> here;
    bool goes_on = pattern[i] == "**";
    const auto look = [&](const Name& n) {
      const size_t last = anywhere ? n.segments.size() : std::min(i + 1, n.segments.size());
      for (size_t j = anywhere ? 0 : i; j < last; ++j) {
        const std::vector<std::string_view> head(n.segments.begin(),
                                                 n.segments.begin() + static_cast<long>(j));
        if (!glob_path(before, 0, head, 0)) continue;
        here.emplace(n.segments[j]);
        goes_on |= glob_segment(pattern[i], n.segments[j]);
      }
    };
    std::for_each(module_names_.begin(), module_names_.end(), look);
    std::for_each(tensor_names_.begin(), tensor_names_.end(), look);
    if (goes_on) continue;
    if (i == 0) {
      for (const NamedModule& m : module_list_) here.insert(m.type);
    }
    Selector::Segments better = pattern;
    better[i] = nearest(pattern[i], {here.begin(), here.end()});
    if (!better[i].empty()) return fmt::format("did you mean `{}`?", joined(better));
    return i > 0 && !here.empty() ? below_text(joined(before), here) : "";
  }
  return "";
}

std::string Scope::type_suggestion(const Selector::Segments& pattern) const {
  std::set<std::string> below;
  for (const auto* names : {&module_names_, &tensor_names_}) {
    for (const Name& n : *names) {
      for (size_t d = 0; d < n.segments.size() && d < n.types.size(); ++d) {
        if (*n.types[d] == pattern[0]) below.emplace(n.segments[d]);
      }
    }
  }
  Selector::Segments better = pattern;
  better[1] = nearest(pattern[1], {below.begin(), below.end()});
  if (!better[1].empty()) return fmt::format("did you mean `{}`?", joined(better));
  return below.empty() ? "" : below_text(pattern[0], below);
}

Error Scope::no_match(const Selector& s) const {
  std::string hint;
  for (const auto& pattern : s.patterns_) {
    const auto of_type = [&](const NamedModule& m) { return m.type == pattern[0]; };
    const bool type =
        pattern.size() > 1 && std::any_of(module_list_.begin(), module_list_.end(), of_type);
    if (hint.empty()) hint = type ? type_suggestion(pattern) : path_suggestion(pattern);
  }
  std::vector<std::string> children;
  // What two files have is known by one name.
  for (const Name& n : module_names_)
    if (n.segments.size() == 1 &&
        std::find(children.begin(), children.end(), n.segments[0]) == children.end())
      children.emplace_back(n.segments[0]);
  if (hint.empty() && !children.empty())
    hint = fmt::format("the model's children are {}", first_few(children));
  return Error(ErrorKind::config, fmt::format("`{}` matches nothing in the model", s.text()), hint);
}

}  // namespace nnm
