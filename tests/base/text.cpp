// Text for people, the log, and JSON.
#include "nnm/base/text.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "nnm/base/json.h"
#include "nnm/base/log.h"

using namespace nnm;

TEST_CASE("text: UTF-8") {
  CHECK(is_utf8("aä€😀"));
  CHECK(code_points("aä€😀") == 4);
  // Overlong, surrogate, too large, cut off, stray.
  for (const char* bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "\xe2\x82", "\x80", "\xff"}) {
    CHECK_FALSE(is_utf8(bad));
  }
  CHECK(code_points("a\xff\xffz") == 4);
}

TEST_CASE("text: a terminal gets no commands") {
  CHECK(escape_terminal("plain ä€😀") == "plain ä€😀");
  CHECK(escape_terminal("a\x1b[31m\n\t\r\x7f") == "a\\x1b[31m\\n\\t\\x0d\\x7f");
  CHECK(escape_terminal("\xc2\x9b"
                        "1m") == "\\x9b1m");
  CHECK(escape_terminal("x\xe2\x80\xaey") == "x\\u202ey");
  CHECK(escape_terminal("\xff\xc3") == "\\xff\\xc3");
}

TEST_CASE("text: sizes and counts") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1024) == "1.0 KiB");
  CHECK(human_bytes(1258291) == "1.2 MiB");
  CHECK(human_bytes(1048575) == "1.0 MiB");
  CHECK(human_bytes(std::numeric_limits<uint64_t>::max()) == "16.0 EiB");
  CHECK(with_thousands(0) == "0");
  CHECK(with_thousands(999) == "999");
  CHECK(with_thousands(11689512) == "11,689,512");
  CHECK(with_thousands(-1000) == "-1,000");
  CHECK(with_thousands(-100) == "-100");
  CHECK(with_thousands(std::numeric_limits<int64_t>::min()) == "-9,223,372,036,854,775,808");
}

namespace {

/// What f writes to stderr.
template <class F>
std::string stderr_of(const F& f) {
  std::FILE* file = std::tmpfile();
  const int before = ::dup(2);
  ::dup2(::fileno(file), 2);
  f();
  ::dup2(before, 2);
  ::close(before);
  std::string out(4096, '\0');
  std::rewind(file);
  out.resize(std::fread(out.data(), 1, out.size(), file));
  std::fclose(file);
  return out;
}

}  // namespace

TEST_CASE("text: sizes that people write") {
  for (const auto& [text, bytes] :
       std::vector<std::pair<std::string, int64_t>>{{"0", 0},
                                                    {"300", 300},
                                                    {"300B", 300},
                                                    {"1k", 1024},
                                                    {"64MiB", int64_t{64} << 20},
                                                    {"2 gb", int64_t{2} << 30},
                                                    {"1.5 KiB", 1536},
                                                    {"4TiB", int64_t{4} << 40}})
    CHECK_MESSAGE(parse_bytes(text) == bytes, text);
  for (const char* text : {"", "-1", "B", "3XB", "3 MiBB", "nan", "inf", "99999999999999999999",
                           "9999999999TiB", "0x10"})
    CHECK_MESSAGE(!parse_bytes(text), text);
}

TEST_CASE("log: levels, one line each, sinks for warnings") {
  const auto all = [] {
    log_note("note {}", 1);
    log_detail("detail");
    log_warning("two\nlines");
  };
  CHECK(stderr_of(all) == "note 1\nwarning: two\\nlines\n");
  set_log_level(LogLevel::quiet);
  CHECK(stderr_of(all) == "warning: two\\nlines\n");
  set_log_level(LogLevel::verbose);
  CHECK(stderr_of(all) == "note 1\ndetail\nwarning: two\\nlines\n");
  set_log_level(LogLevel::normal);

  std::vector<std::string> outer, inner;
  const WarningSink first([&](const std::string& s) { outer.push_back(s); });
  stderr_of([&] {
    const WarningSink second([&](const std::string& s) { inner.push_back(s); });
    log_warning("a");
  });
  stderr_of([] { log_warning("b"); });
  CHECK(outer == std::vector<std::string>{"a", "b"});
  CHECK(inner == std::vector<std::string>{"a"});
}

TEST_CASE("json: nesting, escapes, numbers that JSON lacks") {
  Json j;
  j.object().entry("a\"\\\n\x01\x7f", 1).key("b").array().value(0.1).value(true).value(nullptr);
  j.value(std::numeric_limits<double>::quiet_NaN()).value("ä\xff\xed\xa0\x80").end();
  j.key("c").object().end().key("d").array().end();
  j.entry("e", Value::dict({{"x", Value::tuple({1, 2.5, "s"})}})).end();
  CHECK(j.text() ==
        "{\"a\\\"\\\\\\n\\u0001\\u007f\": 1, \"b\": [0.1, true, null, null, "
        "\"ä\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"], \"c\": {}, \"d\": [], "
        "\"e\": {\"x\": [1, 2.5, \"s\"]}}");
  Json k(2);
  k.object().key("a").array().value(int64_t{1} << 62).value(1e300).end().key("b").array().end();
  k.end();
  CHECK(k.text() == "{\n  \"a\": [\n    4611686018427387904,\n    1e+300\n  ],\n  \"b\": []\n}");
}

TEST_CASE("counted: one or many") {
  CHECK(counted(0, "step") == "0 steps");
  CHECK(counted(1, "step") == "1 step");
  CHECK(counted(1200, "site") == "1,200 sites");
  CHECK(counted(1, "batch") == "1 batch");
  CHECK(counted(2, "batch") == "2 batches");
  CHECK(counted(2, "epoch") == "2 epochs");
}
