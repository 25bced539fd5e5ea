// Parametrizations: the lists of maps, and how tensors come under them and out again.
#include "nnm/nn/parametrize.h"

#include "nnm/autograd/node.h"
#include "nnm/nn/construct.h"
#include "nnm/ops/ops.h"

namespace nnm::nn::utils::parametrize {

namespace {

constexpr const char* kChild = "parametrizations";

std::string torch_dtype(const Tensor& t) {
  return fmt::format("torch.{}", info(t.dtype()).torch_name);
}
std::string torch_size(const Tensor& t) { return fmt::format("torch.Size({})", t.shape().str()); }

/// What the map makes of a value on the way back: none where it has no way.
Value inverse_of(Module& map, const Tensor& value) {
  auto* p = dynamic_cast<Parametrization*>(&map);
  return p ? p->right_inverse(value) : Value();
}

/// The same for a map that starts: one that cannot go back starts from the value as it is.
Value first_inverse_of(Module& map, const Tensor& value) {
  try {
    return inverse_of(map, value);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::not_implemented) throw;
    return {};
  }
}

void put(Module& into, const std::string& name, const Tensor& t) {
  if (is_parameter(t)) into.register_parameter(name, t);
  else into.register_buffer(name, t);
}

/// Reads a list of maps whenever the tensor is asked for.
class Source final : public TensorSource {
 public:
  explicit Source(Ref<ParametrizationList> list) : list_(std::move(list)) {}
  Tensor compute(const Module*) override { return list_->value(); }
  bool is_parametrization() const override { return true; }
  void assign(const Tensor& value) override { list_->right_inverse(value); }
  void start(uint64_t seed, const std::string& path) override { list_->start(seed, path); }
  Ref<TensorSource> copied(
      const std::function<Ref<Module>(const Module&)>& copy_of) const override {
    return make_ref<Source>(
        Ref<ParametrizationList>(static_cast<ParametrizationList*>(copy_of(*list_).get())));
  }

 private:
  Ref<ParametrizationList> list_;
};

ParametrizationList* list_of(const Module& module, std::string_view name) {
  const auto* dict = dynamic_cast<const ModuleDict*>(module.child(kChild));
  return dict ? dynamic_cast<ParametrizationList*>(dict->child(name)) : nullptr;
}

/// The tensor as it was before its originals have gone into the list.
Tensor tensor_of_slot(const Module& module, const std::string& name) {
  for (const auto slots : {module.parameter_slots(), module.buffer_slots()}) {
    for (const auto& slot : slots)
      if (slot->name == name) return slot->value;
  }
  fail(ErrorKind::value,
       "Module '{}' does not have a parameter, a buffer, or a parametrized element with name '{}'",
       module.repr(), name);
}

void check_same(const Tensor& before, const Tensor& after, const std::string& head,
                const std::string& was, const std::string& is) {
  NNM_CHECK(before.dtype() == after.dtype(), value, "{}\n{}dtype: {}\n{}dtype: {}",
            fmt::format(fmt::runtime(head), "dtype"), was, torch_dtype(before), is,
            torch_dtype(after));
  NNM_CHECK(before.shape() == after.shape(), value, "{}\n{}shape: {}\n{}shape: {}",
            fmt::format(fmt::runtime(head), "shape"), was, torch_size(before), is,
            torch_size(after));
}

/// A further map must keep the type and the shape, on the way back as well.
void check_further(const Module& module, const std::string& name, Module& map) {
  const Tensor y = module.get_attribute(name).as<Tensor>();
  const Value x = map(Args{{y}, {}});
  NNM_CHECK(x.holds<Tensor>(), value, "A parametrization must return a tensor. Got {}.",
            x.type_name());
  const std::string of = fmt::format("module.{}", name);
  check_same(y, x.as<Tensor>(),
             "Registering a parametrization may not change the {} of the tensor, unless the "
             "`unsafe` flag is enabled.",
             of + ".", fmt::format("parametrization({}).", of));
  const Value z = first_inverse_of(map, x.as<Tensor>());
  if (z.is_none()) return;
  NNM_CHECK(z.holds<Tensor>(), value, "parametrization.right_inverse must return a tensor. Got: {}",
            z.type_name());
  check_same(y, z.as<Tensor>(),
             "The tensor returned by parametrization.right_inverse must have the same {} as " + of +
                 ", unless the `unsafe` flag is enabled.",
             of + ".", "returned ");
}

}  // namespace

