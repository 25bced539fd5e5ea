// Loader: orders, determinism, resuming, errors of its threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "tests/data/support.h"

using namespace nnm;
using namespace nnm::data;
using namespace nnm::data::testing;

namespace {

Ref<Dataset> numbers(int64_t n) {
  Tensor x = empty({n, 2}), y = empty({n}, {DType::u8});
  for (int64_t i = 0; i < n; ++i) {
    x.data<float>()[2 * i] = static_cast<float>(i);
    x.data<float>()[2 * i + 1] = static_cast<float>(-i);
    y.data<uint8_t>()[i] = static_cast<uint8_t>(i % 7);
  }
  return make_arrays({{"x", x, "numbers.npy"}, {"y", y, "labels.npy"}});
}

LoaderOptions shuffled(int64_t batch, uint64_t seed = 0, int workers = 1) {
  LoaderOptions o;
  o.batch = batch;
  o.training = o.shuffle = true;
  o.seed = seed;
  o.workers = workers;
  return o;
}

std::vector<double> epoch_of(Loader& loader) {
  std::vector<double> all;
  while (auto b = loader.next()) {
    for (const Tensor& t : b->fields) {
      const auto v = t.to_vector<double>();
      all.insert(all.end(), v.begin(), v.end());
    }
    for (int64_t s : b->samples) all.push_back(static_cast<double>(s));
  }
  return all;
}

}  // namespace

TEST_CASE("loader: file order, the last batch smaller") {
  Loader l(numbers(10), {.batch = 4});
  CHECK(l.batches_per_epoch() == 3);
  std::vector<int64_t> sizes;
  int64_t row = 0;
  while (auto b = l.next()) {
    sizes.push_back(b->fields[0].size(0));
    CHECK(b->epoch == 0);
    CHECK(b->index == static_cast<int64_t>(sizes.size()) - 1);
    CHECK(b->fields[1].dtype() == DType::i64);
    for (int64_t i = 0; i < b->fields[0].size(0); ++i, ++row) {
      CHECK(b->fields[0].data<float>()[2 * i] == static_cast<float>(row));
      CHECK(b->fields[1].data<int64_t>()[i] == row % 7);
      CHECK(b->samples[static_cast<size_t>(i)] == row);
    }
  }
  CHECK(sizes == std::vector<int64_t>{4, 4, 2});
  auto next = l.next();
  REQUIRE(next);
  CHECK(next->epoch == 1);
  CHECK(next->samples[0] == 0);
}

TEST_CASE("loader: drop_last") {
  Loader l(numbers(10), {.batch = 4, .drop_last = true});
  CHECK(l.batches_per_epoch() == 2);
  int n = 0;
  while (l.next()) ++n;
  CHECK(n == 2);
}

TEST_CASE("loader: an epoch is a permutation of (seed, epoch) alone") {
  auto order = [](uint64_t seed, int64_t epoch) {
    Loader l(numbers(100), shuffled(7, seed));
    l.seek(epoch, 0);
    std::vector<int64_t> all;
    while (auto b = l.next()) all.insert(all.end(), b->samples.begin(), b->samples.end());
    return all;
  };
  std::vector<int64_t> sorted(100);
  std::iota(sorted.begin(), sorted.end(), 0);
  const auto first = order(3, 0), second = order(3, 1);
  CHECK(first != sorted);
  CHECK(first != second);
  CHECK(first != order(4, 0));
  CHECK(first == order(3, 0));
  auto check = second;
  std::sort(check.begin(), check.end());
  CHECK(check == sorted);
}

TEST_CASE("loader: every permutation is as likely as every other") {
  int counts[4][4] = {};
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const auto p = permutation(4, seed, "test");
    for (size_t i = 0; i < 4; ++i) ++counts[i][p[i]];
  }
  for (auto& row : counts) {
    // Five standard deviations of a binomial of 4,000 draws at 1/4.
    for (int c : row) CHECK(std::abs(c - 1000) < 137);
  }
}

