// parallel_for: coverage, fixed splits, exceptions, nesting; kernel slots without a kernel.
#include "kernels/parallel.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "kernels/kernel.h"
#include "nnm/base/error.h"
#include "support/checks.h"

using namespace nnm;
using nnm::testing::Threads;

namespace {

std::set<std::pair<int64_t, int64_t>> parts_of(int64_t n, int64_t grain) {
  std::set<std::pair<int64_t, int64_t>> parts;
  std::mutex lock;
  parallel_for(n, grain, [&](int64_t b, int64_t e) {
    const std::scoped_lock held(lock);
    parts.emplace(b, e);
  });
  return parts;
}

}  // namespace

TEST_CASE("parallel: parts are equal, contiguous and as many as the threads") {
  const Threads threads(4);
  using Parts = std::set<std::pair<int64_t, int64_t>>;
  CHECK(parts_of(10, 1) == Parts{{0, 3}, {3, 6}, {6, 8}, {8, 10}});
  CHECK(parts_of(10, 4) == Parts{{0, 5}, {5, 10}});
  CHECK(parts_of(7, 4) == Parts{{0, 7}});
  CHECK(parts_of(3, 100) == Parts{{0, 3}});
  CHECK(parts_of(0, 1).empty());
  set_num_threads(1);
  CHECK(parts_of(10, 1) == Parts{{0, 10}});
}

TEST_CASE("parallel: the first part's exception arrives, and the next call works") {
  const Threads threads(4);
  const auto failing = [](int64_t b, int64_t) {
    throw std::runtime_error(b == 0 ? "first" : "later");
  };
  CHECK_THROWS_WITH_AS(parallel_for(100, 1, failing), "first", std::runtime_error);
  CHECK(parts_of(100, 1).size() == 4);
}

#ifndef __SANITIZE_THREAD__  // under which libgomp stays away
TEST_CASE("parallel: waiting threads spin only as long as the environment or nnm says") {
  const Threads threads(2);
  CHECK(parts_of(2, 1).size() == 2);
  CHECK((std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")));
}
#endif

TEST_CASE("parallel: nested calls and other serial threads stay on their thread") {
  const Threads threads(4);
  parallel_for(4, 1, [&](int64_t, int64_t) {
    const auto id = std::this_thread::get_id();
    bool same = true;
    parallel_for(1000, 1, [&](int64_t b, int64_t e) {
      same = same && std::this_thread::get_id() == id && b == 0 && e == 1000;
    });
    if (!same) throw std::runtime_error("a nested call left its thread");
  });
  {
    const SerialGuard serial;
    CHECK(parts_of(100, 1).size() == 1);
  }
  CHECK(parts_of(100, 1).size() == 4);
}

TEST_CASE("parallel: the default is at least one core and at most the machine's") {
  CHECK(available_cores() >= 1);
  CHECK(available_cores() <= static_cast<int>(std::thread::hardware_concurrency()));
}

namespace {
void one(const View& out, float v) { *out.as<float>() = v; }
}  // namespace

TEST_CASE("kernel: a slot without a kernel says so, meta does nothing") {
  static constinit Kernel<void(const View&, float)> slot("fill_one");
  float x = 0;
  View v;
  v.data = &x;
  CHECK_THROWS_WITH_AS(slot(v, 1.f), "fill_one: not built for device cpu", Error);
  v.device.type = DeviceType::meta;
  CHECK_NOTHROW(slot(v, 1.f));
  slot.set_cpu(Isa::baseline, one);
  v.device.type = DeviceType::cpu;
  slot(v, 2.f);
  CHECK(x == 2.f);
}
