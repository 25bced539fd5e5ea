// The functions a config can call: name, signature and how to run it, one line each.
#pragma once

#include <string_view>
#include <vector>

#include "nnm/base/signature.h"
#include "nnm/tensor/tensor.h"

namespace nnm {

/// A function of the expression language. `run` gets the arguments in signature order, converted.
struct Function {
  const char* signature_text;  ///< "flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1)"
  const char* doc;
  Value (*run)(const Value* args);
  bool uses_training = false;  ///< has an argument `training` that defaults to the module's mode
  const Signature& signature() const;  ///< parsed on first use
};

/// The function of that name, or null.
const Function* find_function(std::string_view name);
std::vector<std::string_view> function_names();

/// Registers a table of functions; each room of ops has one, in its own file.
bool register_functions(const Function* table, size_t n);

}  // namespace nnm
