// Pictures: PNG and JPEG files, folders of them, sizes that differ.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "nnm/data/picture.h"
#include "tests/data/support.h"

using namespace nnm;
using namespace nnm::data;
using namespace nnm::data::testing;

namespace {

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size())) + body +
         big_endian(static_cast<uint32_t>(sum));
}

/// A PNG file of `channels` 1 (gray), 2 (with alpha), 3 (RGB), 4 (with alpha), rows of samples.
std::string png(uint32_t width, uint32_t height, int channels, const std::string& samples,
                const std::string& palette = "") {
  static constexpr char kTypes[] = {0, 0, 4, 2, 6};
  std::string rows;
  const size_t row = width * static_cast<size_t>(channels);
  for (size_t r = 0; r < height; ++r) rows += '\0' + samples.substr(r * row, row);
  std::string packed(rows.size() + 100, '\0');
  uLongf n = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &n, reinterpret_cast<const Bytef*>(rows.data()),
           rows.size());
  packed.resize(n);
  const char type = palette.empty() ? kTypes[channels] : '\3';
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR",
               big_endian(width) + big_endian(height) + '\10' + type + std::string(3, '\0')) +
         (palette.empty() ? "" : chunk("PLTE", palette)) + chunk("IDAT", packed) +
         chunk("IEND", "");
}

std::string unhex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return out;
}

// 8 x 8 pixels of one colour, by libjpeg at quality 95: gray 100, and red 200, green 100, blue 50.
const char* const kGrayJpeg =
    "ffd8ffe000104a46494600010100000100010000ffdb00430002010101010102010101020202020204030202"
    "02020504040304060506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a"
    "0affc0000b080008000801011100ffc40014000100000000000000000000000000000007ffc4001410010000"
    "0000000000000000000000000000ffda0008010100003f000f7fffd9";
const char* const kColourJpeg =
    "ffd8ffe000104a46494600010100000100010000ffdb00430002010101010102010101020202020204030202"
    "02020504040304060506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a"
    "0affdb004301020202020202050303050a0706070a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
    "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0affc000110800080008030122000211010311"
    "01ffc4001500010100000000000000000000000000000005ffc4001410010000000000000000000000000000"
    "0000ffc40014010100000000000000000000000000000008ffc4001411010000000000000000000000000000"
    "0000ffda000c03010002110311003f009e00ae6c3fffd9";

/// Whether this nnm reads the format of the file; a build may lack its library.
bool readable(const std::string& path) {
  try {
    peek_picture(path);
  } catch (const Error& e) {
    if (!contains(e.what(), "was built without")) return true;
    MESSAGE(e.what());
    return false;
  }
  return true;
}

std::vector<int64_t> values(const Picture& p) {
  std::vector<int64_t> v;
  for (char c : p.pixels) v.push_back(static_cast<uint8_t>(c));
  return v;
}

SplitConfig folder_split(const std::string& path) {
  SplitConfig s;
  s.name = "train";
  s.form = SplitConfig::Form::folder;
  s.path = path;
  return s;
}

}  // namespace

TEST_CASE("pictures: PNG of every layout") {
  TempDir dir;
  auto read = [&](const std::string& content, int64_t channels = 0) {
    spill(dir / "p", content);
    return read_picture(dir / "p", channels);
  };
  spill(dir / "p", png(2, 1, 1, "ab"));
  if (!readable(dir / "p")) return;
  CHECK(read(png(2, 1, 1, "ab")).shape() == Shape{1, 1, 2});
  CHECK(values(read(png(2, 1, 1, "ab"))) == std::vector<int64_t>{97, 98});
  CHECK(values(read(png(2, 1, 2, "a-b-"))) == std::vector<int64_t>{97, 98});
  CHECK(values(read(png(2, 1, 3, "abcdef"))) == std::vector<int64_t>{97, 100, 98, 101, 99, 102});
  CHECK(values(read(png(2, 1, 4, "abc-def-"))) == std::vector<int64_t>{97, 100, 98, 101, 99, 102});
  CHECK(values(read(png(2, 1, 1, std::string("\1\0", 2), "abcdef"))) ==
        std::vector<int64_t>{100, 97, 101, 98, 102, 99});
  CHECK(values(read(png(2, 1, 1, "ab"), 3)) == std::vector<int64_t>{97, 98, 97, 98, 97, 98});
  // PIL: L = (R * 19595 + G * 38470 + B * 7471 + 0x8000) >> 16.
  CHECK(values(read(png(1, 1, 3, "\xc8\x64\x32"), 1)) == std::vector<int64_t>{124});
  const Ref<DataFile> f = DataFile::open(dir / "p");
  CHECK(f->format() == Format::picture);
  CHECK(f->peek("").shape == Shape{1, 3, 1, 1});
  CHECK(f->read("").shape() == Shape{1, 3, 1, 1});
}

TEST_CASE("pictures: damaged PNG files") {
  TempDir dir;
  std::string samples;
  for (int i = 0; i < 300; ++i) samples += static_cast<char>(i * 7);
  const std::string good = png(10, 10, 3, samples);
  spill(dir / "p", good);
  if (!readable(dir / "p")) return;
  for (size_t n = 8; n < good.size() - 12; n += 7) {
    spill(dir / "p", good.substr(0, n));
    CHECK(
        contains(error_of(ErrorKind::input_file, [&] { read_picture(dir / "p"); }), "is damaged"));
  }
  for (size_t i = 8; i < good.size(); i += 3) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    spill(dir / "p", bad);
    error_of(ErrorKind::input_file, [&] { read_picture(dir / "p"); });
  }
  const std::string huge = big_endian(1 << 16) + big_endian(1 << 16) + good.substr(24, 5);
  spill(dir / "p", good.substr(0, 8) + chunk("IHDR", huge) + good.substr(33));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { read_picture(dir / "p"); }), "too large"));
  spill(dir / "p", "GIF89a");
  CHECK(contains(error_of(ErrorKind::input_file, [&] { read_picture(dir / "p"); }),
                 "neither PNG nor JPEG"));
}

