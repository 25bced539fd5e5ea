// Threads of a kernel: OpenMP alone, with a count that the program sets once.
#pragma once

#include <cstdint>

namespace nnm {

/// Threads a kernel may use; at first the cores that affinity and the cgroup quota allow.
int num_threads();
/// Sets it for this process; n >= 1.
void set_num_threads(int n);
/// The cores that sched_getaffinity and the cgroup (v1, v2) CPU quota allow, rounded up.
int available_cores();

/// Calls f(begin, end) over [0, n) split into at most num_threads() equal, contiguous parts, none
/// smaller than `grain`. The split depends on n, grain and the thread count alone, so that a run
/// repeats bit for bit. Nested calls run on the calling thread. What f throws is thrown on.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& f);

/// While one lives, kernels called on this thread use this thread alone: for threads beside the
/// computing one, such as the data loader's.
class SerialGuard {
 public:
  SerialGuard();
  ~SerialGuard();
  SerialGuard(const SerialGuard&) = delete;
  SerialGuard& operator=(const SerialGuard&) = delete;

 private:
  bool before_;
};

namespace detail {
using ParallelBody = void (*)(const void* f, int64_t begin, int64_t end);
void parallel_for(int64_t n, int64_t grain, ParallelBody body, const void* f);
bool in_parallel();
}  // namespace detail

template <class F>
void parallel_for(int64_t n, int64_t grain, const F& f) {
  if (n <= grain || num_threads() == 1) {
    if (n > 0) f(int64_t{0}, n);
    return;
  }
  detail::parallel_for(
      n, grain, [](const void* p, int64_t b, int64_t e) { (*static_cast<const F*>(p))(b, e); }, &f);
}

}  // namespace nnm
