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
  for (const auto& [path, m] : root.named_modules()) m->reset_parameters(Streams(seed, path));
}

void Module::reset_parameters(const Streams&) {}

}  // namespace nnm
