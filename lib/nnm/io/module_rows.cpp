// The module tree of a model as rows.
#include "nnm/io/module_rows.h"

#include <map>

namespace nnm::io {

std::vector<ModuleRow> module_rows(Module& root) {
  std::vector<ModuleRow> rows;
  std::map<Module*, std::string> seen;
  for (const auto& [path, m] : root.named_modules("", false)) {
    ModuleRow row{.name = path, .type = m->type_name()};
    const size_t dot = path.rfind('.');
    if (dot != std::string::npos) row.parent = path.substr(0, dot);
    for (const Tensor& p : m->parameters()) row.parameters += p.numel();
    const auto [first, is_new] = seen.try_emplace(m, path);
    if (!is_new) row.alias_of = first->second;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace nnm::io
