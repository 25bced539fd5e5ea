// OpenMP's threads behind parallel_for, and the count of cores this process may use.
#include "kernels/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/openmp.h"

namespace nnm {

namespace {

thread_local bool tls_serial = false;

int affinity_cores() {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (!set) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool ok = sched_getaffinity(0, bytes, set) == 0;
    const int count = ok ? CPU_COUNT_S(bytes, set) : 0;
    const bool too_small = !ok && errno == EINVAL;
    CPU_FREE(set);
    if (ok) return std::max(count, 1);
    if (!too_small) break;
  }
  return 1;
}

/// Cores that one control group's files allow, or infinity where it sets no limit.
double quota_of(const std::string& folder, bool v2) {
  double quota = -1, period = 0;
  if (v2) {
    std::ifstream in(folder + "/cpu.max");
    std::string word;
    if (!(in >> word >> period) || word == "max") return INFINITY;
    quota = std::strtod(word.c_str(), nullptr);
  } else {
    std::ifstream q(folder + "/cpu.cfs_quota_us"), p(folder + "/cpu.cfs_period_us");
    if (!(q >> quota) || !(p >> period)) return INFINITY;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

/// The least quota of a group and its ancestors. Inside a container the path that /proc shows may
/// not exist below the mount, whose root then is the group itself.
double least_quota(const std::string& mount, std::string path, bool v2) {
  double least = quota_of(mount, v2);
  while (path.size() > 1) {
    least = std::min(least, quota_of(mount + path, v2));
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return least;
}

double cgroup_cores() {
  double least = INFINITY;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_quota("/sys/fs/cgroup", path, true));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      least = std::min(least, least_quota("/sys/fs/cgroup/" + controllers, path, false));
      least = std::min(least, least_quota("/sys/fs/cgroup/cpu", path, false));
    }
  }
  return least;
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{available_cores()};
  return count;
}

/// One parallel_for: its parts, and of several exceptions the first part's, as a serial run's.
struct Region {
  int64_t n;
  int parts;
  detail::ParallelBody body;
  const void* f;
  std::mutex lock = {};
  std::exception_ptr error = nullptr;
  int error_part = parts;

  void run(int thread, int threads) {
    const SerialGuard serial;
    const int64_t size = n / parts, extra = n % parts;
    // OpenMP may grant fewer threads than asked: parts, not threads, make the result.
    for (int i = thread; i < parts; i += threads) {
      const int64_t begin = i * size + std::min<int64_t>(i, extra);
      try {
        body(f, begin, begin + size + (i < extra ? 1 : 0));
      } catch (...) {
        const std::scoped_lock held(lock);
        if (i < error_part) {
          error = std::current_exception();
          error_part = i;
        }
      }
    }
  }
};

}  // namespace

int available_cores() {
  const int cores = affinity_cores();
  const double quota = cgroup_cores();
  return quota < cores ? std::max(1, static_cast<int>(std::ceil(quota))) : cores;
}

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int n) { thread_count().store(std::max(n, 1), std::memory_order_relaxed); }

SerialGuard::SerialGuard() : before_(tls_serial) { tls_serial = true; }
SerialGuard::~SerialGuard() { tls_serial = before_; }

namespace detail {

bool in_parallel() { return tls_serial; }

void parallel_for(int64_t n, int64_t grain, ParallelBody body, const void* f) {
  const int64_t wanted = n / std::max<int64_t>(grain, 1);
  const int parts = static_cast<int>(std::min<int64_t>(num_threads(), wanted));
  if (parts <= 1 || tls_serial) return body(f, 0, n);

  Region region{n, parts, body, f};
  if (const OpenMp* api = openmp()) {
    const auto part = [](void* r) {
      static_cast<Region*>(r)->run(openmp()->thread_num(), openmp()->num_threads());
    };
    api->parallel(part, &region, static_cast<unsigned>(parts), 0);
  } else {
    region.run(0, 1);
  }
  if (region.error) std::rethrow_exception(region.error);
}

}  // namespace detail

}  // namespace nnm
