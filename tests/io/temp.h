// A folder for one test, and what the tests of files do with bytes.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "nnm/tensor/tensor.h"

namespace nnm::io::testing {

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

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::equal(a.data<char>(), a.data<char>() + a.numel() * item_size(a.dtype()),
                    b.data<char>());
}

/// The message of the Error that f throws, "" if it throws none.
template <class F>
std::string error_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    if (e.kind() != kind) return fmt::format("of another kind: {}", e.what());
    return e.what();
  }
  return "";
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace nnm::io::testing
