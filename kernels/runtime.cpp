// What kernels share at run time: the thread count, the parallel loop, the instruction set.
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "kernels/kernel.h"
#include "kernels/parallel.h"

namespace nnm {
namespace {

// Cores of the cgroup's quota, or a large number where there is none.
int quota_cores() {
  long quota = -1, period = 100000;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    if (std::fscanf(f, "%ld %ld", &quota, &period) != 2) quota = -1;
    std::fclose(f);
  } else if (std::FILE* q = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (std::fscanf(q, "%ld", &quota) != 1) quota = -1;
    std::fclose(q);
    if (std::FILE* p = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (std::fscanf(p, "%ld", &period) != 1) period = 100000;
      std::fclose(p);
    }
  }
  if (quota <= 0 || period <= 0) return 1 << 20;
  return static_cast<int>(std::max(1L, (quota + period - 1) / period));
}

int allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::max(1, std::min(n, quota_cores()));
}

int thread_count = 0;
thread_local bool serial = false;

}  // namespace

int num_threads() {
  if (thread_count == 0) thread_count = allowed_cores();
  return thread_count;
}

void set_num_threads(int n) { thread_count = std::max(1, n); }

SerialGuard::SerialGuard() : before_(serial) { serial = true; }
SerialGuard::~SerialGuard() { serial = before_; }

namespace detail {

bool in_parallel() { return serial; }

void parallel_for(int64_t n, int64_t grain, ParallelBody body, const void* f) {
  if (serial) return body(f, 0, n);
  const int64_t parts = std::min<int64_t>(num_threads(), std::max<int64_t>(1, n / std::max<int64_t>(grain, 1)));
  if (parts <= 1) return body(f, 0, n);
  std::exception_ptr error;
#pragma omp parallel num_threads(static_cast<int>(parts))
  {
    const SerialGuard nested;
    const int64_t i = omp_get_thread_num();
    try {
      if (n * i / parts < n * (i + 1) / parts) body(f, n * i / parts, n * (i + 1) / parts);
    } catch (...) {
#pragma omp critical(nnm_parallel_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace detail

Isa cpu_isa() {
  static const Isa isa = [] {
    const char* asked = std::getenv("NNM_ISA");
    if (asked && std::strcmp(asked, "baseline") == 0) return Isa::baseline;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi2");
    return avx2 ? Isa::avx2 : Isa::baseline;
  }();
  return isa;
}

}  // namespace nnm
