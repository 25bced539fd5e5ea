// Transforms: what happens to a batch between the file and the model.
#pragma once

#include <span>
#include <string>

#include "nnm/base/registry.h"
#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// Where a batch comes from: random transforms draw from (seed, epoch, sample), never from the order
/// in which threads happen to work.
struct BatchContext {
  bool training = false;
  uint64_t seed = 0;
  int64_t epoch = 0;
  std::span<const int64_t> samples;  ///< dataset index of each row
};

/// Registered like layers; named in `data.transform` as `scale(1 / 255)`.
class Transform : public Object {
 public:
  static constexpr const char* kRegistryKind = "transform";
  /// x is (batch, …); the result has the same batch size.
  virtual Tensor apply(const Tensor& x, const BatchContext& context) const = 0;
  /// True for those that work in floating point: u8 data is converted before them.
  virtual bool wants_float() const { return false; }
};

}  // namespace nnm::data
