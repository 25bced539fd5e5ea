// Pipeline: the transforms of one field, joined into as few passes over a sample as possible.
#pragma once

#include <optional>
#include <vector>

#include "nnm/data/transform.h"

namespace nnm::data {

/// How a field goes from storage to the model.
struct PipelineOptions {
  std::vector<Ref<Transform>> transforms;
  /// The type that the model wants; none: what the transforms give.
  std::optional<DType> wanted;
  bool training = false;
  uint64_t seed = 0;
};

/// Stored samples to what a batch holds. Floats compute in f32 (f64 where the model wants that),
/// other types become f32 before a transform that needs floats and at the end if the model wants
/// floats. Runs of pointwise transforms on u8 data are folded into a table of 256 values a channel.
/// Random transforms draw from (seed, epoch, sample) and the place among the random ones of their
/// list, so that an image and its mask are cropped alike. Thread-safe.
class Pipeline {
 public:
  /// `stored` is what lies in memory, `natural` what a batch holds where nobody asks for another
  /// type. Throws Error(value) where a transform cannot take its input, and where the model wants
  /// integers of a field of floats.
  Pipeline(const SampleType& stored, DType natural, PipelineOptions options);

  const SampleType& output() const { return output_; }
  /// Memory between passes, one for each thread.
  struct Scratch {
    std::vector<char> buffers[2];
  };
  /// One sample from x to y, which has output().bytes().
  void run(const void* x, void* y, int64_t epoch, int64_t sample, Scratch& scratch) const;

 private:
  struct Step {
    Ref<Transform> transform;  ///< null: a conversion, or a table
    SampleType in, out;
    std::vector<char> table;  ///< of `out` elements, 256 a channel
    int64_t channels = 1;
    int random = -1;  ///< the place among the random ones
  };
  void add_transform(const Ref<Transform>& t, bool training);
  void add_conversion(DType to);
  void fold_tables();
  bool foldable(const Step& s) const;
  Step table_of(size_t begin, size_t end) const;
  void run_step(const Step& s, const void* x, void* y, int64_t epoch, int64_t sample) const;

  SampleType output_;
  std::vector<Step> steps_;
  DType floats_ = DType::f32;
  uint64_t seed_ = 0;
  int randoms_ = 0;
  size_t scratch_bytes_ = 0;
};

}  // namespace nnm::data
