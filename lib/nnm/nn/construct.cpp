// Where and from which random streams layers make their parameters.
#include "nnm/nn/construct.h"

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"

namespace nnm {

Construction& Construction::current() {
  thread_local Construction construction;
  return construction;
}

Generator* Streams::operator()(std::string_view parameter) const {
  if (!own_) return nullptr;
  std::string name = path_;
  if (!name.empty()) name += '.';
  generator_ = Generator::for_name(seed_, name.append(parameter));
  return &generator_;
}

namespace {

/// Computed tensors of a module as parameters of their own, for as long as these are drawn; what
/// was drawn goes into what they are computed of.
class DrawnApart {
 public:
  explicit DrawnApart(Module& m) {
    for (const Ref<TensorSlot>& slot : m.computed_slots()) {
      if (!slot->source) continue;
      const NoGradGuard no_grad;
      const Tensor now = clone(slot->read());  // stays where the class draws nothing of its own
      apart_.push_back({slot, std::move(slot->source)});
      slot->value = parameter(now, is_floating(now.dtype()));
    }
  }
  /// Where drawing has thrown nothing is assigned.
  ~DrawnApart() {
    for (auto& [slot, source] : apart_) slot->source = std::move(source);
  }
  DrawnApart(const DrawnApart&) = delete;
  void put_back(uint64_t seed, const std::string& path) {
    for (auto& [slot, source] : apart_) {
      source->assign(slot->value.detach());
      source->start(seed, path.empty() ? slot->name : path + "." + slot->name);
      slot->source = std::move(source);
      slot->value = {};
    }
    apart_.clear();
  }

 private:
  std::vector<std::pair<Ref<TensorSlot>, Ref<TensorSource>>> apart_;
};

}  // namespace

void initialize(Module& root, uint64_t seed) {
  // As constructors do: children first, so that a module may draw its children's parameters anew.
  const auto modules = root.named_modules();
  for (auto m = modules.rbegin(); m != modules.rend(); ++m) {
    DrawnApart computed(*m->second);
    m->second->reset_parameters(Streams(seed, m->first));
    computed.put_back(seed, m->first);
  }
}

void Module::reset_parameters(const Streams&) {}

}  // namespace nnm
