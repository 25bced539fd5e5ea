// Namespaces: what the names of classes mean in each file.
#include "nnm/lang/namespace.h"

#include <algorithm>

#include "nnm/nn/module.h"

namespace nnm::lang {

const Namespace* Namespace::import_of(std::string_view name) const {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return nullptr;
  for (const auto& [import, space] : imports) {
    if (import == name.substr(0, dot)) return space.get();
  }
  return nullptr;
}

const ClassDef* Namespace::find(std::string_view name) const {
  if (const Namespace* import = import_of(name))
    return import->find(name.substr(name.find('.') + 1));
  const auto at = std::find_if(classes.begin(), classes.end(),
                               [&](const ClassDef& c) { return c.name == name; });
  return at == classes.end() ? nullptr : &*at;
}

std::vector<std::string> Namespace::names() const {
  std::vector<std::string> out;
  for (const ClassDef& c : classes) out.push_back(c.name);
  for (const auto& [import, space] : imports) {
    for (const std::string& name : space->names()) out.push_back(import + "." + name);
  }
  return out;
}

namespace {

class Reader {
 public:
  Reader(Diagnostics& d, Diagnostics& warnings) : d_(d), warnings_(warnings) {}

  std::shared_ptr<const Namespace> read(const Tree& file, const std::string& prefix) {
    auto out = std::make_shared<Namespace>();
    out->prefix = prefix;
    if (const Tree* section = file.find("import")) {
      for (const Tree::Entry& e : section->entries) {
        out->imports.emplace_back(e.key.text(), read(e.value, prefix + e.key.text() + "."));
      }
    }
    const Tree* define = file.find("define");
    if (!define || !define->is_map()) return out;
    TypeNames types = out->names();
    for (const Tree::Entry& e : define->entries) types.push_back(e.key.text());
    for (const Tree::Entry& e : define->entries) {
      if (e.is_note()) continue;
      warn_of_hidden(e.key);
      out->classes.push_back(parse_class(e.key, e.value, d_, types));
      out->classes.back().home = out.get();
    }
    return out;
  }

 private:
  void warn_of_hidden(const Located& name) {
    if (!Registry<Module>::find(name.text())) return;
    warnings_.add({"W0201",
                   fmt::format("class {} hides the layer of that name", name.text()),
                   name.span(),
                   "give it another name",
                   {}});
  }

  Diagnostics& d_;
  Diagnostics& warnings_;
};

}  // namespace

std::shared_ptr<const Namespace> read_namespace(const Tree& config, Diagnostics& d,
                                                Diagnostics& warnings) {
  return Reader(d, warnings).read(config, "");
}

}  // namespace nnm::lang
