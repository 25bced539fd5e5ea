// Reading tensors in pieces: every element once, in order, and damage found.
#include "nnm/io/stored.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

std::vector<char> read_all(StoredTensor t, int64_t most) {
  std::vector<char> all, buffer;
  for (Pieces piece(t.shape(), most); piece.next();) {
    CHECK(piece.numel() <= std::max<int64_t>(most, 1));
    t.read(piece, buffer);
    all.insert(all.end(), buffer.begin(), buffer.begin() + piece.numel() * item_size(t.dtype()));
  }
  return all;
}

}  // namespace

TEST_CASE("stored: pieces are all of a tensor in its order") {
  TempDir dir;
  const std::vector<Shape> shapes = {{}, {7}, {3, 5}, {2, 3, 4}, {4, 1, 6, 2}, {0, 3}, {1, 12}};
  {
    H5Writer w(dir / "a.h5");
    for (size_t i = 0; i < shapes.size(); ++i)
      w.tensor("/" + std::to_string(i), numbered(DType::f32, shapes[i]));
    w.write_manifest();
    w.close();
  }
  const H5Reader file(dir / "a.h5");
  const Manifest manifest(file);
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Tensor want = numbered(DType::f32, shapes[i]);
    const std::string bytes(want.data<char>(), want.numel() * sizeof(float));
    for (int64_t most : {1, 2, 3, 5, 8, 12, 1000}) {
      CAPTURE(i);
      CAPTURE(most);
      const auto got = read_all({file, file.at(std::to_string(i)), &manifest}, most);
      CHECK(std::string(got.begin(), got.end()) == bytes);
    }
  }
  CHECK(contains(error_of(ErrorKind::input_file,
                          [&] {
                            std::vector<float> x(9);
                            const std::vector<int64_t> start{0, 3}, extents{3, 3};
                            file.read_block(file.at("2"), start, extents, x.data(), 36);
                          }),
                 "asked of [3,5]"));
}

TEST_CASE("stored: what does not have its checksum is found at the end") {
  TempDir dir;
  Tensor t = empty({1000, 700}, {});
  std::iota(t.data<float>(), t.data<float>() + t.numel(), 1.0f);
  {
    H5Writer w(dir / "a.h5");
    w.tensor("/x", t);
    w.write_manifest();
    w.close();
  }
  std::string bytes = slurp(dir / "a.h5");
  const std::string_view tail(t.data<char>() + 4 * 600'000, 64);
  const size_t at = bytes.find(tail);
  REQUIRE(at != std::string::npos);
  bytes[at] ^= 1;
  spill(dir / "b.h5", bytes);
  const H5Reader good(dir / "a.h5"), bad(dir / "b.h5");
  const Manifest of_good(good), of_bad(bad);
  const StoredTensor a(good, good.at("x"), &of_good), b(bad, bad.at("x"), &of_bad);
  CHECK(difference(a, a, {}).changed == 0);
  CHECK(contains(error_of(ErrorKind::input_file, [&] { difference(a, b, {}); }),
                 "the data do not have their checksum"));
  CHECK(contains(error_of(ErrorKind::input_file, [&] { statistics(b); }), "b.h5: /x: "));
  const TensorDifference d =
      difference(StoredTensor(good, good.at("x")), StoredTensor(bad, bad.at("x")), {});
  CHECK(d.changed == 1);
  CHECK(d.worst == 600'000);
  CHECK(d.numel == t.numel());
}
