// A folder for one test, and what the tests of files do with bytes.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "nnm/tensor/tensor.h"
#include "support/checks.h"

namespace nnm::io::testing {

using nnm::testing::contains;
using nnm::testing::error_of;
using nnm::testing::same_bits;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nnm-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& e : std::filesystem::directory_iterator(path_))
      out.push_back(e.path().filename().string());
    return out;
  }

 private:
  std::string path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void spill(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A tensor of distinct bytes, valid for its dtype.
inline Tensor numbered(DType dtype, const Shape& shape) {
  Tensor t = empty(shape, {.dtype = dtype});
  auto* b = t.data<unsigned char>();
  const int64_t bytes = t.numel() * static_cast<int64_t>(item_size(dtype));
  for (int64_t i = 0; i < bytes; ++i) {
    b[i] = dtype == DType::b8 ? i % 2 : static_cast<unsigned char>(i * 37 + 11);
  }
  return t;
}

}  // namespace nnm::io::testing
