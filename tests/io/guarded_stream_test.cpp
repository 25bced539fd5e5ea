// Growing datasets with checksums: HDF5 accepts the chunks that nnm makes itself, in every order of
// appending, flushing and growing.
#include <doctest/doctest.h>
#include <hdf5.h>

#include <cmath>
#include <random>

#include "nnm/io/fletcher32.h"
#include "nnm/io/h5.h"
#include "tests/io/temp.h"

using namespace nnm;
using namespace nnm::io;
using namespace nnm::io::testing;

namespace {

// What HDF5's filter stores behind a chunk of these bytes.
uint32_t checksum_by_hdf5(const std::string& path, const std::string& bytes) {
  const hsize_t extent = bytes.size();
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, &extent, nullptr), how = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(how, 1, &extent);
  H5Pset_fletcher32(how);
  const hid_t data = H5Dcreate2(file, "x", H5T_NATIVE_UINT8, space, H5P_DEFAULT, how, H5P_DEFAULT);
  H5Dwrite(data, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
  H5Fflush(file, H5F_SCOPE_LOCAL);
  std::string chunk(bytes.size() + 4, '\0');
  const hsize_t at = 0;
  uint32_t skipped = 0, sum = 0;
  H5Dread_chunk(data, H5P_DEFAULT, &at, &skipped, chunk.data());
  chunk.copy(reinterpret_cast<char*>(&sum), 4, bytes.size());
  H5Dclose(data);
  H5Pclose(how);
  H5Sclose(space);
  H5Fclose(file);
  return sum;
}

}  // namespace

TEST_CASE("fletcher32: HDF5's checksum, to the last odd byte") {
  TempDir dir;
  std::mt19937 random(7);
  for (const size_t size : {1, 2, 3, 31, 32, 33, 64, 719, 720, 721, 11519, 11520, 11521, 40001}) {
    std::string noise(size, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    for (const std::string& bytes :
         {noise, std::string(size, '\0'), std::string(size, '\xff'), std::string(size, '\x80')}) {
      CAPTURE(size);
      CHECK(fletcher32(bytes.data(), size) == checksum_by_hdf5(dir / "x.h5", bytes));
    }
  }
}

TEST_CASE("h5: a checksummed stream comes back whole however it was appended") {
  TempDir dir;
  const std::string path = dir / "s.h5";
  std::mt19937 random(3);
  std::vector<int64_t> numbers;
  std::string texts;
  std::vector<double> cube;
  const int64_t row[] = {2, 3}, wider[] = {4, 3};
  {
    H5Writer w(path, H5Writer::Format::v110);
    H5Writer::Stream n = w.stream("/n", DType::i64, {}, 80, true);
    H5Writer::Stream t = w.text_stream("/t", 7, 77, true);
    H5Writer::Stream c = w.stream("/c", DType::f64, row, 4 * sizeof(double) * 6, true, NAN);
    for (int round = 0; round < 60; ++round) {
      const int64_t count = 1 + static_cast<int64_t>(random() % 25);
      std::vector<int64_t> some(static_cast<size_t>(count));
      for (int64_t& x : some) x = static_cast<int64_t>(random());
      w.append(n, some.data(), count);
      numbers.insert(numbers.end(), some.begin(), some.end());
      std::string words(static_cast<size_t>(7 * count), 'a');
      for (char& x : words) x = static_cast<char>('a' + random() % 26);
      w.append(t, words.data(), count);
      texts += words;
      const std::vector<double> values(static_cast<size_t>(6 * count), round + 0.5);
      if (round < 30) w.append(c, values.data(), count);
      if (round < 30) cube.insert(cube.end(), values.begin(), values.end());
      if (round % 7 == 0) w.skip(n, 3);
      if (round % 7 == 0) numbers.insert(numbers.end(), 3, 0);
      if (round % 3 == 0) w.flush();
    }
    w.grow(c, wider);
    const std::vector<double> last(12, 9);
    w.append(c, last.data(), 1);
    for (H5Writer::Stream* s : {&n, &t, &c}) w.close(*s);
    w.close();
  }
  const H5Reader r(path);
  const Tensor got = r.tensor(r.at("n"));
  REQUIRE(got.numel() == static_cast<int64_t>(numbers.size()));
  CHECK(std::equal(numbers.begin(), numbers.end(), static_cast<const int64_t*>(got.data())));
  const std::vector<std::string> words = r.texts(r.at("t"));
  REQUIRE(words.size() * 7 == texts.size());
  for (size_t i = 0; i < words.size(); ++i) CHECK(words[i] == texts.substr(7 * i, 7));
  const Tensor values = r.tensor(r.at("c"));
  REQUIRE(values.shape() == Shape{static_cast<int64_t>(cube.size() / 6) + 1, 4, 3});
  const auto* v = static_cast<const double*>(values.data());
  for (size_t i = 0; i < cube.size() / 6; ++i) {
    for (size_t k = 0; k < 12; ++k) {
      CAPTURE(i);
      if (k < 6) CHECK(v[12 * i + k] == cube[6 * i + k]);
      else CHECK(std::isnan(v[12 * i + k]));
    }
  }
  for (size_t k = 0; k < 12; ++k) CHECK(v[2 * cube.size() + k] == 9);
}
