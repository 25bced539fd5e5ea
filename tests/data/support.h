// What the tests of data share: pipelines of named transforms, small files.
#pragma once

#include <zlib.h>

#include <string>
#include <vector>

#include "nnm/data/data.h"
#include "tests/io/temp.h"

namespace nnm::data::testing {

using io::testing::contains;
using io::testing::error_of;
using io::testing::spill;
using io::testing::TempDir;

inline Ref<Transform> make(const std::string& name, Values pos = {}, Items kw = {}) {
  return Registry<Transform>::make(name, {std::move(pos), std::move(kw)});
}

/// A sample through transforms, as one in training or not.
inline Tensor run(const Tensor& x, std::vector<Ref<Transform>> transforms, bool training = false,
                  std::optional<DType> wanted = {}, int64_t epoch = 0, int64_t sample = 0,
                  uint64_t seed = 0) {
  const FieldInfo f = [&] {
    Shape array = x.shape();
    array.insert(0, 1);
    return field_of("x", x.dtype(), array, "");
  }();
  const Pipeline p({f.stored, f.shape}, f.dtype, {std::move(transforms), wanted, training, seed});
  Tensor y = empty(p.output().shape, {p.output().dtype});
  Pipeline::Scratch scratch;
  p.run(x.data(), y.data(), epoch, sample, scratch);
  return y;
}

/// (C, H, W) of bytes 11, 48, 85 … modulo 256; `image` has them as shares of 255.
inline Tensor bytes(const Shape& shape) {
  Tensor t = empty(shape, {DType::u8});
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<uint8_t>()[i] = static_cast<uint8_t>((i * 37 + 11) % 256);
  }
  return t;
}
inline Tensor image(const Shape& shape) {
  Tensor t = empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = static_cast<float>((i * 37 + 11) % 256) / 255;
  }
  return t;
}

inline void check_close(const Tensor& got, const Shape& shape, const std::vector<double>& want,
                        double tolerance = 2e-6) {
  REQUIRE(got.shape() == shape);
  const std::vector<double> v = got.to_vector<double>();
  REQUIRE(v.size() == want.size());
  for (size_t i = 0; i < v.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(v[i] - want[i]) <= tolerance);
  }
}

inline std::string big_endian(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}
/// An idx file of bytes.
inline std::string idx(const std::vector<uint32_t>& extents, const std::string& body) {
  std::string s{'\0', '\0', '\x08', static_cast<char>(extents.size())};
  for (uint32_t e : extents) s += big_endian(e);
  return s + body;
}
inline void spill_gz(const std::string& path, const std::string& content) {
  gzFile f = gzopen(path.c_str(), "wb");
  gzwrite(f, content.data(), static_cast<unsigned>(content.size()));
  gzclose(f);
}

/// A split of fields from files in a folder.
inline SplitConfig fields_split(const std::string& name, const std::string& folder,
                                std::vector<FieldConfig> fields) {
  SplitConfig s;
  s.name = name;
  s.form = SplitConfig::Form::fields;
  s.fields = std::move(fields);
  s.folder = folder;
  return s;
}
inline SplitConfig taken_split(const std::string& name, double amount, bool count = false,
                               const std::string& of = "train") {
  SplitConfig s;
  s.name = name;
  s.form = SplitConfig::Form::split;
  s.amount = amount;
  s.amount_count = count;
  s.of = of;
  return s;
}
inline SplitConfig random_split(const std::string& name, const std::string& x,
                                const std::string& y) {
  SplitConfig s;
  s.name = name;
  s.form = SplitConfig::Form::random;
  s.fields = {{"x", {x}, false, {}}, {"y", {y}, false, {}}};
  return s;
}

}  // namespace nnm::data::testing
