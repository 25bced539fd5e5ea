// Summary: a model's modules, shapes, parameters, operations and memory, without allocating any.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nnm/lang/model.h"

namespace nnm {
class Json;
}

namespace nnm::run {

struct ModuleSummary {
  std::string name, type;                     ///< "" is the root
  int64_t parameters = 0;                     ///< with those of modules below, each once
  std::vector<std::vector<int64_t>> outputs;  ///< shapes of its first call; empty if never called
  int64_t flops = 0;                          ///< of all its calls in one forward
  /// Bytes that its calls leave allocated in a training step: outputs, and what is kept for the
  /// backward; with those of modules below. Absent where it is not called.
  std::optional<int64_t> memory = {};
  std::string alias_of;
};

struct StateSummary {
  std::string name;
  std::vector<int64_t> shape;
  DType dtype = DType::f32;
  bool parameter = true, requires_grad = false;
};

struct Summary {
  std::string repr;
  int64_t parameters = 0, trainable = 0, buffers = 0;  ///< elements, shared ones once
  int64_t bytes = 0;                                   ///< of parameters and buffers
  int64_t flops = 0;                                   ///< of one forward: 2 per multiply-add
  /// At the peak of a training step with the inputs below, the optimizer's state included; absent
  /// where the model gives no tensor to start a backward pass from.
  std::optional<int64_t> training_bytes;
  std::vector<ModuleSummary> modules;
  std::vector<StateSummary> state_dict;
  std::vector<std::pair<std::string, std::vector<int64_t>>> inputs;
  std::vector<std::string> notes;  ///< sizes that were probed
};

/// Runs the model on the meta device. Throws DiagnosticError where it cannot be built or its shapes
/// do not fit.
Summary summarise(const lang::Config& config, const lang::InputShapes& shapes = {});

/// The `modules` array of `summary` and `inspect`.
void write_modules(Json& j, const std::vector<ModuleSummary>& modules);
/// The object of `nnm summary --format json` (details.md section 4).
std::string to_json(const Summary& s);
/// The table below the repr, modules set in as the tree has them; totals last.
std::string to_table(const Summary& s, bool colour = false);
/// The table with full names and plain numbers, as comma-separated values.
std::string to_csv(const Summary& s);

}  // namespace nnm::run
