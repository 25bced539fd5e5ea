// Containers of modules.
#include "nnm/nn/layers/container.h"

#include <algorithm>

#include "nnm/base/slice.h"
#include "nnm/nn/layers/fused.h"
#include "nnm/nn/repr.h"

namespace nnm::nn {

namespace {

constexpr std::string_view kListNames[] = {"append", "extend", "insert", "pop"};
constexpr std::string_view kDictNames[] = {"clear", "items", "keys", "pop", "update", "values"};

}  // namespace

std::span<const std::string_view> IndexedContainer::member_names() const { return kListNames; }
std::span<const std::string_view> ModuleDict::member_names() const { return kDictNames; }

size_t IndexedContainer::wrap(int64_t index) const {
  const auto n = static_cast<int64_t>(size());
  NNM_CHECK(index >= -n && index < n, index, "index {} is out of range", index);
  return static_cast<size_t>(index < 0 ? index + n : index);
}

std::string IndexedContainer::name_of(int64_t index) const {
  const size_t i = wrap(index);
  const ModuleSlot* const slot = slot_of(i);
  return slot ? slot->name : std::to_string(i);
}

Ref<Module> IndexedContainer::at(int64_t index) const {
  const size_t i = wrap(index);
  const ModuleSlot* const slot = slot_of(i);
  NNM_CHECK(slot, key, "'{}'", i);
  return slot->value;
}

Module& IndexedContainer::operator[](int64_t index) const {
  const Ref<Module> m = at(index);
  NNM_CHECK(m, type, "child {} of {} is None", index, type_name());
  return *m;
}

std::vector<Ref<Module>> IndexedContainer::modules_list() const {
  std::vector<Ref<Module>> out;
  for (const auto& slot : module_slots()) out.push_back(slot->value);
  return out;
}

void IndexedContainer::set(int64_t index, Ref<Module> m) { set_attribute(name_of(index), m); }

void IndexedContainer::remove(int64_t index) {
  delete_attribute(name_of(index));
  renumber();
}

void IndexedContainer::remove(std::optional<int64_t> start, std::optional<int64_t> stop,
                              int64_t step) {
  std::vector<std::string> names;
  for (size_t i : slice_positions(start, stop, step, size()))
    names.push_back(name_of(static_cast<int64_t>(i)));
  for (const std::string& name : names) delete_attribute(name);
  renumber();
}

Ref<Module> IndexedContainer::pop(int64_t index) {
  Ref<Module> m = at(index);
  remove(index);
  return m;
}

void IndexedContainer::renumber() {
  auto& slots = mutable_module_slots();
  for (size_t i = 0; i < slots.size(); ++i) slots[i]->name = std::to_string(i);
}

void IndexedContainer::shift_in(int64_t index, Ref<Module> m) {
  auto& slots = mutable_module_slots();
  auto find = [&slots](const std::string& name) {
    return std::find_if(slots.begin(), slots.end(), [&](const auto& s) { return s->name == name; });
  };
  auto put = [&](const std::string& name, Ref<Module> value) {
    const auto at = find(name);
    if (at == slots.end()) slots.push_back(make_ref<ModuleSlot>(name, std::move(value)));
    else (*at)->value = std::move(value);
  };
  for (int64_t i = static_cast<int64_t>(size()); i > index; --i) {
    const std::string from = std::to_string(i - 1);
    const auto at = find(from);
    NNM_CHECK(at != slots.end(), key, "'{}'", from);
    put(std::to_string(i), Ref<Module>((*at)->value));
  }
  put(std::to_string(index), std::move(m));
}

Sequential::Sequential(NamedRefs named) {
  for (auto& [name, m] : named) add_module(name, std::move(m));
}

Value Sequential::forward(const Value& x) {
  if (x.holds<Tensor>()) return run(x.as<Tensor>(), 0);
  return run(x, 0);
}

// From one child to the next by index and with an own reference: a hook may replace or remove what
// is being called.
Ref<Module> Sequential::callable(size_t i) const {
  Ref<Module> m = module_slots()[i]->value;
  NNM_CHECK(m, type, "'NoneType' object is not callable");
  return m;
}

Value Sequential::run(Tensor x, size_t first) {
  for (size_t i = first; i < module_slots().size(); ++i) {
    if (const size_t n = run_fused(module_slots(), i, x)) {
      i += n - 1;
      continue;
    }
    const Ref<Module> m = callable(i);
    if (m->is_plain()) {
      x = (*m)(x);
      continue;
    }
    Value out = (*m)(Value(x));
    if (!out.holds<Tensor>()) return run(std::move(out), i + 1);
    x = out.as<Tensor>();
  }
  return x;
}

Value Sequential::run(Value x, size_t first) {
  for (size_t i = first; i < module_slots().size(); ++i) {
    x = (*callable(i))(x);
    if (x.holds<Tensor>()) return run(x.as<Tensor>(), i + 1);
  }
  return x;
}

Tensor Sequential::forward(const Tensor& x) { return output_tensor(run(x, 0)); }

Value Sequential::forward(const Args& args) { return forward(only_input(args)); }

Sequential& Sequential::append(Ref<Module> m) {
  add_module(std::to_string(size()), std::move(m));
  return *this;
}

Sequential& Sequential::insert(int64_t index, Ref<Module> m) {
  NNM_CHECK(m, assertion, "module should be of type: <class 'torch.nn.modules.module.Module'>");
  const auto n = static_cast<int64_t>(size());
  NNM_CHECK(index >= -n && index <= n, index, "Index out of range: {}", index);
  shift_in(index < 0 ? index + n : index, std::move(m));
  return *this;
}

Sequential& Sequential::extend(const std::vector<Ref<Module>>& modules) {
  for (const Ref<Module>& m : modules) append(m);
  return *this;
}

Sequential& Sequential::operator+=(const Sequential& other) {
  const size_t offset = size();
  const std::vector<Ref<Module>> added = other.modules_list();
  for (size_t i = 0; i < added.size(); ++i) add_module(std::to_string(offset + i), added[i]);
  return *this;
}

Sequential& Sequential::operator*=(int64_t times) {
  NNM_CHECK(times > 0, value,
            "Non-positive multiplication factor {} for <class "
            "'torch.nn.modules.container.Sequential'>",
            times);
  const std::vector<Ref<Module>> once = modules_list();
  size_t next = once.size();
  for (int64_t t = 1; t < times; ++t) {
    for (const Ref<Module>& m : once) add_module(std::to_string(next++), m);
  }
  return *this;
}

Ref<Sequential> Sequential::slice(std::optional<int64_t> start, std::optional<int64_t> stop,
                                  int64_t step) const {
  NamedRefs named;
  for (size_t i : slice_positions(start, stop, step, size()))
    named.emplace_back(module_slots()[i]->name, module_slots()[i]->value);
  return make_ref<Sequential>(std::move(named));
}

Ref<Sequential> operator*(const Sequential& s, int64_t times) {
  auto product = s.slice(0);
  *product *= times;
  return product;
}

Ref<Sequential> operator+(const Sequential& a, const Sequential& b) {
  auto sum = make_ref<Sequential>();
  sum->extend(a.modules_list()).extend(b.modules_list());
  return sum;
}

ModuleSlot* ModuleList::slot_of(size_t index) const {
  const auto& slots = module_slots();
  const std::string name = std::to_string(index);
  if (slots[index]->name == name) [[likely]]
    return slots[index].get();
  const auto at =
      std::find_if(slots.begin(), slots.end(), [&](const auto& s) { return s->name == name; });
  return at == slots.end() ? nullptr : at->get();
}

ModuleList& ModuleList::append(Ref<Module> m) {
  add_module(std::to_string(size()), std::move(m));
  return *this;
}

void ModuleList::insert(int64_t index, Ref<Module> m) { shift_in(index, std::move(m)); }

ModuleList& ModuleList::extend(const std::vector<Ref<Module>>& modules) {
  for (const Ref<Module>& m : modules) append(m);
  return *this;
}

Ref<ModuleList> ModuleList::slice(std::optional<int64_t> start, std::optional<int64_t> stop,
                                  int64_t step) const {
  auto out = make_ref<ModuleList>();
  for (size_t i : slice_positions(start, stop, step, size())) out->append(module_slots()[i]->value);
  return out;
}

Ref<ModuleList> operator+(const ModuleList& a, const std::vector<Ref<Module>>& b) {
  auto sum = make_ref<ModuleList>(a.modules_list());
  sum->extend(b);
  return sum;
}

std::string ModuleList::repr() const {
  if (empty()) return type_name() + "()";
  std::vector<std::string> texts;
  for (const auto& slot : module_slots()) {
    texts.push_back(slot->value ? indented(slot->value->repr()) : "None");
  }
  std::string out = type_name() + "(\n";
  for (size_t first = 0; first < texts.size();) {
    size_t end = first + 1;
    while (end < texts.size() && texts[end] == texts[first]) ++end;
    if (end == first + 1) out += fmt::format("  ({}): {}\n", first, texts[first]);
    else out += fmt::format("  ({}-{}): {} x {}\n", first, end - 1, end - first, texts[first]);
    first = end;
  }
  return out + ")";
}

bool ModuleDict::contains(std::string_view key) const {
  return std::any_of(module_slots().begin(), module_slots().end(),
                     [key](const auto& s) { return s->name == key; });
}

Ref<Module> ModuleDict::at(std::string_view key) const {
  for (const auto& slot : module_slots()) {
    if (slot->name == key) return slot->value;
  }
  fail(ErrorKind::key, "{}", python_string(key));
}

Module& ModuleDict::operator[](std::string_view key) const {
  const Ref<Module> m = at(key);
  NNM_CHECK(m, type, "child '{}' of {} is None", key, type_name());
  return *m;
}

void ModuleDict::remove(std::string_view key) {
  NNM_CHECK(contains(key), key, "{}", python_string(key));
  delete_attribute(key);
}

Ref<Module> ModuleDict::pop(std::string_view key) {
  Ref<Module> m = at(key);
  remove(key);
  return m;
}

void ModuleDict::update(const NamedRefs& modules) {
  for (const auto& [key, m] : modules) set(key, m);
}

void ModuleDict::clear() {
  while (size() > 0) remove(std::string(module_slots().back()->name));
}

std::vector<std::string> ModuleDict::keys() const {
  std::vector<std::string> out;
  for (const auto& slot : module_slots()) out.push_back(slot->name);
  return out;
}

std::vector<Ref<Module>> ModuleDict::values() const {
  std::vector<Ref<Module>> out;
  for (const auto& slot : module_slots()) out.push_back(slot->value);
  return out;
}

NamedRefs ModuleDict::items() const {
  NamedRefs out;
  for (const auto& slot : module_slots()) out.emplace_back(slot->name, slot->value);
  return out;
}

namespace {

// The names and makers of containers in a config. They have no options of their own, so their
// signatures are written out.
[[maybe_unused]] const bool sequential_added = Registry<Module>::add(
    "Sequential", {[]() -> const Signature& {
                     static const Signature s = Signature::parse("Sequential(*args: module)");
                     return s;
                   },
                   []() -> const std::string& {
                     static const std::string doc = "calls its children in turn";
                     return doc;
                   },
                   [](const Values& bound) -> Ref<Module> {
                     auto m = make_ref<Sequential>();
                     for (const Value& v : bound[0].items()) m->append(v.as<Ref<Module>>());
                     return m;
                   }});

[[maybe_unused]] const bool module_list_added = Registry<Module>::add(
    "ModuleList", {[]() -> const Signature& {
                     static const Signature s =
                         Signature::parse("ModuleList(modules: module[]? = none)");
                     return s;
                   },
                   []() -> const std::string& {
                     static const std::string doc = "holds children by position";
                     return doc;
                   },
                   [](const Values& bound) -> Ref<Module> {
                     auto m = make_ref<ModuleList>();
                     if (bound[0].is_none()) return m;
                     for (const Value& v : bound[0].items()) m->append(v.as<Ref<Module>>());
                     return m;
                   }});

[[maybe_unused]] const bool module_dict_added = Registry<Module>::add(
    "ModuleDict", {[]() -> const Signature& {
                     static const Signature s = Signature::parse("ModuleDict(modules = none)");
                     return s;
                   },
                   []() -> const std::string& {
                     static const std::string doc = "holds children by key";
                     return doc;
                   },
                   [](const Values& bound) -> Ref<Module> {
                     auto m = make_ref<ModuleDict>();
                     if (bound[0].is_none()) return m;
                     for (const auto& [key, v] : bound[0].entries())
                       m->set(key, v.as<Ref<Module>>());
                     return m;
                   }});

}  // namespace

}  // namespace nnm::nn
