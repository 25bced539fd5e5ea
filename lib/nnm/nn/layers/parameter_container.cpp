// Containers of parameters.
#include <algorithm>

#include "nnm/base/slice.h"
#include "nnm/nn/layers/container.h"

namespace nnm::nn {

namespace {

constexpr std::string_view kListNames[] = {"append", "extend"};
constexpr std::string_view kDictNames[] = {"clear",      "copy",   "fromkeys", "get",
                                           "items",      "keys",   "pop",      "popitem",
                                           "setdefault", "update", "values"};

Tensors values_of(std::span<const Ref<TensorSlot>> slots) {
  Tensors out;
  for (const auto& slot : slots) out.push_back(slot->value);
  return out;
}

// The lines of extra_repr; `type` says how an element type is written.
std::string entries_text(std::span<const Ref<TensorSlot>> slots, std::string (*type)(DType)) {
  std::string out;
  for (const auto& slot : slots) {
    if (!out.empty()) out += '\n';
    out += fmt::format("  ({}): ", slot->name);
    const Tensor& t = slot->value;
    if (!t.defined()) {
      out += "Object of type: NoneType";
      continue;
    }
    const std::string device =
        t.device().type == DeviceType::cuda ? fmt::format(" (cuda:{})", t.device().index) : "";
    out += fmt::format("Parameter containing: [{} of size {}{}]", type(t.dtype()),
                       fmt::join(t.shape().vec(), "x"), device);
  }
  return out;
}

Tensor as_parameter(const Tensor& t) { return !t.defined() || is_parameter(t) ? t : parameter(t); }

}  // namespace

Value ParameterList::forward(const Args&) {
  fail(ErrorKind::runtime, "ParameterList should not be called.");
}

size_t ParameterList::wrap(int64_t index) const {
  const auto n = static_cast<int64_t>(size());
  NNM_CHECK(index >= -n && index < n, index, "index {} is out of range", index);
  return static_cast<size_t>(index < 0 ? index + n : index);
}

const Ref<TensorSlot>& ParameterList::slot_of(size_t index) const {
  const auto slots = parameter_slots();
  const std::string name = std::to_string(index);
  if (index < slots.size() && slots[index]->name == name) [[likely]]
    return slots[index];
  for (const auto& slot : slots) {
    if (slot->name == name) return slot;
  }
  fail(ErrorKind::attribute, "'{}' object has no attribute '{}'", type_name(), name);
}

std::vector<Ref<TensorSlot>> ParameterList::entries() const {
  std::vector<Ref<TensorSlot>> out;
  for (size_t i = 0; i < size(); ++i) out.push_back(slot_of(i));
  return out;
}

const Tensor& ParameterList::operator[](int64_t index) const { return slot_of(wrap(index))->value; }

void ParameterList::set(int64_t index, const Tensor& value) {
  set_attribute(std::to_string(wrap(index)), as_parameter(value));
}

ParameterList& ParameterList::append(const Tensor& value) {
  register_parameter(std::to_string(size()), as_parameter(value));
  ++size_;
  return *this;
}

ParameterList& ParameterList::extend(const Tensors& values) {
  for (const Tensor& t : values) append(t);
  return *this;
}

Ref<ParameterList> ParameterList::slice(std::optional<int64_t> start, std::optional<int64_t> stop,
                                        int64_t step) const {
  auto out = make_ref<ParameterList>();
  for (size_t i : slice_positions(start, stop, step, size())) out->append(slot_of(i)->value);
  return out;
}

Tensors ParameterList::values() const { return values_of(entries()); }

std::span<const std::string_view> ParameterList::member_names() const { return kListNames; }
std::span<const std::string_view> ParameterDict::member_names() const { return kDictNames; }

std::string ParameterList::extra_repr() const {
  return entries_text(entries(),
                      [](DType t) { return std::string("torch.") + info(t).torch_name; });
}

Value ParameterDict::forward(const Args&) {
  fail(ErrorKind::runtime, "ParameterDict should not be called.");
}

bool ParameterDict::contains(std::string_view key) const {
  return std::any_of(parameter_slots().begin(), parameter_slots().end(),
                     [key](const auto& s) { return s->name == key; });
}

Tensor ParameterDict::operator[](std::string_view key) const {
  return Codec<Tensor>::read(get_attribute(key));
}

void ParameterDict::set(const std::string& key, const Tensor& value) {
  if (value.defined()) set_attribute(key, as_parameter(value));
  else register_parameter(key, Tensor());
}

void ParameterDict::remove(std::string_view key) {
  NNM_CHECK(contains(key), key, "{}", python_string(key));
  delete_attribute(key);
}

Tensor ParameterDict::pop(std::string_view key) {
  Tensor t = (*this)[key];
  remove(key);
  return t;
}

std::pair<std::string, Tensor> ParameterDict::popitem() {
  NNM_CHECK(size() > 0, key, "'popitem(): dictionary is empty'");
  const std::string key = parameter_slots().back()->name;
  return {key, pop(key)};
}

Tensor ParameterDict::get(std::string_view key, const Tensor& fallback) const {
  return contains(key) ? (*this)[key] : fallback;
}

Tensor ParameterDict::setdefault(const std::string& key, const Tensor& value) {
  if (!contains(key)) set(key, value);
  return (*this)[key];
}

void ParameterDict::update(const NamedTensors& parameters) {
  for (const auto& [key, value] : parameters) set(key, value);
}

void ParameterDict::clear() {
  while (size() > 0) remove(std::string(parameter_slots().back()->name));
}

Ref<ParameterDict> ParameterDict::copy() const { return make_ref<ParameterDict>(items()); }

Ref<ParameterDict> ParameterDict::fromkeys(const std::vector<std::string>& keys,
                                           const Tensor& value) {
  auto out = make_ref<ParameterDict>();
  for (const std::string& key : keys) out->set(key, value);
  return out;
}

ParameterDict& ParameterDict::operator|=(const ParameterDict& other) {
  update(other.items());
  return *this;
}

Ref<ParameterDict> operator|(const ParameterDict& a, const ParameterDict& b) {
  auto out = a.copy();
  *out |= b;
  return out;
}

std::vector<std::string> ParameterDict::keys() const {
  std::vector<std::string> out;
  for (const auto& slot : parameter_slots()) out.push_back(slot->name);
  return out;
}

Tensors ParameterDict::values() const { return values_of(parameter_slots()); }

NamedTensors ParameterDict::items() const {
  NamedTensors out;
  for (const auto& slot : parameter_slots()) out.emplace_back(slot->name, slot->value);
  return out;
}

std::string ParameterDict::extra_repr() const {
  return entries_text(parameter_slots(), legacy_type_name);
}

namespace {

[[maybe_unused]] const bool parameter_list_added = Registry<Module>::add(
    "ParameterList", {[]() -> const Signature& {
                        static const Signature s =
                            Signature::parse("ParameterList(values: Tensor[]? = none)");
                        return s;
                      },
                      []() -> const std::string& {
                        static const std::string doc = "holds parameters by position";
                        return doc;
                      },
                      [](const Values& bound) -> Ref<Module> {
                        auto m = make_ref<ParameterList>();
                        if (bound[0].is_none()) return m;
                        for (const Value& v : bound[0].items()) m->append(v.as<Tensor>());
                        return m;
                      }});

[[maybe_unused]] const bool parameter_dict_added = Registry<Module>::add(
    "ParameterDict", {[]() -> const Signature& {
                        static const Signature s =
                            Signature::parse("ParameterDict(parameters = none)");
                        return s;
                      },
                      []() -> const std::string& {
                        static const std::string doc = "holds parameters by key";
                        return doc;
                      },
                      [](const Values& bound) -> Ref<Module> {
                        auto m = make_ref<ParameterDict>();
                        if (bound[0].is_none()) return m;
                        // PyTorch sorts a plain dict.
                        Items entries = bound[0].entries();
                        std::stable_sort(entries.begin(), entries.end(),
                                         [](auto& a, auto& b) { return a.first < b.first; });
                        for (const auto& [key, v] : entries) m->set(key, v.as<Tensor>());
                        return m;
                      }});

}  // namespace

}  // namespace nnm::nn
