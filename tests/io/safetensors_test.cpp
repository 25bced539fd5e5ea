// .safetensors: round trips, conversions, and every way in which a header can lie.
#include <doctest/doctest.h>

#include "nnm/io/safetensors.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

std::string file_of(const std::string& json, const std::string& data) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(json.size() >> (8 * i));
  return bytes + json + data;
}

std::string problem_of(const std::string& json, const std::string& data = "") {
  TempDir dir;
  spill(dir / "a.safetensors", file_of(json, data));
  return error_of(ErrorKind::input_file, [&] { read_safetensors(dir / "a.safetensors"); });
}

}  // namespace

TEST_CASE("safetensors: what is written is read") {
  TempDir dir;
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < kDTypes; ++i) {
    const auto d = static_cast<DType>(i);
    tensors.push_back({std::string("t.\"") + info(d).name, numbered(d, {2, 3})});
    tensors.push_back({std::string("scalar\n") + info(d).name, numbered(d, {})});
  }
  tensors.push_back({"empty", numbered(DType::f32, {0, 4})});
  write_safetensors(dir / "a.safetensors", tensors, {{"format", "pt"}});
  const std::vector<NamedTensor> got = load_weights(dir / "a.safetensors");
  REQUIRE(got.size() == tensors.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].name == tensors[i].name);
    CHECK(same_bits(got[i].tensor, tensors[i].tensor));
  }
  CHECK(dir.names().size() == 1);
}

TEST_CASE("safetensors: other integers are widened") {
  TempDir dir;
  const std::string json =
      R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},)"
      R"("b":{"dtype":"U16","shape":[],"data_offsets":[2,4]},)"
      R"("c":{"dtype":"U32","shape":[1],"data_offsets":[4,8]},)"
      R"("\u00fc\ud83d\ude00":{"dtype":"I16","shape":[1],"data_offsets":[8,10]}})";
  spill(dir / "a", file_of(json, std::string("\xff\x7f\xff\xff\xff\xff\xff\xff\x00\x80", 10)));
  const std::vector<NamedTensor> t = read_safetensors(dir / "a");
  REQUIRE(t.size() == 4);
  CHECK(t[0].tensor.dtype() == DType::i8);
  CHECK(t[0].tensor.to_vector<int64_t>() == std::vector<int64_t>{-1, 127});
  CHECK(t[1].tensor.to_vector<int64_t>() == std::vector<int64_t>{65535});
  CHECK(t[2].tensor.dtype() == DType::i64);
  CHECK(t[2].tensor.to_vector<int64_t>() == std::vector<int64_t>{4294967295});
  CHECK(t[3].tensor.to_vector<int64_t>() == std::vector<int64_t>{-32768});
  CHECK(t[3].name == "ü😀");
  CHECK(contains(problem_of(R"({"a":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}})",
                            std::string(8, '\xff')),
                 "beyond i64"));
  CHECK(contains(problem_of(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\x02"),
                 "neither 0 nor 1"));
}

TEST_CASE("safetensors: lies are told apart") {
  const std::string f32 = R"("dtype":"F32")";
  const auto one = [&](const std::string& inside) { return "{\"a\":{" + inside + "}}"; };
  CHECK(problem_of("{}") == "");
  CHECK(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[0,4]  )") + "  ", "1234") == "");
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[0,4])"), "123"),
                 "does not begin") == false);
  CHECK(
      contains(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[0,4])"), "123"), "truncated"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[0,4])"), "12345"),
                 "truncated, or not whole"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[2],"data_offsets":[0,4])"), "1234"),
                 "does not have the bytes"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[1,5])"), "12345"),
                 "does not begin where"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[4,0])"), "1234"), "'a'"));
  CHECK(contains(
      problem_of(
          one(f32 + R"(,"shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,4])"),
          "1234"),
      "does not have the bytes"));
  CHECK(contains(
      problem_of(one(f32 + R"(,"shape":[9223372036854775808],"data_offsets":[0,4])"), "1234"),
      "63 bits"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[-1],"data_offsets":[0,4])"), "1234"),
                 "natural number"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[01],"data_offsets":[0,4])"), "1234"),
                 "natural number"));
  CHECK(contains(
      problem_of(one(f32 + R"(,"shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "1234"),
      "9 dimensions"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1],"data_offsets":[0,4],"x":1)"), "1234"),
                 "'x' in the description"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1],"shape":[1],"data_offsets":[0,4])"), "1234"),
                 "'shape' twice"));
  CHECK(contains(problem_of(one(f32 + R"(,"shape":[1])"), "1234"), "missing for 'a'"));
  CHECK(contains(problem_of(one(R"("dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1])"), "1"),
                 "F8_E4M3"));
  const std::string a = "\"a\":{" + f32 + R"(,"shape":[1],"data_offsets":[0,4]})";
  CHECK(contains(problem_of("{" + a + "," + a + "}", "1234"), "'a' twice"));
  CHECK(contains(problem_of("{" + a + ",}", "1234"), "'\"' expected"));
  CHECK(contains(problem_of("{" + a + "} x", "1234"), "text after"));
  CHECK(contains(problem_of("{" + a, "1234"), "'}' expected"));
  CHECK(contains(problem_of(R"({"__metadata__":{"a":1}})"), "'\"' expected"));
  CHECK(contains(problem_of(R"({"\ud800":1})"), "half a surrogate"));
  CHECK(contains(problem_of("{\"a\nb\":1}"), "control character"));
  CHECK(contains(problem_of(R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "1234"),
                 "a name of 0 bytes"));
  CHECK(contains(problem_of("[]"), "not a .safetensors file"));
}

TEST_CASE("safetensors: headers are limited") {
  TempDir dir;
  spill(dir / "a", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { read_safetensors(dir / "a"); }),
                 "at most 100000000"));
  spill(dir / "a", std::string("\x09\0\0\0\0\0\0\0{}", 10));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { read_safetensors(dir / "a"); }),
                 "shorter than its header"));
  spill(dir / "a", "short");
  CHECK(
      contains(error_of(ErrorKind::input_file, [&] { read_safetensors(dir / "a"); }), "too short"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { read_safetensors(dir / "none"); }),
                 "No such file"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { read_safetensors(dir.path()); }),
                 "not a regular file"));
}
