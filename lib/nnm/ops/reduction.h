// How losses are reduced: PyTorch's words, the deprecated ones too.
#pragma once

#include <optional>
#include <string>

#include "nnm/base/error.h"

namespace nnm::detail {

enum class Reduction : uint8_t { none, mean, sum };

/// Throws Error(value) "<name> is not a valid value for reduction".
inline Reduction parse_reduction(const std::string& name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  NNM_CHECK(name == "none", value, "{} is not a valid value for reduction", name);
  return Reduction::none;
}

/// What `size_average` and `reduce`, where one is given, say instead of `reduction`.
inline std::string legacy_reduction(std::optional<bool> size_average, std::optional<bool> reduce,
                                    const std::string& reduction) {
  if (!size_average && !reduce) return reduction;
  if (!reduce.value_or(true)) return "none";
  return size_average.value_or(true) ? "mean" : "sum";
}

}  // namespace nnm::detail
