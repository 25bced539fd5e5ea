// Model: the module tree a config describes, its inputs, and what the check of its shapes found.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nnm/lang/config.h"
#include "nnm/nn/module.h"

namespace nnm::lang {

/// An input of the root module. Dims are -1 where free: bound by the data, by `--shape` or probed.
struct ModelInput {
  std::string name;
  DType dtype = DType::f32;
  bool typed = true;               ///< false: no `inputs:`, any type and shape
  bool asks = false;               ///< untyped, but the first layer computes with `dtype`
  std::vector<int64_t> dims;       ///< -1: free
  std::vector<std::string> names;  ///< of the free dims ("B"), "" where `*` or a number
  bool optional = false;
  Span span;
};

struct Model {
  Ref<Module> module;
  std::vector<ModelInput> inputs;
  /// The sites of construction in the config, by module path, for error messages.
  std::vector<std::pair<std::string, Span>> sites;
};

/// What type selectors know a module by: its class, `rn.BasicBlock` where that is imported.
std::string selector_type(const Module& m);
/// What the forward of a class of `define:` calls its inputs, in their order; of a layer `input`.
std::vector<std::string> input_names(const Module& m);

struct BuildOptions {
  Device device;             ///< meta: no memory, no draws
  DType dtype = DType::f32;  ///< of parameters
  uint64_t seed = 0;         ///< of `train.seed` (initialisation streams)
};

/// Expands and builds the model: classes, loops, let, require, tie, init, freeze, params, buffers.
/// Throws DiagnosticError with all independent errors (E03xx names and arguments, E04xx values and
/// registration), each with its expansion frames.
Model build_model(const Config& config, const BuildOptions& options);

/// The first module with parameters of its own, or unless `into_classes` of a class of `define:`;
/// null where there is none.
Module* first_layer(Module& root, bool into_classes = false);

/// Name -> shape of one batch of inputs, where known: `--shape`, or the data's headers.
using InputShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

/// What a forward of the model on the meta device gives.
struct ShapeReport {
  std::vector<std::pair<std::string, Tensor>> inputs;  ///< the meta tensors that were used
  Value output;                                        ///< tensors on meta
  std::vector<std::string> notes;                      ///< which sizes were probed
};

/// Runs a meta model (build_model on meta) once; in training mode on the tape, where grad mode is
/// on. A given shape must fit `inputs:`. Throws DiagnosticError E05xx that points at the
/// expression, with the frames of the call.
ShapeReport check_shapes(const Config& config, const Model& meta, const InputShapes& known = {},
                         bool training = false);

}  // namespace nnm::lang
