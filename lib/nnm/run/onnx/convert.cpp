// Functions by their names.
#include <map>

#include "nnm/base/error.h"
#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {

void convert(Builder& g, const Call& call) {
  static const auto kByName = [] {
    std::map<std::string_view, const Conversion*> all;
    for (const auto family : {pointwise_conversions(), shape_conversions(), reduction_conversions(),
                              network_conversions()})
      for (const Conversion& c : family) all.emplace(c.function, &c);
    return all;
  }();
  const auto at = kByName.find(call.function);
  if (at == kByName.end()) unsupported("this function");
  at->second->run(g, call);
}

}  // namespace nnm::run::onnx
