// LateStatistics: statistics of tensors on a GPU, by few launches and one copy a step.
#pragma once

#include <optional>
#include <vector>

#include "kernels/statistics.h"
#include "nnm/tensor/late_reads.h"

namespace nnm::tracing {

/// A GPU is asked for the statistics of many tensors at once, and nobody waits for them: to launch
/// something for each of a small network's tensors, and to wait for it, takes longer than the
/// network itself. Tensors are held until they are read, which is before somebody writes to them.
/// One thread.
class LateStatistics final : detail::LateReader {
 public:
  /// What has been asked for.
  struct Ticket {
    size_t place;   ///< among those of a step
    int64_t numel;  ///< of the tensor
  };

  /// Whether statistics of t may come late: it lies on a GPU, the first one that was met.
  bool takes(const Tensor& t) const;
  /// Forgets the tickets of the step before, but for the first `kept`: of work that is done again.
  void begin(size_t kept = 0);
  /// Asks for statistics of t as it is now; without `all`, those of kernels::moments.
  Ticket add(const Tensor& t, bool all, bool histogram);
  /// How many tickets there are.
  size_t asked() const { return asked_; }
  /// Launches what is asked for, so that it is part of what is being recorded.
  void launch();
  /// Sends the results of all tickets to the CPU, without waiting.
  void send();
  /// After send(), until the next: the result, once it is there; the bins of the histogram that was
  /// asked for are added to `histogram`.
  TensorStatistics get(Ticket ticket, uint32_t* histogram);

 private:
  struct Chunk {
    Tensor there, here;
    bool arrived = false;
  };
  struct Noted {
    Tensor tensor;
    bool all, histogram;
  };
  static constexpr size_t kChunk = 256;        // records
  static constexpr int64_t kMost = 4'000'000;  // elements: what they hold is little, a launch less

  void before_write(const Storage& memory) override;

  std::optional<Device> device_;
  std::vector<Chunk> chunks_;
  std::vector<Noted> noted_;  // the last ones asked for, of one chunk
  int64_t elements_ = 0;      // of these
  size_t asked_ = 0;
};

}  // namespace nnm::tracing
