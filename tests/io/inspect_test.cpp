// Statistics against numbers worked out by hand, and the tree of a file.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/half.h"
#include "nnm/io/inspect.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

template <class T>
Tensor of(DType dtype, std::vector<T> values) {
  Tensor t = empty({static_cast<int64_t>(values.size())}, {.dtype = dtype});
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

}  // namespace

TEST_CASE("inspect: statistics leave out what is not finite") {
  const Statistics s =
      statistics(of<float>(DType::f32, {1, 2, NAN, 0, -5, INFINITY, -INFINITY, 0}));
  CHECK(s.numel == 8);
  CHECK(s.nan == 1);
  CHECK(s.inf == 2);
  CHECK(s.zero == 2);
  CHECK(s.mean == doctest::Approx(-0.4).epsilon(1e-12));
  CHECK(s.std == doctest::Approx(std::sqrt(29.2 / 4)).epsilon(1e-12));
  CHECK(s.min == -5);
  CHECK(s.max == 2);
  CHECK(s.norm == doctest::Approx(std::sqrt(30.0)).epsilon(1e-12));
}

TEST_CASE("inspect: statistics of every dtype, of one and of no element") {
  CHECK(statistics(of<int64_t>(DType::i64, {3, 5})).mean == 4);
  CHECK(statistics(of<int32_t>(DType::i32, {-3, 5})).min == -3);
  CHECK(statistics(of<int16_t>(DType::i16, {-300, 500})).mean == 100);
  CHECK(statistics(of<int8_t>(DType::i8, {-128, 5})).min == -128);
  CHECK(statistics(of<uint8_t>(DType::u8, {255, 0})).mean == 127.5);
  CHECK(statistics(of<uint8_t>(DType::b8, {1, 0, 1, 1})).mean == 0.75);
  CHECK(statistics(of<double>(DType::f64, {1e300, 1e300})).mean == 1e300);
  CHECK(statistics(of<BFloat16>(DType::bf16, {BFloat16(1.5f), BFloat16(2.5f)})).mean == 2);
  CHECK(statistics(of<Half>(DType::f16, {Half(1.5f), Half(-2.5f)})).max == 1.5);
  const Statistics one = statistics(of<float>(DType::f32, {7}));
  CHECK(one.mean == 7);
  CHECK(std::isnan(one.std));
  const Statistics none = statistics(of<float>(DType::f32, {}));
  CHECK(none.numel == 0);
  CHECK(std::isnan(none.mean));
  CHECK(none.norm == 0);
}

TEST_CASE("inspect: a small spread about a large mean is not lost between pieces") {
  TempDir dir;
  const int64_t rows = 50'000, columns = 100;
  Tensor t = empty({rows, columns}, {.dtype = DType::f64});
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = 1e9 + (i % 2);
  {
    H5Writer w(dir / "a.h5");
    w.tensor("/x", t);
    w.close();
  }
  const Description d = describe(dir / "a.h5");
  REQUIRE(d.children.size() == 1);
  const Statistics& s = d.children[0].stats.value();
  CHECK(s.numel == rows * columns);
  CHECK(s.mean == 1e9 + 0.5);
  CHECK(s.std == doctest::Approx(0.5).epsilon(1e-6));
  CHECK(s.max == 1e9 + 1);
}

TEST_CASE("inspect: the tree of a file") {
  TempDir dir;
  {
    H5Writer w(dir / "a.h5");
    w.text("/config", "a: 1\n");
    w.texts("/g/names", std::vector<std::string>{"x", "yz"});
    w.tensor("/g/mask", numbered(DType::b8, {4}));
    w.attribute("/g", "lr", 0.1);
    w.close();
  }
  const Description d = describe(dir / "a.h5", {.text_bytes = 2});
  REQUIRE(d.children.size() == 2);
  CHECK(d.group);
  CHECK(d.children[0].text.value() == "a:");
  CHECK(d.children[0].dtype == "string[5]");
  const Description& g = d.children[1];
  CHECK(g.attributes == std::vector<std::pair<std::string, std::string>>{{"lr", "0.1"}});
  CHECK(g.children.at(0).dtype == "string[2]");
  CHECK_FALSE(g.children.at(0).stats.has_value());
  CHECK(g.children.at(1).path == "/g/mask");
  CHECK(g.children.at(1).shape == std::vector<int64_t>{4});
  CHECK(g.children.at(1).stats->zero == 2);
  const Description names = describe(dir / "a.h5", {.statistics = false});
  CHECK_FALSE(names.children[1].children[1].stats.has_value());
}
