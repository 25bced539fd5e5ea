// Formats: told by content, read as they are, and refused with file and place where damaged.
#include <doctest/doctest.h>

#include <cstring>

#include "nnm/base/file.h"
#include "nnm/io/h5.h"
#include "support/paths.h"
#include "tests/data/support.h"

using namespace nnm;
using namespace nnm::data;
using namespace nnm::data::testing;

namespace {

std::string error_reading(const std::string& path, const std::string& name = "") {
  return error_of(ErrorKind::input_file, [&] { DataFile::open(path)->read(name); });
}

/// An npy file as numpy writes version 1.
std::string npy(const std::string& descr, const std::string& shape, std::string body,
                bool fortran = false) {
  std::string header = "{'descr': " + descr + ", 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + std::move(body);
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  std::string s(values.size() * sizeof(T), '\0');
  std::memcpy(s.data(), values.begin(), s.size());
  return s;
}

uint32_t crc(const std::string& s) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(s.data()), static_cast<uInt>(s.size())));
}

std::string little(uint64_t v, int bytes) {
  std::string s;
  for (int i = 0; i < bytes; ++i) s += static_cast<char>(v >> (8 * i));
  return s;
}

/// A ZIP archive of one member, as numpy.savez and savez_compressed write it; with all its numbers
/// among the ZIP64 ones where it is `large`.
std::string zip(const std::string& name, const std::string& content, bool deflated,
                bool large = false) {
  std::string packed = content;
  if (deflated) {
    packed.resize(content.size() + 100);
    z_stream z{};
    deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    z.avail_in = static_cast<uInt>(content.size());
    z.next_out = reinterpret_cast<Bytef*>(packed.data());
    z.avail_out = static_cast<uInt>(packed.size());
    deflate(&z, Z_FINISH);
    packed.resize(z.total_out);
    deflateEnd(&z);
  }
  const auto number = [&](uint64_t v) { return little(large ? 0xffffffff : v, 4); };
  const std::string sizes = little(crc(content), 4) + number(packed.size()) +
                            number(content.size()) + little(name.size(), 2);
  const std::string method = little(deflated ? 8 : 0, 2);
  const std::string local = little(0x04034b50, 4) + little(20, 2) + little(0, 2) + method +
                            little(0, 4) + sizes + little(0, 2) + name + packed;
  // Another kind of field before the one with the numbers.
  const std::string extra = large ? little(0x7075, 2) + little(1, 2) + "x" + little(1, 2) +
                                        little(24, 2) + little(content.size(), 8) +
                                        little(packed.size(), 8) + little(0, 8)
                                  : "";
  const std::string entry = little(0x02014b50, 4) + little(20, 2) + little(20, 2) + little(0, 2) +
                            method + little(0, 4) + sizes + little(extra.size(), 2) + little(0, 2) +
                            little(0, 2) + little(0, 2) + little(0, 4) + number(0) + name + extra;
  const std::string end64 = little(0x06064b50, 4) + little(44, 8) + little(45, 2) + little(45, 2) +
                            little(0, 4) + little(0, 4) + little(1, 8) + little(1, 8) +
                            little(entry.size(), 8) + little(local.size(), 8);
  const std::string locator =
      little(0x07064b50, 4) + little(0, 4) + little(local.size() + entry.size(), 8) + little(1, 4);
  return local + entry + (large ? end64 + locator : "") + little(0x06054b50, 4) + little(0, 4) +
         little(1, 2) + little(1, 2) + number(entry.size()) + number(local.size()) + little(0, 2);
}

}  // namespace

