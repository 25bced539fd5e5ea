// Which two sizes a failed call is about, where two sizes disagree.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nnm/nn/module.h"

namespace nnm::lang {

/// A size of each of two tensors.
struct SizeClash {
  Tensor a, b;
  int dim_a = 0, dim_b = 0;
};

/// The sizes that a function or operator (`what`: "cat", "+", "@") cannot take together; nothing
/// where its message names other numbers, or the fault is another.
std::optional<SizeClash> find_clash(std::string_view what, const Value* in, size_t n,
                                    std::string_view message);

/// A size that a layer was made for, by the name of its argument.
struct LayerSize {
  const char* argument;
  int dim;  ///< of the layer's input
  int64_t size;
};
/// What a layer of torch.nn asks of an input of that rank; nothing where its type asks for none.
std::optional<LayerSize> size_of_input(const Module& layer, int rank);
/// The dimension of the output that a layer's own arguments set, or -1.
int dim_of_output(const Module& layer, int rank);

}  // namespace nnm::lang
