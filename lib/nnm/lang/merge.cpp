// Deep merge, which knows where layers stand.
#include "nnm/lang/merge.h"

#include <unordered_map>

#include "nnm/lang/parser.h"

namespace nnm::lang {

namespace {

/// What the keys of a mapping are, as far as merging must know it.
enum class Holds : uint8_t {
  file,     ///< sections
  define,   ///< classes
  klass,    ///< a class
  block,    ///< children, lets, headers
  layer,    ///< one type of layer
  imports,  ///< names of files
  whole,    ///< an import: replaced as one
  data      ///< anything else
};

Holds below(Holds holds, const std::string& key) {
  switch (holds) {
    case Holds::file:
      if (key == "define") return Holds::define;
      if (key == "model") return Holds::layer;
      return key == "import" ? Holds::imports : Holds::data;
    case Holds::define: return Holds::klass;
    case Holds::klass: return key == "modules" ? Holds::block : Holds::data;
    case Holds::block:
      if (key == "let") return Holds::data;
      return is_header(key) ? Holds::block : Holds::layer;
    case Holds::layer: {
      const bool container = key == "Sequential" || key == "ModuleList" || key == "ModuleDict";
      return container ? Holds::block : Holds::data;
    }
    case Holds::imports: return Holds::whole;
    case Holds::whole:
    case Holds::data: break;
  }
  return Holds::data;
}

bool replaces(Holds holds, const Tree& base, const Tree& over) {
  if (!base.is_map() || !over.is_map() || holds == Holds::whole) return true;
  return holds == Holds::layer && base.entries.size() == 1 && over.entries.size() == 1 &&
         base.entries[0].key.text() != over.entries[0].key.text();
}

void merge(Tree& base, Tree over, Holds holds) {
  if (over.is_null() && over.absent) return;
  if (replaces(holds, base, over)) {
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
      merge(base.entries[there->second].value, std::move(e.value), below(holds, e.key.text()));
    }
  }
}

}  // namespace

void merge_config(Tree& base, Tree over) { merge(base, std::move(over), Holds::file); }

}  // namespace nnm::lang
