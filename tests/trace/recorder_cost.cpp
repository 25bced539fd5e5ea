// What recording costs: measurements, left out of ordinary runs.
//   nnm_tests -ns -tc='cost:*'
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "nnm/autograd/node.h"
#include "nnm/ops/ops.h"
#include "nnm/trace/captures.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::tracing;

namespace {

double seconds(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// The shortest of so many runs, in seconds of that clock.
template <class F>
double shortest(int runs, clockid_t clock, const F& f) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < runs; ++i) {
    const double begin = seconds(clock);
    f();
    best = std::min(best, seconds(clock) - begin);
  }
  return best;
}

struct Same : Module {
  Tensor forward(const Tensor& x) override { return x; }
};

struct Chain : Module {
  std::vector<Ref<Module>> links;
  explicit Chain(int n) {
    for (int i = 0; i < n; ++i) {
      links.push_back(make_ref<Same>());
      register_module("layer_" + std::to_string(i), links.back());
    }
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const Ref<Module>& m : links) y = (*m)(y);
    return y;
  }
};

}  // namespace

TEST_CASE("cost: 200 sites of 12 statistics" * doctest::skip()) {
  constexpr int kSites = 200, kSteps = 100;
  const io::testing::TempDir dir;
  const Ref<Chain> net = make_ref<Chain>(kSites);
  const Tensor x = ones({64});
  const NoGradGuard no_grad;
  CaptureOptions o;
  o.hooks = {parse_hook("forward:layer_*")};
  o.set_reduce("mean,std,min,max,l1,l2,absmax,sum,nan,inf,zero,numel");
  o.tensor = TensorMode::parse("none");
  io::TraceHeader header;
  Captures captures(*net);
  // Other work on the machine disturbs processor time less.
  constexpr clockid_t kClock = CLOCK_PROCESS_CPUTIME_ID;
  const double plain = shortest(20, kClock, [&] {
    for (int i = 0; i < kSteps; ++i) (*net)(x);
  });
  const double computing = shortest(20, kClock, [&] {
    TensorStatistics s;
    for (int i = 0; i < kSteps * kSites; ++i) kernels::statistics(x.view(), &s, nullptr);
  });
  captures.add(o);
  captures.describe(header);
  io::TraceWriter writer(dir / "t.h5", header);
  captures.record_into(writer, header);
  int64_t step = 0;
  const double recorded = shortest(20, kClock, [&] {
    for (int i = 0; i < kSteps; ++i) {
      captures.begin({.step = step++, .mode = "train"});
      (*net)(x);
      captures.end();
    }
  });
  writer.close();
  const double cost = 1e6 * (recorded - plain - computing) / kSteps;
  MESSAGE(fmt::format("{:.0f} us a step beyond computing the statistics", cost));
  CHECK(cost < 100);
}

TEST_CASE("cost: large tensors against plain writing" * doctest::skip()) {
  constexpr int kRecords = 12;
  const io::testing::TempDir dir;
  const Tensor t = ones({64, 64, 32, 32});  // 16 MiB
  const size_t bytes = static_cast<size_t>(t.numel()) * sizeof(float);
  double raw = std::numeric_limits<double>::infinity(), traced = raw;
  // In turns, each into a new file.
  for (int round = 0; round < 20; ++round) {
    raw = std::min(raw, shortest(1, CLOCK_MONOTONIC, [&] {
                     const int fd =
                         ::open((dir / "raw").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
                     for (int i = 0; i < kRecords; ++i)
                       REQUIRE(::write(fd, t.data(), bytes) == static_cast<ssize_t>(bytes));
                     ::close(fd);
                   }));
    ::unlink((dir / "raw").c_str());
    traced = std::min(traced, shortest(1, CLOCK_MONOTONIC, [&] {
                        io::TraceWriter w(dir / "t.h5", {}, {.max_bytes = int64_t{1} << 40});
                        const io::TraceArg arg{"0", t};
                        for (int i = 0; i < kRecords; ++i) {
                          w.begin_step({.step = i, .mode = "eval"});
                          CHECK(w.record("layer", "output", 0, std::span(&arg, 1)));
                        }
                      }));
    ::unlink((dir / "t.h5.part").c_str());
  }
  const double rate = kRecords * static_cast<double>(bytes) / 1e6;
  MESSAGE(fmt::format("{:.0f} MB/s, plain writing {:.0f} MB/s: {:.2f}", rate / traced, rate / raw,
                      raw / traced));
  CHECK(raw / traced > 0.85);
}