TEST_CASE("formats: idx, gzipped or not, under any name") {
  TempDir dir;
  const std::string content = idx({2, 2, 3}, "abcdefghijkl");
  spill(dir / "plain.csv", content);
  spill_gz(dir / "packed", content);
  for (const char* name : {"plain.csv", "packed"}) {
    const Ref<DataFile> f = DataFile::open(dir / name);
    CHECK(f->format() == Format::idx);
    CHECK(f->peek("").dtype == DType::u8);
    CHECK(f->peek("").shape == Shape{2, 1, 2, 3});
    const Tensor x = f->read("");
    CHECK(x.shape() == Shape{2, 1, 2, 3});
    CHECK(std::string(x.data<char>(), 12) == "abcdefghijkl");
  }
  spill(dir / "labels", idx({3}, "\1\2\3"));
  CHECK(DataFile::open(dir / "labels")->read("").shape() == Shape{3});
  // Big-endian floats.
  std::string floats{'\0', '\0', '\x0d', '\1'};
  floats += big_endian(2) + std::string("\x3f\x80\0\0\xc0\0\0\0", 8);
  spill(dir / "floats", floats);
  check_close(DataFile::open(dir / "floats")->read(""), {2}, {1, -2}, 0);
  // Signed bytes and shorts.
  spill(dir / "signed", std::string{'\0', '\0', '\x09', '\1'} + big_endian(2) + "\xff\x02");
  CHECK(DataFile::open(dir / "signed")->read("").to_vector<int64_t>() ==
        std::vector<int64_t>{-1, 2});
  spill(dir / "shorts", std::string{'\0', '\0', '\x0b', '\1'} + big_endian(1) + "\xff\xfe");
  CHECK(DataFile::open(dir / "shorts")->read("").to_vector<int64_t>() == std::vector<int64_t>{-2});
}

TEST_CASE("formats: damaged idx files") {
  TempDir dir;
  const std::string good = idx({2, 2, 3}, "abcdefghijkl");
  for (size_t n = 1; n < good.size(); ++n) {
    spill(dir / "cut", good.substr(0, n));
    CHECK(!error_reading(dir / "cut").empty());
  }
  CHECK(contains(error_reading(dir / "cut"), "truncated"));
  spill(dir / "long", good + "x");
  CHECK(contains(error_reading(dir / "long"), "more data than its header announces"));
  spill(dir / "huge", idx({0xffffffff, 0xffffffff, 0xffffffff}, "x"));
  CHECK(contains(error_reading(dir / "huge"), "too large"));
  spill(dir / "big", idx({100000, 1000}, "x"));
  CHECK(contains(error_reading(dir / "big"), "truncated"));
  std::string strange = good;
  strange[2] = '\x0a';
  spill(dir / "type", strange);
  CHECK(contains(error_reading(dir / "type"), "element type 0x0a"));
  CHECK(contains(error_reading(dir / "none"), "cannot open"));
  CHECK(contains(error_reading(dir.path()), "a folder"));
  spill(dir / "empty", "");
  CHECK(contains(error_reading(dir / "empty"), "is empty"));
}

TEST_CASE("formats: damaged gzip streams") {
  TempDir dir;
  std::string body;
  for (int i = 0; i < 6000; ++i) body += static_cast<char>(i * i % 251);
  spill_gz(dir / "a.gz", idx({6000}, body));
  const std::string good = io::testing::slurp(dir / "a.gz");
  spill(dir / "cut.gz", good.substr(0, good.size() / 2));
  CHECK(contains(error_reading(dir / "cut.gz"), "truncated"));
  spill(dir / "tail.gz", good.substr(0, good.size() - 6));
  CHECK(contains(error_reading(dir / "tail.gz"), "truncated"));
  std::string bad = good;
  bad[good.size() - 6] = static_cast<char>(bad[good.size() - 6] ^ 1);
  spill(dir / "crc.gz", bad);
  CHECK(contains(error_reading(dir / "crc.gz"), "corrupt"));
}

TEST_CASE("formats: npy of every type") {
  TempDir dir;
  auto read = [&](const std::string& content) {
    spill(dir / "x", content);
    return DataFile::open(dir / "x")->read("");
  };
  check_close(read(npy("'<f4'", "(2, 1)", raw({1.5f, -2.0f}))), {2, 1}, {1.5, -2}, 0);
  check_close(read(npy("'<f8'", "(2,)", raw({1.5, -2.0}))), {2}, {1.5, -2}, 0);
  check_close(read(npy("'>i4'", "(1,)", std::string("\xff\xff\xff\xfe", 4))), {1}, {-2}, 0);
  check_close(read(npy("'|i1'", "(2,)", raw<int8_t>({-3, 3}))), {2}, {-3, 3}, 0);
  CHECK(read(npy("'|i1'", "(1,)", raw<int8_t>({-3}))).dtype() == DType::i8);
  check_close(read(npy("'<i2'", "(2,)", raw<int16_t>({-300, 3}))), {2}, {-300, 3}, 0);
  check_close(read(npy("'>i2'", "(1,)", std::string("\xff\xfe", 2))), {1}, {-2}, 0);
  check_close(read(npy("'<u2'", "(1,)", raw<uint16_t>({65535}))), {1}, {65535}, 0);
  check_close(read(npy("'<u4'", "(1,)", raw<uint32_t>({4294967295u}))), {1}, {4294967295.0}, 0);
  check_close(read(npy("'|b1'", "(2,)", raw<uint8_t>({1, 0}))), {2}, {1, 0}, 0);
  check_close(read(npy("'<i8'", "()", raw<int64_t>({7}))), {}, {7}, 0);
  const Tensor f = read(npy("'<i4'", "(2, 3)", raw<int32_t>({1, 4, 2, 5, 3, 6}), true));
  CHECK(f.to_vector<int64_t>() == std::vector<int64_t>{1, 2, 3, 4, 5, 6});
  CHECK(read(npy("'<f4'", "(0, 3)", "")).shape() == Shape{0, 3});
}

