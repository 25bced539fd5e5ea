// Read from CLI11's declarations.
#include "cli/declared.h"

#include <CLI/CLI.hpp>

namespace nnm::cli {

namespace {

/// `{a,b}` in the type name that CLI11 makes of an option's checks.
std::vector<std::string> choices_of(const std::string& type) {
  const size_t begin = type.find('{'), end = type.find('}', begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

DeclaredOption declared(const CLI::Option& o) {
  DeclaredOption d;
  for (const std::string& name : o.get_snames()) d.names.push_back("-" + name);
  for (const std::string& name : o.get_lnames()) d.names.push_back("--" + name);
  d.doc = o.get_description();
  d.required = o.get_required();
  const bool flag = o.get_items_expected_max() == 0;
  if (flag) return d;
  const std::string type = o.get_type_name();
  d.choices = choices_of(type);
  const bool number =
      type.rfind("INT", 0) == 0 || type.rfind("UINT", 0) == 0 || type.rfind("FLOAT", 0) == 0;
  d.is_path = !number && d.choices.empty();
  d.value = number ? "N" : d.choices.empty() ? "TEXT" : "WORD";
  // Options that are read one by one as they come keep no list.
  d.many = o.get_items_expected_max() > 1 ||
           o.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeLast;
  return d;
}

}  // namespace

std::vector<DeclaredVerb> declared_verbs(App verb) {
  std::vector<DeclaredVerb> out;
  for (const CLI::App* app : (*verb).get_parent()->get_subcommands({})) {
    DeclaredVerb v{app->get_name(), app->get_description(), {}, {}};
    for (const CLI::Option* o : app->get_options()) {
      DeclaredOption d = declared(*o);
      if (d.names.empty()) {
        d.value = o->get_name(true);
        v.arguments.push_back(std::move(d));
      } else {
        v.options.push_back(std::move(d));
      }
    }
    out.push_back(std::move(v));
  }
  return out;
}

}  // namespace nnm::cli
