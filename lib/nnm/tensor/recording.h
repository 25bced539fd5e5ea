// Work of a GPU that is recorded once and done again, and what operations have to know of it.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda.h"
#include "nnm/tensor/generator.h"
#include "nnm/tensor/tensor.h"

namespace nnm {

/// CudaRecording (kernels/cuda.h) with the default generator as the source of its random numbers,
/// which is moved on when the work is done again as it was when it was done first.
class Recording {
 public:
  /// Begins to record what is asked of the device.
  explicit Recording(Device device);

  /// Ends a part, does it and, with `more`, begins another. False where it cannot be done again.
  bool end_part(bool more);
  /// Does the first `count` parts again, or all. False, with nothing done, where that cannot be.
  bool replay(size_t count = SIZE_MAX);
  /// After replay(): does another part again, as often as it is asked for. It draws no random
  /// numbers. False, with nothing done, where that cannot be.
  bool repeat(size_t part);
  /// In the first part: sends a tensor of one element to the CPU …
  void fetch(size_t slot, const Tensor& x);
  /// … and what came there at the last time; the parts that follow may still run, but not be
  /// recorded.
  Scalar fetched(size_t slot, DType dtype) const;

 private:
  std::unique_ptr<CudaRecording> recording_;
  Generator begin_;
  uint64_t draws_ = 0;
  size_t parts_ = 0;
};

/// While one lives, on this thread, operations do not wait for a GPU's indices to look at them: 0
/// takes the place of those out of range, and `bad` (i64, of one element) becomes 1.
class LateIndexChecks {
 public:
  explicit LateIndexChecks(Tensor bad);
  ~LateIndexChecks();
  LateIndexChecks(const LateIndexChecks&) = delete;
  LateIndexChecks& operator=(const LateIndexChecks&) = delete;
};

namespace detail {
/// What an operation is to take in place of row-major i64 indices of `count` things, where it need
/// not look at them; else undefined. `ignore` is no error.
Tensor indices_checked_late(const Tensor& indices, int64_t count, int64_t ignore);
}  // namespace detail

}  // namespace nnm
