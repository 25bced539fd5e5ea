// Values: kinds, access, equality, Python's spelling.
#include "nnm/base/value.h"

#include <doctest/doctest.h>

#include <limits>

using namespace nnm;

TEST_CASE("value: floats are spelled as Python's repr does") {
  const std::pair<double, const char*> cases[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {0.1, "0.1"},
      {1e-4, "0.0001"},
      {1e-5, "1e-05"},
      {-1.5e-7, "-1.5e-07"},
      {123456.789, "123456.789"},
      {1e15, "1000000000000000.0"},
      {9999999999999998.0, "9999999999999998.0"},
      {1e16, "1e+16"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {5e-324, "5e-324"},
      {1.0 / 3, "0.3333333333333333"},
      {100.0, "100.0"},
      {std::numeric_limits<double>::infinity(), "inf"},
      {-std::numeric_limits<double>::infinity(), "-inf"},
      {std::numeric_limits<double>::quiet_NaN(), "nan"}};
  for (const auto& [number, text] : cases) CHECK(python_float(number) == text);
}

TEST_CASE("value: repr, str and config_text") {
  const Value v = Value::dict({{"a", Value::list({1, 2.5, true, nullptr})},
                               {"b", Value::tuple({Value("x")})},
                               {"c", DType::bf16}});
  CHECK(v.repr() == "{'a': [1, 2.5, True, None], 'b': ('x',), 'c': torch.bfloat16}");
  CHECK(v.config_text() == "{a: [1, 2.5, true, none], b: (\"x\",), c: bf16}");
  CHECK(Value("it's").repr() == "\"it's\"");
  CHECK(Value("a'b\"c").repr() == "'a\\'b\"c'");
  CHECK(Value("tab\tnew\n\x1b").repr() == "'tab\\tnew\\n\\x1b'");
  CHECK(Value("text").str() == "text");
  CHECK(Value::duration(1, Unit::epoch).str() == "1 epoch");
  CHECK(Value::duration(500, Unit::step).str() == "500 steps");
  CHECK(Value::duration(7200, Unit::second).str() == "2 h");
  CHECK(Value::duration(90, Unit::second).str() == "90 s");
  CHECK(Value::slice(1, Value(), -1).repr() == "slice(1, None, -1)");
  CHECK(Value::ellipsis().repr() == "Ellipsis");
}

TEST_CASE("value: access says what it expected") {
  CHECK(Value(true).integer() == 1);
  CHECK(Value(3).real() == 3.0);
  CHECK_THROWS_WITH_AS(Value("x").integer(), "expected int, got str", Error);
  CHECK_THROWS_WITH_AS(Value(1.5).integer(), "expected int, got float", Error);
  CHECK_THROWS_WITH_AS(Value().items(), "expected list or tuple, got NoneType", Error);
  CHECK_THROWS_WITH_AS(Value(1).boolean(), "expected bool, got int", Error);
  CHECK_THROWS_AS(Value::slice(1.5, Value(), Value()), Error);
}

TEST_CASE("value: equality is Python's") {
  CHECK(Value(1) == Value(1.0));
  CHECK(Value(true) == Value(1));
  CHECK_FALSE(Value(1) == Value("1"));
  CHECK_FALSE(Value(int64_t{1} << 53) == Value(9007199254740993.0 + 2));
  CHECK_FALSE(Value((int64_t{1} << 53) + 1) == Value(9007199254740992.0));
  CHECK_FALSE(Value(std::numeric_limits<double>::quiet_NaN()) ==
              Value(std::numeric_limits<double>::quiet_NaN()));
  CHECK(Value::list({1, 2}) == Value::list({1, 2.0}));
  CHECK_FALSE(Value::list({1}) == Value::tuple({1}));
  CHECK(Value::dict({{"a", 1}, {"b", 2}}) == Value::dict({{"b", 2}, {"a", 1}}));
  CHECK_FALSE(Value::dict({{"a", 1}}) == Value::dict({{"b", 1}}));
  CHECK(Value() == Value(nullptr));
}

TEST_CASE("value: copies of a list share their items and outlive each other") {
  Value copy;
  {
    Value v = Value::list({1});
    copy = v;
    v.mutable_items().push_back("two");
  }
  REQUIRE(copy.items().size() == 2);
  CHECK(copy.items()[1].string() == "two");
  CHECK(copy.object()->use_count() == 1);
}

TEST_CASE("value: truth") {
  for (const Value& v : {Value(), Value(0), Value(0.0), Value(""), Value::list({}), Value(false)}) {
    CHECK_FALSE(v.truthy());
  }
  for (const Value& v : {Value(2), Value("0"), Value::tuple({0}), Value(DType::f32)}) {
    CHECK(v.truthy());
  }
}
