// How modules print.
#include <cxxabi.h>

#include <cstdlib>
#include <typeinfo>

#include "nnm/nn/module.h"
#include "nnm/nn/repr.h"

namespace nnm {

std::string Module::type_name() const {
  int status = 0;
  char* demangled = abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : typeid(*this).name();
  std::free(demangled);
  name = name.substr(0, name.find('<'));
  const size_t colon = name.rfind("::");
  return colon == std::string::npos ? name : name.substr(colon + 2);
}

std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string arguments_text(const Signature& signature, const Values& values,
                           std::initializer_list<std::string_view> names) {
  std::string out;
  for (std::string_view name : names) {
    const bool bare = name.starts_with('='), if_changed = name.ends_with('?');
    name = name.substr(bare ? 1 : 0, name.size() - (bare ? 1 : 0) - (if_changed ? 1 : 0));
    const auto i = static_cast<size_t>(signature.index_of(name));
    const std::optional<Value>& fallback = signature.params()[i].fallback;
    if (if_changed && fallback && values[i] == *fallback) continue;
    if (!out.empty()) out += ", ";
    if (!bare) out.append(name).append("=");
    out += values[i].repr();
  }
  return out;
}

std::string Module::repr() const {
  const std::string extra = extra_repr();
  if (modules_.empty() && extra.find('\n') == std::string::npos) {
    return type_name() + "(" + extra + ")";
  }
  std::string out = type_name() + "(\n";
  if (!extra.empty()) out += "  " + indented(extra) + "\n";
  for (const auto& slot : modules_) {
    const std::string child = slot->value ? indented(slot->value->repr()) : "None";
    out += fmt::format("  ({}): {}\n", slot->name, child);
  }
  return out + ")";
}

std::string str(std::span<const Ref<ModuleSlot>> modules) {
  Items out;
  for (const auto& slot : modules) out.emplace_back(slot->name, slot->value);
  return Value::dict(std::move(out)).repr();
}

}  // namespace nnm
