// Statistics of a GPU's tensors that come late.
#include "nnm/trace/late_statistics.h"

#include <doctest/doctest.h>

#include "nnm/nnm.h"
#include "support/gpu.h"

namespace nnm {
namespace {

using testing::emulated_gpu;
using tracing::LateStatistics;

Tensor numbers(const Shape& shape, DType dtype = DType::f32) {
  return to(randn(shape), {dtype, emulated_gpu()});
}

struct Known {
  TensorStatistics s;
  std::vector<uint32_t> bins = std::vector<uint32_t>(kHistogramBins);
};
/// As one call tells of it.
Known known(const Tensor& t) {
  Known k;
  kernels::statistics(t.view(), &k.s, k.bins.data());
  return k;
}

void check_same(LateStatistics& late, LateStatistics::Ticket ticket, const Known& k) {
  std::vector<uint32_t> bins(kHistogramBins);
  const TensorStatistics s = late.get(ticket, bins.data());
  CHECK(bins == k.bins);
  CHECK(s.numel == k.s.numel);
  CHECK(s.zero == k.s.zero);
  CHECK(s.mean == k.s.mean);
  CHECK(s.second == k.s.second);
  CHECK(s.l1 == k.s.l1);
  CHECK(s.min == k.s.min);
  CHECK(s.max == k.s.max);
}

TEST_CASE("late statistics: those of many tensors are what each has by itself") {
  LateStatistics late;
  CHECK_FALSE(late.takes(ones({2})));
  std::vector<LateStatistics::Ticket> tickets;
  std::vector<Known> expected;
  const auto add = [&](const Tensor& t) {
    REQUIRE(late.takes(t));
    expected.push_back(known(t));
    tickets.push_back(late.add(t, true, true));
  };
  for (int64_t i = 0; i < 300; ++i) add(numbers({i % 7, 3}));
  add(numbers({20000}));
  add(transpose(numbers({40, 30}, DType::bf16), 0, 1));
  add(slice(numbers({10, 40}), 1, 3, 20));
  add(tensor({1, 0, 3}, {}, emulated_gpu()));
  CHECK(late.asked() == 304);
  late.send();
  for (size_t i = 0; i < tickets.size(); ++i) check_same(late, tickets[i], expected[i]);
}

TEST_CASE("late statistics: of a tensor as it was, though it has been written to") {
  LateStatistics late;
  const Tensor x = numbers({5000}), y = numbers({100}), z = numbers({64});
  const Known before_x = known(x), before_y = known(y), before_z = known(z);
  const auto tx = late.add(x, true, true), ty = late.add(y, true, true);
  relu_(slice(x, 0, 0, 10));  // a view of it
  const auto tz = late.add(z, true, true);
  add_(y, x.as_strided({100}, {1}, 0));
  engine_ops.add_(z, ones({64}, z.options()));
  const auto again = late.add(z, true, true);
  const Known after_z = known(z);
  late.send();
  check_same(late, tx, before_x);
  check_same(late, ty, before_y);
  check_same(late, tz, before_z);
  check_same(late, again, after_z);
  CHECK(after_z.s.mean != before_z.s.mean);
}

TEST_CASE("late statistics: a step has room for its tickets again, and keeps those of before") {
  LateStatistics late;
  const Tensor x = numbers({50}), y = numbers({60});
  late.begin();
  const auto first = late.add(x, true, true);
  late.send();
  late.begin(1);
  const auto second = late.add(y, true, true);
  CHECK(second.place == 1);
  late.send();
  check_same(late, first, known(x));
  check_same(late, second, known(y));
  late.begin();
  CHECK(late.add(y, true, true).place == 0);
}

}  // namespace
}  // namespace nnm
