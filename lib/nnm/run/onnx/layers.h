// How layers become operators: most are a function of their options and parameters.
#pragma once

#include <typeinfo>

#include "nnm/run/onnx/builder.h"

namespace nnm::run::onnx {

/// A layer that was called.
struct LayerCall {
  Module& layer;
  const Args& args;
  const Value& output;
};

/// How layers of a class become operators.
struct LayerConversion {
  bool (*is)(const Module& m);
  void (*run)(Builder& g, const LayerCall& call);
};

/// Null where a layer's own forward is to be looked into, or has no ONNX form.
const LayerConversion* layer_conversion(const Module& m);
std::span<const LayerConversion> recurrent_layers();
std::span<const LayerConversion> attention_layers();

/// Not of classes derived from it, whose forward may be another.
template <class L>
bool is(const Module& m) {
  return typeid(m) == typeid(L);
}

/// Computes a function of the expression language, and makes operators of it: `args` by name, the
/// others are defaults.
Value compute(Builder& g, const char* function, Items args);

}  // namespace nnm::run::onnx