TEST_CASE("loader: workers and speed change nothing") {
  LoaderOptions one = shuffled(3, 5), four = shuffled(3, 5, 4);
  for (LoaderOptions* o : {&one, &four}) {
    o->fields = {{0,
                  {{make("reshape", {1, 1, 2}),
                    make("random_erasing", {1.0}, {{"scale", Value::list({0.4, 0.6})}}),
                    make("random_horizontal_flip")},
                   DType::f64}},
                 {1, {}}};
  }
  Loader a(numbers(101), one), b(numbers(101), four);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto want = epoch_of(a);
    CHECK(want == epoch_of(b));
    CHECK(want.size() == 101 * 4);
  }
}

TEST_CASE("loader: seek goes on bit for bit") {
  Loader whole(numbers(50), shuffled(4, 9));
  for (int i = 0; i < 2; ++i) epoch_of(whole);
  for (int i = 0; i < 5; ++i) whole.next();
  Loader resumed(numbers(50), shuffled(4, 9));
  resumed.next();
  resumed.seek(2, 5);
  const auto want = epoch_of(whole);
  CHECK(!want.empty());
  CHECK(want == epoch_of(resumed));
  CHECK(epoch_of(whole) == epoch_of(resumed));
  resumed.seek(0, resumed.batches_per_epoch());
  CHECK(!resumed.next());
  CHECK(resumed.next()->epoch == 1);
}

TEST_CASE("loader: batches outlive their loader and each other") {
  std::vector<Tensor> kept;
  {
    Loader l(numbers(40), {.batch = 4});
    while (auto b = l.next()) kept.push_back(b->fields[0]);
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    CHECK(kept[i].data<float>()[0] == static_cast<float>(4 * i));
  }
}

TEST_CASE("loader: what a thread refuses surfaces in next(), at its batch") {
  // By a thread beside, and where kernels use all cores, by theirs.
  for (const int workers : {2, 1}) {
    LoaderOptions o;
    o.batch = 2;
    o.workers = workers;
    o.fields = {{1, {{make("one_hot", {5})}, {}}}};
    Loader l(numbers(20), o);
    CHECK(l.next());
    CHECK(l.next());
    for (int again = 0; again < 2; ++again) {
      const std::string e = error_of(ErrorKind::input_file, [&] {
        l.next();
        l.next();
      });
      CHECK(e == "labels.npy, sample 5: one_hot: the label 5 is not one of 5 classes");
    }
    l.seek(0, 0);
    CHECK(l.next());
  }
}

TEST_CASE("loader: threads of kernels prepare what a thread beside them does") {
  // Rows long enough that several threads share a batch.
  const int64_t n = 37, width = 6000;
  Tensor x = empty({n, width});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(i);
  const auto data = [&] { return make_arrays({{"x", x, "x.npy"}}); };
  Loader beside(data(), shuffled(8, 3, 2)), own(data(), shuffled(8, 3));
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto want = epoch_of(beside);
    CHECK(want.size() == static_cast<size_t>(n * (width + 1)));
    CHECK(want == epoch_of(own));
  }
  for (Loader* l : {&beside, &own}) l->seek(1, 2);
  CHECK(epoch_of(beside) == epoch_of(own));
}

TEST_CASE("loader: fields that do not fit are errors that name them") {
  LoaderOptions o;
  o.fields = {{0, {{make("center_crop", {2})}, {}}}};
  CHECK(contains(error_of(ErrorKind::value, [&] { Loader l(numbers(4), o); }),
                 "field `x`: center_crop needs images"));
  CHECK(contains(error_of(ErrorKind::value, [&] { Loader l(numbers(4), {.batch = 0}); }),
                 "batch must be at least 1"));
}

TEST_CASE("loader: going away while threads are at work") {
  for (int i = 0; i < 50; ++i) {
    Loader l(numbers(1000), shuffled(1, 0, 3));
    if (i % 3) l.next();
    if (i % 2) l.seek(1, 2);
    if (i % 5 == 0) l.next();
  }
}