TEST_CASE("formats: damaged npy files") {
  TempDir dir;
  auto error = [&](const std::string& content) {
    spill(dir / "x", content);
    return error_reading(dir / "x");
  };
  const std::string good = npy("'<f4'", "(2,)", raw({1.0f, 2.0f}));
  for (size_t n = 1; n < good.size(); n += 3) CHECK(!error(good.substr(0, n)).empty());
  CHECK(contains(error(good.substr(0, good.size() - 1)), "truncated"));
  CHECK(contains(error(good + "x"), "more data"));
  CHECK(contains(error(npy("'<f4'", "(99999999999, 99999999)", "")), "too large"));
  CHECK(contains(error(npy("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", "1234")), "9 dimensions"));
  CHECK(contains(error(npy("'<f4'", "(-1,)", "")), "too large"));
  CHECK(contains(error(npy("'|O'", "(2,)", "")), "numpy type '|O' cannot be read"));
  CHECK(contains(error(npy("[('a', '<f4')]", "(2,)", "")), "cannot be read"));
  CHECK(contains(error(npy("'<f4'", "(2", "")), "malformed"));
  CHECK(contains(error(npy("'<u8'", "(1,)", raw<uint64_t>({uint64_t{1} << 63}))), "range of i64"));
  CHECK(contains(error(npy("'|b1'", "(2,)", "\x01\x07")), "a bool that is neither 0 nor 1"));
  // numpy takes the second of two, and refuses an order that is no bool.
  CHECK(contains(error(npy("'<f4', 'descr': '<i4'", "(2,)", raw({1.0f, 2.0f}))), "'descr' twice"));
  std::string order = good;
  order.replace(order.find("False"), 5, "1    ");
  CHECK(contains(error(order), "neither True nor False"));
}

TEST_CASE("formats: npz, stored and deflated") {
  TempDir dir;
  const std::string member = npy("'<f4'", "(3,)", raw({1.0f, 2.0f, 3.0f}));
  for (const int kind : {0, 1, 2, 3}) {
    const bool deflated = kind % 2 == 1, large = kind >= 2;
    const std::string good = zip("weights.npy", member, deflated, large);
    spill(dir / "a.npz", good);
    const Ref<DataFile> f = DataFile::open(dir / "a.npz");
    CHECK(f->format() == Format::npz);
    CHECK(f->arrays().at(0).name == "weights");
    check_close(f->read("weights"), {3}, {1, 2, 3}, 0);
    CHECK(contains(error_reading(dir / "a.npz", "weigths"), "has no array `weigths`"));
    for (size_t n = 4; n < good.size(); n += 5) {
      spill(dir / "cut", good.substr(0, n));
      CHECK(!error_reading(dir / "cut").empty());
    }
    // Whichever byte of name, header or data is flipped: an error or the same numbers.
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x20);
      spill(dir / "bad", bad);
      std::vector<double> read{1, 2, 3};
      error_of(ErrorKind::input_file, [&] {
        const Ref<DataFile> g = DataFile::open(dir / "bad");
        if (!g->arrays().empty()) read = g->read(g->arrays()[0].name).to_vector<double>();
      });
      CAPTURE(i);
      CHECK(read == std::vector<double>{1, 2, 3});
    }
  }
}