Value Parametrization::right_inverse(const Tensor&) { return {}; }
void Parametrization::start(const Tensor&, const Streams&) {}

ParametrizationList::ParametrizationList(const std::vector<Ref<Module>>& maps,
                                         const Tensor& original, bool unsafe)
    : ModuleList(maps), unsafe_(unsafe), before_(original) {
  NNM_CHECK(!maps.empty(), value, "ParametrizationList requires one or more modules.");
  const Tensor before = original.detach();
  Value found = original;
  {
    const NoGradGuard no_grad;
    for (auto map = maps.rbegin(); map != maps.rend(); ++map)
      if (Value next = first_inverse_of(**map, found.as<Tensor>()); !next.is_none()) found = next;
  }
  single_ = found.holds<Tensor>();
  NNM_CHECK(
      single_ || found.is_sequence(), value,
      "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got {}",
      found.type_name());
  if (single_) {
    const Tensor made = found.as<Tensor>();
    NNM_CHECK(made.dtype() == original.dtype(), value,
              "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
              "original.dtype: {}\nright_inverse(original).dtype: {}",
              torch_dtype(original), torch_dtype(made));
    nnm::detail::set_data(original, made);
    put(*this, "original", original);
  } else {
    for (size_t i = 0; i < found.items().size(); ++i) {
      const Value& item = found.items()[i];
      NNM_CHECK(item.holds<Tensor>(), value,
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                "Got element {} of the sequence with type {}.",
                i, item.type_name());
      const Tensor part = item.as<Tensor>();
      put(*this, fmt::format("original{}", i),
          is_parameter(original) ? parameter(part, original.requires_grad()) : part.detach());
    }
  }
  if (!unsafe_) check_value(before);
}

void ParametrizationList::check_value(const Tensor& original) {
  const Value z = forward(Args{});
  NNM_CHECK(z.holds<Tensor>(), value, "A parametrization must return a tensor. Got {}.",
            z.type_name());
  check_same(original, z.as<Tensor>(),
             "Registering a parametrization may not change the {} of the tensor, unless `unsafe` "
             "flag is enabled.",
             "unparametrized ", "parametrized ");
}

Tensors ParametrizationList::originals() const {
  Tensors out;
  for (const auto slots : {parameter_slots(), buffer_slots()})
    for (const auto& slot : slots) out.push_back(slot->value);
  return out;
}

Value ParametrizationList::forward(const Args&) {
  Args originals_of;
  for (const Tensor& t : originals()) originals_of.pos.emplace_back(t);
  Value x = (*this)[0](originals_of);
  for (size_t i = 1; i < size(); ++i) x = (*this)[static_cast<int64_t>(i)](x);
  return x;
}

Tensor ParametrizationList::value() { return output_tensor(Module::operator()(Args{})); }

