// Deep merge, which knows where layers stand.
#include "nnm/lang/merge.h"

#include <unordered_map>

#include "nnm/lang/parser.h"

namespace nnm::lang {

namespace {

/// What the keys of a mapping are, as far as merging must know it.
enum class Place : uint8_t {
  file,     ///< sections
  define,   ///< classes
  klass,    ///< a class
  block,    ///< children, lets, headers
  layer,    ///< one type of layer
  imports,  ///< names of files
  whole,    ///< an import: replaced as one
  data      ///< anything else
};

Place below(Place place, const std::string& key) {
  switch (place) {
    case Place::file:
      if (key == "define") return Place::define;
      if (key == "model") return Place::layer;
      return key == "import" ? Place::imports : Place::data;
    case Place::define: return Place::klass;
    case Place::klass: return key == "modules" ? Place::block : Place::data;
    case Place::block:
      if (key == "let") return Place::data;
      return is_header(key) ? Place::block : Place::layer;
    case Place::layer: {
      const bool container = key == "Sequential" || key == "ModuleList" || key == "ModuleDict";
      return container ? Place::block : Place::data;
    }
    case Place::imports: return Place::whole;
    case Place::whole:
    case Place::data: break;
  }
  return Place::data;
}

bool replaces(Place place, const Tree& base, const Tree& over) {
  if (!base.is_map() || !over.is_map() || place == Place::whole) return true;
  return place == Place::layer && base.entries.size() == 1 && over.entries.size() == 1 &&
         base.entries[0].key.text() != over.entries[0].key.text();
}

void merge(Tree& base, Tree over, Place place) {
  if (over.is_null() && over.absent) return;
  if (replaces(place, base, over)) {
    base = std::move(over);
    return;
  }
  std::unordered_map<std::string, size_t> index;
  for (const Tree::Entry& e : base.entries) index.emplace(e.key.text(), index.size());
  for (Tree::Entry& e : over.entries) {
    const auto there = index.find(e.key.text());
    if (there == index.end()) {
      base.entries.push_back(std::move(e));
    } else {
      merge(base.entries[there->second].value, std::move(e.value), below(place, e.key.text()));
    }
  }
}

}  // namespace

void merge_config(Tree& base, Tree over) { merge(base, std::move(over), Place::file); }

}  // namespace nnm::lang
