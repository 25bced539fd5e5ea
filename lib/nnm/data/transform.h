// Transforms: what happens to each sample between the file and the model.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/philox.h"
#include "nnm/base/registry.h"
#include "nnm/tensor/tensor.h"

namespace nnm::data {

/// Element type and shape of one sample of one field, without the batch axis.
struct SampleType {
  DType dtype = DType::f32;
  Shape shape;
  size_t bytes() const { return static_cast<size_t>(shape.numel()) * item_size(dtype); }
};

/// The random numbers of one sample in one epoch: a function of (seed, epoch, sample) alone, in
/// whatever order threads ask.
class Draws {
 public:
  Draws(uint64_t seed, int64_t epoch, int64_t sample)
      : seed_(seed),
        counter_(static_cast<uint64_t>(epoch) << 32),
        stream_(static_cast<uint64_t>(sample)) {}
  uint32_t bits() {
    if (used_ == 4) {
      words_ = philox(seed_, counter_++, stream_);
      used_ = 0;
    }
    return words_[static_cast<size_t>(used_++)];
  }
  /// Uniform in [0, 1).
  double uniform() {
    const uint32_t a = bits();
    return uniform53(a, bits());
  }
  double uniform(double lo, double hi) { return lo + (hi - lo) * uniform(); }
  /// Uniform in [0, n).
  int64_t below(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }
  /// Standard normal.
  double normal() {
    const uint32_t a = bits();
    return normal_from(a, bits());
  }

 private:
  uint64_t seed_, counter_, stream_;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
};

/// Registered like layers; named in `data.transform` as `scale(1 / 255)`. Dimensions are those of
/// one sample: the batch axis does not count.
class Transform : public Object {
 public:
  static constexpr const char* kRegistryKind = "transform";

  /// What `apply` does to the bytes: nothing (only the type of the sample changes), each element by
  /// itself, or anything.
  enum class Work : uint8_t { none, pointwise, whole };
  virtual Work work(bool training) const {
    (void)training;
    return Work::whole;
  }
  /// Whether it draws random numbers (in training only).
  virtual bool random() const { return false; }
  /// Of the pointwise ones: whether the index on the sample's first axis matters.
  virtual bool per_channel() const { return false; }
  /// True for those that compute in floating point: other types become f32 before them, so that
  /// `infer` and `apply` see f32 or f64.
  virtual bool wants_float() const { return false; }
  /// The type of the result. Throws Error(value) for samples that it cannot take.
  virtual SampleType infer(const SampleType& in) const = 0;
  /// One sample, row-major, from x to y (which do not overlap). `draws` is null outside of training
  /// and for what is not random. Throws Error(value), e.g. one_hot for a label that is too large.
  virtual void apply(const SampleType& in, const void* x, const SampleType& out, void* y,
                     Draws* draws) const = 0;
};

}  // namespace nnm::data