void ParametrizationList::right_inverse(const Tensor& value) {
  const NoGradGuard no_grad;
  Value found = value;
  for (size_t i = size(); i-- > 0;) {
    Module& map = (*this)[static_cast<int64_t>(i)];
    found = inverse_of(map, found.as<Tensor>());
    NNM_CHECK(!found.is_none(), runtime, "parametrization {} does not implement right_inverse.",
              map.type_name());
  }
  const Tensors to = originals();
  if (single_) {
    NNM_CHECK(found.holds<Tensor>(), value, "`right_inverse` should return a tensor. Got {}",
              found.type_name());
    const Tensor made = found.as<Tensor>();
    NNM_CHECK(made.dtype() == to[0].dtype(), value,
              "The tensor returned by `right_inverse` has dtype {} while `original` has dtype {}",
              torch_dtype(made), torch_dtype(to[0]));
    return nnm::detail::set_data(to[0], made.detach());
  }
  NNM_CHECK(found.is_sequence(), value,
            "'right_inverse' must return a sequence of tensors. Got {}.", found.type_name());
  NNM_CHECK(found.items().size() == to.size(), value,
            "'right_inverse' must return a sequence of tensors of length {}. Got a sequence of "
            "length {}.",
            to.size(), found.items().size());
  for (size_t i = 0; i < to.size(); ++i) {
    const Tensor part = found.items()[i].as<Tensor>();
    NNM_CHECK(part.dtype() == to[i].dtype(), value,
              "Tensor {0} returned by `right_inverse` has dtype {1} while `original{0}` has dtype "
              "{2}",
              i, torch_dtype(part), torch_dtype(to[i]));
    nnm::detail::set_data(to[i], part.detach());
  }
}

void ParametrizationList::start(uint64_t seed, const std::string& path) {
  const NoGradGuard no_grad;
  Values x;
  for (const Tensor& t : originals()) x.emplace_back(t);
  for (size_t i = 0; i < size(); ++i) {
    Module& map = (*this)[static_cast<int64_t>(i)];
    if (auto* p = dynamic_cast<Parametrization*>(&map))
      p->start(x[0].as<Tensor>(), Streams(seed, fmt::format("{}.{}", path, i)));
    x = {map(Args{x, {}})};
  }
}

Module& register_parametrization(Module& module, const std::string& name,
                                 const Ref<Module>& parametrization, bool unsafe) {
  parametrization->train(module.training());
  if (ParametrizationList* list = list_of(module, name)) {
    if (!unsafe) check_further(module, name, *parametrization);
    list->append(parametrization);
    if (unsafe) list->allow_unsafe();
    return module;
  }
  const Tensor original = tensor_of_slot(module, name);
  NNM_CHECK(original.defined(), value, "Module '{}' has none as its '{}': nothing to parametrize",
            module.repr(), name);
  const auto list =
      make_ref<ParametrizationList>(std::vector<Ref<Module>>{parametrization}, original, unsafe);
  if (!module.child(kChild)) module.add_module(kChild, make_ref<ModuleDict>());
  module.make_computed(name, make_ref<Source>(list));
  dynamic_cast<ModuleDict&>(*module.child(kChild)).set(name, list);
  return module;
}

bool is_parametrized(const Module& module, std::string_view name) {
  if (!name.empty()) return list_of(module, name) != nullptr;
  const auto* dict = dynamic_cast<const ModuleDict*>(module.child(kChild));
  return dict && dict->size() > 0;
}

ParametrizationList& parametrizations(const Module& module, std::string_view name) {
  ParametrizationList* list = list_of(module, name);
  NNM_CHECK(list, value, "Module {} does not have a parametrization on {}", module.repr(), name);
  return *list;
}

Module& remove_parametrizations(Module& module, const std::string& name, bool leave_parametrized) {
  ParametrizationList& list = parametrizations(module, name);
  Tensor original = list.originals()[0];
  if (list.is_single()) {
    const NoGradGuard no_grad;
    if (leave_parametrized)
      nnm::detail::set_data(original, module.get_attribute(name).as<Tensor>().detach());
  } else {
    NNM_CHECK(leave_parametrized, value,
              "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
              "parametrized in terms of a sequence of tensors.");
    const Tensor now = module.get_attribute(name).as<Tensor>();
    original = now.requires_grad() ? parameter(now) : now;
  }
  auto& dict = dynamic_cast<ModuleDict&>(*module.child(kChild));
  dict.remove(name);
  module.end_computed(name, original);
  if (dict.size() == 0) module.delete_attribute(kChild);
  return module;
}

std::string type_before_parametrizations(const Module& module) {
  constexpr std::string_view kPrefix = "Parametrized";
  std::string name = module.type_name();
  return is_parametrized(module) && name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

}  // namespace nnm::nn::utils::parametrize
