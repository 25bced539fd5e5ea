// Selectors over the names that a file holds.
#include "cli/selection.h"

#include <algorithm>

#include "nnm/base/items.h"

namespace nnm::cli {

namespace {

std::vector<NamedModule> named(const std::vector<io::ModuleRow>& modules) {
  std::vector<NamedModule> out;
  for (const io::ModuleRow& m : modules) out.push_back({m.name, m.type});
  return out;
}

// Groups as modules: every beginning of a path that ends before a dot.
std::vector<NamedModule> groups(const std::vector<std::string>& paths) {
  std::set<std::string> seen;
  for (const std::string& p : paths)
    for (size_t dot = p.find('.'); dot != std::string::npos; dot = p.find('.', dot + 1))
      seen.insert(p.substr(0, dot));
  std::vector<NamedModule> out = {{"", "group"}};
  for (const std::string& s : seen) out.push_back({s, "group"});
  return out;
}

void add_names(const io::H5Node& node, std::vector<std::string>& names) {
  if (!node.group) names.push_back(node.path.substr(1));
  for (const io::H5Node& c : node.children) add_names(c, names);
}

/// Paths as HDF5 writes them, `/a/b`, in the form of selectors.
std::string dotted(const std::string& select) {
  std::string out;
  bool begins = true;  // an item
  for (const char c : select) {
    if (c != '/') out += c;
    else if (!begins) out += '.';
    begins = c == ',' || (begins && c == ' ');
  }
  return out;
}

}  // namespace

std::vector<std::string> dataset_names(const io::H5Node& node) {
  std::vector<std::string> out;
  add_names(node, out);
  return out;
}

std::set<std::string> select_tensors(const std::vector<io::ModuleRow>& modules,
                                     const std::vector<std::string>& names,
                                     const std::string& select) {
  std::vector<std::string> paths = names;
  if (modules.empty())
    for (std::string& p : paths) std::replace(p.begin(), p.end(), '/', '.');
  std::vector<NamedTensor> tensors;
  for (const std::string& p : paths) {
    const size_t dot = p.rfind('.');
    const bool nested = dot != std::string::npos;
    tensors.push_back({nested ? p.substr(0, dot) : "", nested ? p.substr(dot + 1) : p});
  }
  const Scope scope(modules.empty() ? groups(paths) : named(modules), std::move(tensors));
  const Selector s = Selector::parse(modules.empty() ? dotted(select) : select);
  std::set<std::string> out;
  require_matches(scope, s,
                  [&](const Selector& item) { return !scope.tensors(item, true).empty(); });
  for (size_t i : scope.tensors(s, true)) out.insert(names[i]);
  return out;
}

std::set<std::string> select_sites(const std::vector<io::ModuleRow>& modules,
                                   const std::vector<io::TraceSite>& sites,
                                   const std::string& select) {
  // The root's sites go by its class, unless a module has that name.
  std::set<std::string> paths, roots;
  for (const io::ModuleRow& m : modules) {
    paths.insert(m.name);
    if (m.name.empty()) roots.insert(m.type);
  }
  std::vector<NamedTensor> tensors;
  std::vector<size_t> site_of;
  const auto path_of = [&](const io::TraceSite& s) {
    return !paths.contains(s.module) && roots.contains(s.module) ? "" : s.module;
  };
  for (size_t i = 0; i < sites.size(); ++i) {
    const io::TraceSite& s = sites[i];
    // Parameters go by their own names: `weight` is one of them, not all that was recorded as such.
    std::vector<std::string> names = {s.what == "weight" ? s.arg : s.what};
    if (s.what == "weight_grad") names.push_back(s.arg);
    for (const std::string& name : names) {
      tensors.push_back({path_of(s), name});
      site_of.push_back(i);
    }
  }
  const Scope scope(named(modules), std::move(tensors));
  const Selector s = Selector::parse(select);
  require_matches(scope, s, [&](const Selector& item) {
    return !scope.modules(item).empty() || !scope.tensors(item).empty();
  });
  std::set<std::string> chosen, out;
  for (size_t i : scope.modules(s)) chosen.insert(modules[i].name);
  const auto add = [&](const io::TraceSite& site) {
    out.insert(site.module + "/" + site.what + "/" + site.arg);
  };
  for (const io::TraceSite& site : sites)
    if (chosen.contains(path_of(site))) add(site);
  for (size_t i : scope.tensors(s)) add(sites[site_of[i]]);
  return out;
}

}  // namespace nnm::cli
