// HDF5 files: what is written comes back bit for bit, and what nnm does not write is converted or
// named.
#include <doctest/doctest.h>
#include <hdf5.h>
#include <sys/stat.h>

#include <cstring>

#include "nnm/base/file.h"
#include "nnm/io/h5.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

std::vector<DType> all_types() {
  std::vector<DType> types;
  for (int i = 0; i < kDTypes; ++i) types.push_back(static_cast<DType>(i));
  return types;
}

void write_sample(const std::string& path, H5Writer::Format format) {
  H5Writer w(path, format);
  for (DType d : all_types()) w.tensor(std::string("/t/") + info(d).name, numbered(d, {3, 5}));
  w.text("/config", "layers:\n  - Linear(2, 3)  # größer\n");
  w.texts("/names", std::vector<std::string>{"fc.weight", "", "ü"});
  w.attribute("/", "format", "test");
  w.write_manifest();
  w.close();
}

}  // namespace

TEST_CASE("h5: every dtype comes back bit for bit") {
  TempDir dir;
  const std::string path = dir / "a.h5";
  {
    H5Writer w(path);
    for (DType d : all_types()) {
      const std::string name = info(d).name;
      w.tensor("/" + name, numbered(d, {4, 3}));
      w.tensor("/scalar/" + name, numbered(d, {}));
      w.tensor("/empty/" + name, numbered(d, {2, 0}));
    }
    w.close();
  }
  const H5Reader r(path);
  for (DType d : all_types()) {
    const std::string name = info(d).name;
    CHECK(same_bits(r.tensor(r.at(name)), numbered(d, {4, 3})));
    CHECK(same_bits(r.tensor(r.at("scalar/" + name)), numbered(d, {})));
    CHECK(same_bits(r.tensor(r.at("/empty/" + name)), numbered(d, {2, 0})));
    CHECK(r.at(name).element.name == name);
    CHECK(r.at(name).element.exact);
  }
}

TEST_CASE("h5: NaN payloads, signed zeros and denormals survive") {
  TempDir dir;
  const uint32_t bits[] = {0x7fc00001, 0xffc12345, 0x7f800001, 0x80000000,
                           0x00000001, 0x807fffff, 0x7f800000};
  const uint16_t half[] = {0x7e01, 0x7c01, 0x8000, 0x0001, 0xfc00, 0xffff, 0x03ff};
  const int64_t n = 7;
  {
    H5Writer w(dir / "a.h5");
    w.dataset("/f32", DType::f32, std::span(&n, 1), bits);
    w.dataset("/f16", DType::f16, std::span(&n, 1), half);
    w.dataset("/bf16", DType::bf16, std::span(&n, 1), half);
    w.close();
  }
  const H5Reader r(dir / "a.h5");
  CHECK(std::memcmp(r.tensor(r.at("f32")).data(), bits, sizeof bits) == 0);
  CHECK(std::memcmp(r.tensor(r.at("f16")).data(), half, sizeof half) == 0);
  CHECK(std::memcmp(r.tensor(r.at("bf16")).data(), half, sizeof half) == 0);
}

TEST_CASE("h5: strided tensors are written row-major") {
  TempDir dir;
  const Tensor t = numbered(DType::i32, {3, 4});
  {
    H5Writer w(dir / "a.h5");
    w.tensor("/t", t.as_strided({4, 3}, {1, 4}, 0));
    w.close();
  }
  const H5Reader r(dir / "a.h5");
  const std::vector<int64_t> got = r.tensor(r.at("t")).to_vector<int64_t>(),
                             all = t.to_vector<int64_t>();
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 3; ++j) CHECK(got[i * 3 + j] == all[j * 4 + i]);
  }
}

