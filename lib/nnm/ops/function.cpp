// The table of all functions, joined from the rooms' tables on first use.
#include "nnm/ops/function.h"

#include <map>
#include <mutex>
#include <unordered_map>

namespace nnm {

namespace {

struct Tables {
  std::vector<std::pair<const Function*, size_t>> tables;
  std::map<std::string_view, const Function*> by_name;
  std::unordered_map<const Function*, Signature> signatures;
  std::mutex mutex;
};

// Made by the first static initialiser that registers; never destroyed.
Tables& all() {
  static Tables* t = new Tables;
  return *t;
}

/// The names, indexed once all tables are there. Call it with the mutex held.
const std::map<std::string_view, const Function*>& indexed(Tables& t) {
  for (const auto& [table, n] : t.tables) {
    for (size_t i = 0; i < n; ++i) t.by_name.emplace(table[i].name(), &table[i]);
  }
  t.tables.clear();
  return t.by_name;
}

}  // namespace

std::string_view Function::name() const {
  const std::string_view text(signature_text);
  return text.substr(0, text.find('('));
}

const Signature& Function::signature() const {
  Tables& t = all();
  std::lock_guard lock(t.mutex);
  const auto it = t.signatures.find(this);
  if (it != t.signatures.end()) return it->second;
  return t.signatures.emplace(this, Signature::parse(signature_text)).first->second;
}

const Function* find_function(std::string_view name) {
  Tables& t = all();
  std::lock_guard lock(t.mutex);
  const auto& names = indexed(t);
  const auto it = names.find(name);
  return it == names.end() ? nullptr : it->second;
}

std::vector<std::string_view> function_names() {
  Tables& t = all();
  std::lock_guard lock(t.mutex);
  std::vector<std::string_view> out;
  for (const auto& [name, f] : indexed(t)) out.push_back(name);
  return out;
}

bool register_functions(const Function* table, size_t n) {
  Tables& t = all();
  std::lock_guard lock(t.mutex);
  t.tables.emplace_back(table, n);
  return true;
}

}  // namespace nnm