TEST_CASE("pictures: JPEG") {
  TempDir dir;
  const std::string gray = unhex(kGrayJpeg), colour = unhex(kColourJpeg);
  spill(dir / "g", gray);
  spill(dir / "c", colour);
  if (!readable(dir / "g")) return;
  const Picture g = read_picture(dir / "g"), c = read_picture(dir / "c");
  CHECK(g.shape() == Shape{1, 8, 8});
  CHECK(c.shape() == Shape{3, 8, 8});
  for (int64_t v : values(g)) CHECK(std::abs(v - 100) <= 1);
  const int64_t want[] = {200, 100, 50};
  for (size_t i = 0; i < 192; ++i) CHECK(std::abs(values(c)[i] - want[i / 64]) <= 3);
  CHECK(peek_picture(dir / "c").shape() == Shape{3, 8, 8});
  for (size_t n = 3; n < colour.size() - 2; n += 5) {
    spill(dir / "cut", colour.substr(0, n));
    CHECK(contains(error_of(ErrorKind::input_file, [&] { read_picture(dir / "cut"); }),
                   "is damaged"));
  }
}

TEST_CASE("pictures: a folder is classes of pictures, in order") {
  TempDir dir;
  for (const char* d : {"cat", "dog/deep", ".hidden"}) {
    std::filesystem::create_directories(dir / d);
  }
  spill(dir / "dog/b.PNG", png(2, 2, 1, "abcd"));
  spill(dir / "dog/deep/a.png", png(2, 2, 3, "abcdefghijkl"));
  spill(dir / "cat/z.png", png(4, 2, 1, "abcdabcd"));
  spill(dir / "cat/notes.txt", "no picture");
  if (!readable(dir / "cat/z.png")) return;
  DataConfig c;
  c.splits = {folder_split(dir.path())};
  c.batch.all = 3;
  Data d(c);
  CHECK(d.peek("train").samples == 3);
  CHECK(d.peek("train").fields[0].shape == Shape{1, 2, 4});
  const std::string e =
      error_of(ErrorKind::input_file, [&] { d.loader("train", {.training = false})->next(); });
  CHECK(contains(e, "dog/b.PNG: field `image`: samples of sizes [1, 2, 4] and [1, 2, 2]"));
  // Transforms that give one size make batches of any pictures.
  c.transforms = {{"", {{"center_crop", {{2}, {}}, {}}, {"scale", {{2.0}, {}}, {}}}, {}}};
  Data cropped(c);
  const auto l = cropped.loader("train", {.training = false});
  const auto b = l->next();
  REQUIRE(b);
  CHECK(b->fields[1].to_vector<int64_t>() == std::vector<int64_t>{0, 1, 1});
  // The first picture is gray, so all are.
  const auto gray = [](int r, int g, int bl) {
    return static_cast<double>((r * 19595 + g * 38470 + bl * 7471 + 0x8000) >> 16) * 2;
  };
  check_close(b->fields[0], {3, 1, 2, 2},
              {196, 198, 196, 198, 194, 196, 198, 200, gray(97, 98, 99), gray(100, 101, 102),
               gray(103, 104, 105), gray(106, 107, 108)},
              0);
  c.splits.push_back(taken_split("val", 1, true));
  Data split(c);
  CHECK(split.peek("val").samples == 1);
  CHECK(split.loader("val")->next()->fields[0].size(0) == 1);
}

TEST_CASE("pictures: what is larger than the first is never written behind the batch") {
  TempDir dir;
  std::filesystem::create_directories(dir / "a");
  spill(dir / "a/0.png", png(2, 2, 1, "abcd"));
  const std::string large(128 * 128, 'x');
  for (int i = 1; i < 6; ++i) spill(dir / fmt::format("a/{}.png", i), png(128, 128, 1, large));
  if (!readable(dir / "a/0.png")) return;
  DataConfig c;
  c.splits = {folder_split(dir.path())};
  c.batch.all = 1;
  Data d(c);
  // The thread that has met the first large one goes on with the others.
  const auto l = d.loader("train", {.training = false});
  REQUIRE(l->next());
  CHECK(contains(error_of(ErrorKind::input_file, [&] { l->next(); }), "do not make a batch"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

TEST_CASE("pictures: folders that are none") {
  TempDir dir;
  auto error = [&](const std::string& path) {
    return error_of(ErrorKind::input_file, [&] { open_folder(path); });
  };
  CHECK(contains(error(dir / "none"), "cannot read the folder"));
  CHECK(contains(error(dir.path()), "has no folders, one for each class"));
  std::filesystem::create_directory(dir / "empty");
  CHECK(contains(error(dir.path()), "empty has no pictures"));
  spill(dir / "empty/x.png", "no picture at all");
  CHECK(contains(error(dir.path()), "x.png is neither PNG nor JPEG"));
  // A picture that is kept elsewhere, and is not there now.
  std::filesystem::create_symlink("elsewhere.png", dir / "empty/y.png");
  CHECK(contains(error(dir.path()), "empty/y.png: No such file"));
  std::filesystem::remove(dir / "empty/y.png");
  std::filesystem::create_symlink("z.png", dir / "empty/z.png");
  CHECK(contains(error(dir.path()), "empty/z.png: Too many levels"));
}