TEST_CASE("h5: texts and attributes") {
  TempDir dir;
  {
    H5Writer w(dir / "a.h5");
    w.text("/config", "a: 1\n");
    w.text("/none", "");
    w.texts("/names", std::vector<std::string>{"x", "", "größe"});
    w.texts("/no_names", {});
    w.attribute("/config", "none", Value());
    w.attribute("/config", "yes", true);
    w.attribute("/config", "count", int64_t{1} << 60);
    w.attribute("/config", "lr", 0.1);
    w.attribute("/config", "lr", 1e-3);
    w.attribute("/config", "text", "Adam");
    w.attribute("/config", "betas", Value::tuple({0.9, 0.999}));
    w.attribute("/config", "steps", Value::list({1, 2}));
    w.attribute("/config", "names", Value::list({"a", "bcd"}));
    w.attribute("/config", "nothing", Value::tuple({}));
    w.attribute("/config", "long", std::string(100'000, 'x'));
    w.attribute_u32("/config", "crc", 0xfedcba98);
    w.close();
  }
  const H5Reader r(dir / "a.h5");
  CHECK(r.text(r.at("config")) == "a: 1\n");
  CHECK(r.text(r.at("none")) == "");
  CHECK(r.texts(r.at("names")) == std::vector<std::string>{"x", "", "größe"});
  CHECK(r.texts(r.at("no_names")).empty());
  const H5Node& c = r.at("config");
  CHECK(r.attribute(c, "none").is_none());
  CHECK(r.has_attribute(c, "none"));
  CHECK_FALSE(r.has_attribute(c, "absent"));
  CHECK(r.attribute(c, "absent").is_none());
  CHECK(r.attribute(c, "yes").repr() == "True");
  CHECK(r.attribute(c, "count").integer() == int64_t{1} << 60);
  CHECK(r.attribute(c, "lr").repr() == "0.001");
  CHECK(r.attribute(c, "text").repr() == "'Adam'");
  CHECK(r.attribute(c, "betas").repr() == "(0.9, 0.999)");
  CHECK(r.attribute(c, "steps").repr() == "(1, 2)");
  CHECK(r.attribute(c, "names").repr() == "('a', 'bcd')");
  CHECK(r.attribute(c, "nothing").repr() == "()");
  CHECK(r.attribute(c, "long").string().size() == 100'000);
  CHECK(r.attribute(c, "crc").integer() == 0xfedcba98);
  CHECK(r.attributes(c).size() == 11);
}

TEST_CASE("h5: the same contents give the same bytes") {
  TempDir dir;
  for (auto format : {H5Writer::Format::v18, H5Writer::Format::v110}) {
    const std::string a = dir / "a.h5", b = dir / "b.h5";
    write_sample(a, format);
    write_sample(b, format);
    CHECK(slurp(a) == slurp(b));
    std::filesystem::remove(a);
    std::filesystem::remove(b);
  }
}

TEST_CASE("h5: groups keep creation order, links share an object") {
  TempDir dir;
  const std::vector<std::string> order = {"z.weight", "a.weight", "m", "b", "10", "9",
                                          "8",        "7",        "6", "5", "4"};
  {
    H5Writer w(dir / "a.h5");
    for (const std::string& name : order) w.tensor("/state_dict/" + name, numbered(DType::u8, {1}));
    w.hard_link("/state_dict/m", "/state_dict/alias");
    w.close();
  }
  const H5Reader r(dir / "a.h5");
  const H5Node& g = r.at("state_dict");
  REQUIRE(g.children.size() == order.size() + 1);
  for (size_t i = 0; i < order.size(); ++i) CHECK(g.children[i].name == order[i]);
  CHECK(g.children.back().name == "alias");
  CHECK(r.at("state_dict/alias").address == r.at("state_dict/m").address);
  CHECK(r.at("state_dict/b").address != r.at("state_dict/m").address);
}

TEST_CASE("h5: rows of a dataset") {
  TempDir dir;
  {
    H5Writer w(dir / "a.h5");
    w.tensor("/t", numbered(DType::i32, {10, 3}));
    w.close();
  }
  const H5Reader r(dir / "a.h5");
  const std::vector<int64_t> all = numbered(DType::i32, {10, 3}).to_vector<int64_t>();
  int32_t rows[6];
  r.read_rows(r.at("t"), 4, 2, rows, sizeof rows);
  for (int i = 0; i < 6; ++i) CHECK(rows[i] == all[12 + i]);
  CHECK(contains(
      error_of(ErrorKind::input_file, [&] { r.read_rows(r.at("t"), 9, 2, rows, sizeof rows); }),
      "rows 9 to 11"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { r.read(r.at("t"), rows, sizeof rows); }),
                 "24 bytes asked"));
}

TEST_CASE("h5: foreign byte order and widths are converted") {
  TempDir dir;
  const std::string path = dir / "a.h5";
  { H5Writer(dir / "start.h5").close(); }
  const hid_t f = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t n = 3;
  const hid_t space = H5Screate_simple(1, &n, nullptr);
  const auto put = [&](const char* name, hid_t in_file, hid_t in_memory, const void* data) {
    const hid_t d = H5Dcreate2(f, name, in_file, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    REQUIRE(H5Dwrite(d, in_memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(d);
  };
  const double reals[] = {1.5, -2.25, 1e-3};
  const int wholes[] = {-1, 127, -128};
  const unsigned positive[] = {0, 65535, 7};
  const uint64_t huge[] = {1, uint64_t{1} << 63, 2};
  const uint8_t twos[] = {0, 1, 2};
  put("f32be", H5T_IEEE_F32BE, H5T_NATIVE_DOUBLE, reals);
  put("f64be", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, reals);
  put("i8", H5T_STD_I8LE, H5T_NATIVE_INT, wholes);
  put("i16be", H5T_STD_I16BE, H5T_NATIVE_INT, wholes);
  put("u16", H5T_STD_U16LE, H5T_NATIVE_UINT, positive);
  put("u32", H5T_STD_U32LE, H5T_NATIVE_UINT, positive);
  put("u64", H5T_STD_U64LE, H5T_NATIVE_UINT, positive);
  put("huge", H5T_STD_U64LE, H5T_NATIVE_UINT64, huge);
  const hid_t b = H5Tenum_create(H5T_STD_I8LE);
  const int8_t zero = 0, one = 1;
  H5Tenum_insert(b, "FALSE", &zero);
  H5Tenum_insert(b, "TRUE", &one);
  put("bool", b, b, twos);
  H5Tclose(b);
  H5Sclose(space);
  H5Fclose(f);

  const H5Reader r(path);
  CHECK(r.tensor(r.at("f64be")).to_vector<double>() == std::vector<double>{1.5, -2.25, 1e-3});
  CHECK(r.tensor(r.at("f32be")).to_vector<float>() == std::vector<float>{1.5f, -2.25f, 1e-3f});
  CHECK(r.at("f32be").element.name == "f32 (big-endian)");
  CHECK(r.tensor(r.at("i8")).dtype() == DType::i8);
  CHECK(r.tensor(r.at("i16be")).dtype() == DType::i16);
  CHECK(r.tensor(r.at("i8")).to_vector<int64_t>() == std::vector<int64_t>{-1, 127, -128});
  CHECK(r.tensor(r.at("i16be")).to_vector<int64_t>() == std::vector<int64_t>{-1, 127, -128});
  CHECK(r.tensor(r.at("u16")).to_vector<int64_t>() == std::vector<int64_t>{0, 65535, 7});
  CHECK(r.tensor(r.at("u32")).dtype() == DType::i64);
  CHECK(r.tensor(r.at("u64")).to_vector<int64_t>() == std::vector<int64_t>{0, 65535, 7});
  CHECK(contains(error_of(ErrorKind::input_file, [&] { r.tensor(r.at("huge")); }),
                 "beyond the range of i64"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { r.tensor(r.at("bool")); }),
                 "neither 0 nor 1"));
}

TEST_CASE("h5: a block's checksum is that of its data, however it is written") {
  TempDir dir;
  // In a chunk with others, as a chunk of its own, in several.
  for (const int64_t n : {int64_t{10}, int64_t{100'000}, int64_t{9'000'000}}) {
    CAPTURE(n);
    std::vector<float> data(static_cast<size_t>(n));
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i % 1009);
    const std::string path = dir / (std::to_string(n) + ".h5");
    const uint32_t sum = crc32c(data.data(), data.size() * sizeof(float));
    {
      H5Writer w(path, H5Writer::Format::v110);
      auto s = w.stream("/s", DType::f32, std::span(&n, 1), 8192, false);
      for (int i = 0; i < 2; ++i) CHECK(w.append_block(s, std::span(&n, 1), data.data()) == sum);
      const int64_t less = n - 1;
      CHECK(w.append_block(s, std::span(&less, 1), data.data()) ==
            crc32c(data.data(), (data.size() - 1) * sizeof(float)));
      w.close(s);
      w.close();
    }
    const H5Reader r(path);
    std::vector<float> got(data.size());
    r.read_rows(r.at("s"), 1, 1, got.data(), got.size() * sizeof(float));
    CHECK(got == data);
  }
}

TEST_CASE("h5: streams grow, and blocks are padded with zeros") {
  TempDir dir;
  {
    H5Writer w(dir / "a.h5", H5Writer::Format::v110);
    const std::vector<int64_t> row = {2, 3};
    auto s = w.stream("/g/s", DType::f32, row, 64, false);
    for (int i = 0; i < 5; ++i) w.append(s, numbered(DType::f32, {2, 3}).data());
    w.append_block(s, std::vector<int64_t>{1, 2}, numbered(DType::f32, {1, 2}).data());
    w.grow(s, std::vector<int64_t>{2, 4});
    w.append(s, numbered(DType::f32, {2, 4}).data());
    w.close(s);
    auto c = w.text_stream("/g/c", 4, 64, true);
    w.append(c, "abcdef\0\0");
    w.append(c, "\xc3\xbc\0\0xyz", 2);
    w.close(c);
    auto e = w.stream("/g/e", DType::i64, {}, 64, true);
    w.close(e);
    w.close();
  }
  const H5Reader r(dir / "a.h5");
  const H5Node& s = r.at("g/s");
  CHECK(s.shape == std::vector<int64_t>{7, 2, 4});
  CHECK(s.chunked);
  const std::vector<float> got = r.tensor(s).to_vector<float>();
  const std::vector<float> a = numbered(DType::f32, {2, 3}).to_vector<float>();
  for (int rec = 0; rec < 5; ++rec) {
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 4; ++j) CHECK(got[rec * 8 + i * 4 + j] == (j < 3 ? a[i * 3 + j] : 0.f));
    }
  }
  CHECK(got[5 * 8 + 1] == numbered(DType::f32, {1, 2}).to_vector<float>()[1]);
  CHECK(got[5 * 8 + 2] == 0.f);
  CHECK(got[5 * 8 + 4] == 0.f);
  CHECK(r.texts(r.at("g/c")) == std::vector<std::string>{"abcd", "ü", "xyz"});
  CHECK(r.at("g/c").fletcher32);
  CHECK(r.at("g/e").numel == 0);
}

TEST_CASE("h5: errors of writing name file and object") {
  TempDir dir;
  const std::string path = dir / "a.h5";
  H5Writer w(path);
  w.tensor("/t", numbered(DType::f32, {2}));
  const std::string twice =
      error_of(ErrorKind::output, [&] { w.tensor("/t", numbered(DType::f32, {2})); });
  CHECK(contains(twice, path));
  CHECK(contains(twice, "/t: cannot be created"));
  CHECK(
      contains(error_of(ErrorKind::output, [&] { w.attribute("/absent", "a", 1); }), "/absent@a"));
  w.close();
  CHECK(contains(error_of(ErrorKind::output, [&] { H5Writer again(path); }), "File exists"));
  CHECK(contains(error_of(ErrorKind::output, [&] { H5Writer none(dir / "no/such/a.h5"); }),
                 "No such file"));
}

TEST_CASE("h5: what cannot be opened says why") {
  TempDir dir;
  CHECK(contains(error_of(ErrorKind::input_file, [&] { H5Reader r(dir / "none.h5"); }),
                 "No such file or directory"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { H5Reader r(dir.path()); }),
                 "not a regular file"));
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { H5Reader r(dir / "pipe"); }),
                 "not a regular file"));
  spill(dir / "text.h5", "hello, this is no HDF5 file at all");
  CHECK(contains(error_of(ErrorKind::input_file, [&] { H5Reader r(dir / "text.h5"); }),
                 "not a readable HDF5 file"));
  spill(dir / "empty.h5", "");
  CHECK(contains(error_of(ErrorKind::input_file, [&] { H5Reader r(dir / "empty.h5"); }),
                 "not a readable HDF5 file"));
  write_sample(dir / "a.h5", H5Writer::Format::v18);
  const H5Reader r(dir / "a.h5");
  try {
    r.at("t/f33");
    CHECK(false);
  } catch (const Error& e) {
    CHECK(contains(e.what(), "no 't/f33'"));
    CHECK(contains(e.hint(), "f32"));
  }
}

TEST_CASE("h5: a file cut anywhere is an error or whole") {
  TempDir dir;
  write_sample(dir / "a.h5", H5Writer::Format::v18);
  const std::string bytes = slurp(dir / "a.h5");
  for (size_t n = 0; n < bytes.size(); n += 97) {
    spill(dir / "cut.h5", std::string_view(bytes).substr(0, n));
    CHECK_MESSAGE(error_of(ErrorKind::input_file, [&] { H5Reader r(dir / "cut.h5"); }) != "", n);
  }
}