TEST_CASE("formats: CSV columns") {
  TempDir dir;
  spill(dir / "d.txt",
        "\xef\xbb\xbf"
        "a, \"b,c\",label\r\n1,2.5,0\r\n-2, 1e3 ,1\r\n\r\n3,+4,\"2\"\r\n");
  const Ref<DataFile> f = DataFile::open(dir / "d.txt");
  CHECK(f->format() == Format::csv);
  REQUIRE(f->arrays().size() == 3);
  CHECK(f->peek("a").dtype == DType::i64);
  CHECK(f->peek("b,c").dtype == DType::f64);
  CHECK(f->read("a").to_vector<int64_t>() == std::vector<int64_t>{1, -2, 3});
  CHECK(f->read("b,c").to_vector<double>() == std::vector<double>{2.5, 1000, 4});
  CHECK(f->read("label").to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2});
  spill(dir / "semi", "a;b\n1;2\n");
  CHECK(DataFile::open(dir / "semi")->arrays().size() == 2);
  spill(dir / "tab", "a\tb\n1\t2\n");
  CHECK(DataFile::open(dir / "tab")->read("b").to_vector<int64_t>() == std::vector<int64_t>{2});
  // Quotes hold separators, line ends and, doubled, themselves.
  spill(dir / "quoted",
        "\"a, \"\"one\"\"\";\"two\nlines\";note\n1;2;\"x;\r\n\"\"y\"\"\"\n3;4;\n\n\"5\"; 6 ;z");
  const Ref<DataFile> quoted = DataFile::open(dir / "quoted");
  REQUIRE(quoted->arrays().size() == 3);
  CHECK(quoted->read("a, \"one\"").to_vector<int64_t>() == std::vector<int64_t>{1, 3, 5});
  CHECK(quoted->read("two\nlines").to_vector<int64_t>() == std::vector<int64_t>{2, 4, 6});
  spill_gz(dir / "packed", "a\n1\n");
  CHECK(DataFile::open(dir / "packed")->read("a").numel() == 1);
  spill(dir / "returns", "a,b\r1,2\r3,4\r");
  CHECK(DataFile::open(dir / "returns")->read("b").to_vector<int64_t>() ==
        std::vector<int64_t>{2, 4});
  spill(dir / "small", "a,b\n1e-400,-1e-400\n");
  CHECK(DataFile::open(dir / "small")->read("a").to_vector<double>() == std::vector<double>{0});
}

TEST_CASE("formats: CSV files with faults, each with its place") {
  TempDir dir;
  auto error = [&](const std::string& content, const std::string& column = "a") {
    spill(dir / "d.csv", content);
    return error_reading(dir / "d.csv", column);
  };
  const std::string path = dir / "d.csv";
  CHECK(error("a,b\n1,2\n1\n") == path + ":3: the row has 1 fields, the header 2");
  CHECK(error("a,b\n1,2,3\n") == path + ":2: the row has more fields than the header's 2");
  CHECK(error("a,b\n\n1,2\ncat,2\n") == path + ":4: `cat` in column `a` is not a number");
  CHECK(error("a,b\n,2\n") == path + ":2: an empty entry in column `a` is not a number");
  CHECK(error("a,b\n1,\"2\n\"\n3,cat\n", "b") == path + ":2: `2\\n` in column `b` is not a number");
  CHECK(error("name,a\n\"x\ny\",1\nz,cat\n") == path + ":4: `cat` in column `a` is not a number");
  CHECK(error("a,b\n1,2\n\"3,4\n5,6\n") == path + ":3: a quote does not close");
  CHECK(error("a,b\n\"1\"2,3\n") == path + ":2: `2` behind a closing quote");
  CHECK(error("\"a\" b,c\n1,2\n") == path + ":1: `b` behind a closing quote");
  CHECK(error("a,b\n-1e400,2\n") == path + ":2: `-1e400` in column `a` is too large for a number");
  // A column that nobody reads may hold what it likes.
  CHECK(error("a,name\n1,cat\n").empty());
  CHECK(contains(error("1,2\n3,4\n"), ":1: the first line holds numbers"));
  CHECK(contains(error("a,a\n3,4\n"), "two columns are named `a`"));
  CHECK(contains(error("\n\n"), "no header"));
  CHECK(contains(error("alpha,beta\n1,2\n", "alhpa"), "has no column `alhpa`"));
  CHECK(contains(error("a,b\n1,2\n", ""), "holds 2 arrays (a, b) where one is meant"));
  CHECK(contains(error(std::string("a,b\n1,\0\n", 8)), "in no format that nnm knows"));
}

