// Where and from which random streams layers make their parameters.
#include "nnm/nn/construct.h"

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

void initialize(Module& root, uint64_t seed) {
  // As constructors do: children first, so that a module may draw its children's parameters anew.
  const auto modules = root.named_modules();
  for (auto m = modules.rbegin(); m != modules.rend(); ++m)
    m->second->reset_parameters(Streams(seed, m->first));
}

void Module::reset_parameters(const Streams&) {}

}  // namespace nnm