TEST_CASE("formats: HDF5 datasets, at the top and inside of groups") {
  TempDir dir;
  {
    io::H5Writer w(dir / "d.h5");
    w.tensor("/images", bytes({4, 1, 2, 2}));
    w.tensor("/labels", bytes({4}));
    w.tensor("/extra/deep", image({4, 3}));
    w.text("/about", "text");
    w.tensor("/scalar", image({}));
    w.close();
  }
  const Ref<DataFile> f = DataFile::open(dir / "d.h5");
  REQUIRE(f->arrays().size() == 2);
  CHECK(f->arrays()[0].name == "images");
  CHECK(f->peek("/extra/deep").shape == Shape{4, 3});
  CHECK(f->read("labels").to_vector<int64_t>() == bytes({4}).to_vector<int64_t>());
  CHECK(f->read("/extra/deep").to_vector<double>() == image({4, 3}).to_vector<double>());
  CHECK(contains(error_reading(dir / "d.h5", "image"), "no dataset `image`"));
  CHECK(contains(error_reading(dir / "d.h5", "/extra"), "is a group"));
  CHECK(contains(error_reading(dir / "d.h5", "about"), "not numbers"));
  const std::string good = io::testing::slurp(dir / "d.h5");
  spill(dir / "cut.h5", good.substr(0, good.size() / 2));
  CHECK(!error_reading(dir / "cut.h5", "images").empty());
}

TEST_CASE("formats: what predict writes reads back") {
  TempDir dir;
  const Tensor x = image({3, 2});
  write_npy(dir / "y.npy", x);
  for (const DType type : {DType::i16, DType::i8}) {
    const Tensor narrow = tensor_of<int64_t>(std::vector<int64_t>{-7, 100}, {2}, {type});
    write_npy(dir / "n.npy", narrow);
    const Tensor back = DataFile::open(dir / "n.npy")->read("");
    CHECK(back.dtype() == type);
    CHECK(back.to_vector<int64_t>() == std::vector<int64_t>{-7, 100});
  }
  const Ref<DataFile> f = DataFile::open(dir / "y.npy");
  CHECK(f->format() == Format::npy);
  CHECK(io::testing::same_bits(f->read(""), x));
  CHECK((io::testing::slurp(dir / "y.npy").size() - 3 * 2 * 4) % 64 == 0);
  write_npy(dir / "s.npy", image({}));
  CHECK(DataFile::open(dir / "s.npy")->read("").shape() == Shape{});
  write_csv(dir / "y.csv", "out", x);
  const Ref<DataFile> c = DataFile::open(dir / "y.csv");
  REQUIRE(c->arrays().size() == 2);
  CHECK(c->arrays()[1].name == "out_1");
  for (int64_t i = 0; i < 3; ++i) {
    const double v = c->read("out_1").data<double>()[i];
    CHECK(static_cast<float>(v) == x.data<float>()[2 * i + 1]);
  }
  const Tensor labels = tensor_of<int64_t>(std::vector<int64_t>{4, 5}, {2}, {DType::i64});
  write_csv(dir / "l.csv", "out", labels);
  CHECK(io::testing::slurp(dir / "l.csv") == "out\n4\n5\n");
  CHECK(!error_of(ErrorKind::output, [&] { write_npy(dir / "no/y.npy", x); }).empty());
}

TEST_CASE("formats: MNIST") {
  const std::string dir = nnm::testing::data_dir("mnist");
  if (dir.empty()) return;
  const Ref<DataFile> images = DataFile::open(dir + "/t10k-images-idx3-ubyte.gz");
  CHECK(images->peek("").shape == Shape{10000, 1, 28, 28});
  const Tensor x = images->read("");
  double sum = 0;
  for (int64_t i = 0; i < x.numel(); ++i) sum += x.data<uint8_t>()[i];
  // 33.7912 is the mean that NumPy gives.
  CHECK(sum / static_cast<double>(x.numel()) == doctest::Approx(33.791224489795916));
  const Tensor y = DataFile::open(dir + "/t10k-labels-idx1-ubyte.gz")->read("");
  CHECK(y.data<uint8_t>()[0] == 7);
  CHECK(y.data<uint8_t>()[9999] == 6);
}
