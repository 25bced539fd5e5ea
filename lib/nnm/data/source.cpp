// Formats by content, and the two simple ones: idx and npy.
#include "nnm/data/source.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "nnm/data/csv.h"
#include "nnm/io/arrays.h"

namespace nnm::data {
namespace {

// zlib reads plain files as they are, so one reader serves idx and idx.gz.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    NNM_CHECK(file_, input_file, "cannot open {}: {}", path, std::strerror(errno));
    gzbuffer(file_, 1 << 17);
  }
  ~Reader() { gzclose(file_); }
  Reader(const Reader&) = delete;

  void read(void* into, size_t bytes) {
    auto* p = static_cast<char*>(into);
    while (bytes > 0) {
      const auto part = static_cast<unsigned>(std::min(bytes, size_t{1} << 28));
      const int got = gzread(file_, p, part);
      if (got <= 0) {
        int code = 0;
        const char* why = gzerror(file_, &code);
        fail(ErrorKind::input_file, "{} is {}", path_,
             got == 0 && code == Z_OK ? "truncated: it ends before the data its header announces"
                                      : fmt::format("corrupt: {}", code == Z_ERRNO ? std::strerror(errno) : why));
      }
      p += got;
      bytes -= static_cast<size_t>(got);
    }
  }
  void expect_end() {
    char c;
    NNM_CHECK(gzread(file_, &c, 1) == 0, input_file, "{} has more data than its header announces", path_);
  }

 private:
  std::string path_;
  gzFile file_;
};

uint32_t big_endian(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

struct Header {
  ArrayInfo info;
  bool swap = false;
  bool fortran = false;
};

constexpr int64_t kMaxElements = int64_t{1} << 40;

int64_t checked_numel(const std::string& path, const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) {
    NNM_CHECK(d >= 0 && !__builtin_mul_overflow(n, d, &n) && n <= kMaxElements, input_file,
              "{} announces an array of size {}, which is too large", path, shape.str());
  }
  return n;
}

Header read_idx_header(const std::string& path, Reader& r) {
  uint8_t magic[4];
  r.read(magic, 4);
  Header h;
  h.info.format = Format::idx;
  switch (magic[2]) {
    case 0x08: h.info.dtype = DType::u8; break;
    case 0x0c: h.info.dtype = DType::i32; break;
    case 0x0d: h.info.dtype = DType::f32; break;
    case 0x0e: h.info.dtype = DType::f64; break;
    default: fail(ErrorKind::input_file, "{}: idx element type 0x{:02x} is not supported", path, magic[2]);
  }
  NNM_CHECK(magic[3] >= 1 && magic[3] <= kMaxDims, input_file, "{}: an idx file of {} dimensions", path, magic[3]);
  for (int i = 0; i < magic[3]; ++i) {
    uint8_t extent[4];
    r.read(extent, 4);
    h.info.shape.push_back(big_endian(extent));
  }
  h.swap = h.info.dtype != DType::u8;
  checked_numel(path, h.info.shape);
  return h;
}

DType npy_dtype(const std::string& path, std::string_view descr, bool& swap) {
  swap = !descr.empty() && descr[0] == '>';
  const std::string_view t = descr.size() > 1 ? descr.substr(1) : descr;
  if (t == "f4") return DType::f32;
  if (t == "f8") return DType::f64;
  if (t == "f2") return DType::f16;
  if (t == "i8") return DType::i64;
  if (t == "i4") return DType::i32;
  if (t == "u1") return DType::u8;
  if (t == "b1") return DType::b8;
  fail(ErrorKind::input_file, "{}: numpy type '{}' is not supported; use float32, float64, float16, int64, int32, uint8 or bool",
       path, descr);
}

std::string_view npy_entry(const std::string& path, std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  NNM_CHECK(at != std::string_view::npos, input_file, "{}: its npy header has no {}", path, key);
  std::string_view rest = header.substr(at + key.size());
  const size_t colon = rest.find(':');
  NNM_CHECK(colon != std::string_view::npos, input_file, "{}: a malformed npy header", path);
  rest = rest.substr(colon + 1);
  while (!rest.empty() && rest[0] == ' ') rest = rest.substr(1);
  return rest;
}

Header read_npy_header(const std::string& path, Reader& r) {
  uint8_t start[8];
  r.read(start, 8);
  size_t length = 0;
  uint8_t size[4] = {};
  r.read(size, start[6] == 1 ? 2 : 4);
  for (int i = 3; i >= 0; --i) length = length << 8 | size[i];
  NNM_CHECK(length <= 65536, input_file, "{}: a malformed npy header", path);
  std::string text(length, '\0');
  r.read(text.data(), length);
  Header h;
  h.info.format = Format::npy;
  std::string_view descr = npy_entry(path, text, "'descr'");
  NNM_CHECK(descr.size() > 2 && descr[0] == '\'', input_file, "{}: only plain numeric npy arrays are supported", path);
  descr = descr.substr(1, descr.find('\'', 1) - 1);
  h.info.dtype = npy_dtype(path, descr, h.swap);
  h.fortran = npy_entry(path, text, "'fortran_order'").substr(0, 4) == "True";
  std::string_view shape = npy_entry(path, text, "'shape'");
  for (size_t i = 1; i < shape.size() && shape[i] != ')';) {
    if (shape[i] == ',' || shape[i] == ' ') {
      ++i;
      continue;
    }
    int64_t v = 0;
    auto [end, ec] = std::from_chars(shape.data() + i, shape.data() + shape.size(), v);
    NNM_CHECK(ec == std::errc(), input_file, "{}: a malformed npy shape", path);
    h.info.shape.push_back(v);
    i = static_cast<size_t>(end - shape.data());
  }
  checked_numel(path, h.info.shape);
  return h;
}

void swap_bytes(Tensor& x) {
  const size_t item = item_size(x.dtype());
  char* p = x.data<char>();
  for (int64_t i = 0; i < x.numel(); ++i, p += item) std::reverse(p, p + item);
}

Tensor read_body(const std::string& path, Reader& r, const Header& h) {
  const Shape& s = h.info.shape;
  Tensor x = h.fortran ? empty(Shape(std::vector<int64_t>(s.vec().rbegin(), s.vec().rend())), {h.info.dtype})
                       : empty(s, {h.info.dtype});
  r.read(x.data(), static_cast<size_t>(x.numel()) * item_size(h.info.dtype));
  r.expect_end();
  if (h.swap) swap_bytes(x);
  if (h.fortran) {
    Shape strides = x.strides();
    std::reverse(strides.begin(), strides.end());
    x = x.as_strided(s, strides, 0);
  }
  (void)path;
  return x;
}

// A gray image gets its channel axis, as torchvision's datasets give it.
Shape image_shape(const ArrayInfo& info) {
  Shape s = info.shape;
  if (info.format == Format::idx && info.dtype == DType::u8 && s.size() == 3) s.insert(1, 1);
  return s;
}

// `file.h5:/group/dataset` and `file.csv:column`; a plain path may itself contain a colon.
std::pair<std::string, std::string> split_source(const std::string& source) {
  if (std::FILE* f = std::fopen(source.c_str(), "rb")) {
    std::fclose(f);
    return {source, ""};
  }
  const size_t colon = source.rfind(':');
  if (colon == std::string::npos || colon == 0) return {source, ""};
  return {source.substr(0, colon), source.substr(colon + 1)};
}

Tensor only(const std::string& source, Named all) {
  if (all.size() == 1) return std::move(all[0].second);
  std::string names;
  for (const auto& [n, t] : all) names += (names.empty() ? "" : ", ") + n;
  throw Error(ErrorKind::input_file, fmt::format("{} holds {} arrays ({}) where one is meant", source, all.size(), names),
              fmt::format("name one of them: `{}:{}`", source, all.empty() ? "name" : all[0].first));
}

[[noreturn]] void no_such(const std::string& path, const std::string& name, const std::vector<std::string>& names) {
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::input_file, fmt::format("{} has no `{}`", path, name),
              near.empty() ? fmt::format("it has {}", fmt::join(names, ", ")) : fmt::format("did you mean `{}`?", near));
}

Header read_header(const std::string& path, Reader& r, Format f) {
  return f == Format::idx ? read_idx_header(path, r) : read_npy_header(path, r);
}

}  // namespace

Format detect_format(const std::string& path) {
  uint8_t head[8] = {};
  Reader r(path);
  {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> f(std::fopen(path.c_str(), "rb"), std::fclose);
    NNM_CHECK(f, input_file, "cannot open {}: {}", path, std::strerror(errno));
    errno = 0;
    const size_t n = std::fread(head, 1, 8, f.get());
    NNM_CHECK(!std::ferror(f.get()), input_file, "cannot read {}: {}", path, std::strerror(errno));
    NNM_CHECK(n > 0, input_file, "{} is empty", path);
    if (n == 8 && std::memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0) return Format::hdf5;
    if (n == 8 && std::memcmp(head, "\x93NUMPY", 6) == 0) return Format::npy;
    if (n < 4) return Format::csv;
  }
  if (head[0] == 0x1f && head[1] == 0x8b) r.read(head, 4);
  if (head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0e) return Format::idx;
  for (uint8_t c : head) {
    NNM_CHECK(c != 0, input_file, "{} is neither HDF5, npy, idx nor CSV text", path);
  }
  return Format::csv;
}

Tensor read_array(const std::string& source) {
  const auto [path, inner] = split_source(source);
  const Format format = detect_format(path);
  if (format == Format::idx || format == Format::npy) {
    NNM_CHECK(inner.empty(), input_file, "{} holds one array and has no `{}`", path, inner);
    Reader r(path);
    const Header h = read_header(path, r, format);
    Tensor x = read_body(path, r, h);
    const Shape shape = image_shape(h.info);
    return shape == x.shape() ? x : x.as_strided(shape, contiguous_strides(shape), 0);
  }
  if (format == Format::hdf5 && !inner.empty()) return io::read_array(path, inner);
  Named all = read_all(path);
  if (inner.empty()) return only(path, std::move(all));
  std::vector<std::string> names;
  for (auto& [name, t] : all) {
    if (name == inner) return t;
    names.push_back(name);
  }
  no_such(path, inner, names);
}

ArrayInfo peek_array(const std::string& source) {
  const auto [path, inner] = split_source(source);
  const Format format = detect_format(path);
  if (format == Format::idx || format == Format::npy) {
    Reader r(path);
    ArrayInfo info = read_header(path, r, format).info;
    info.shape = image_shape(info);
    return info;
  }
  if (format == Format::hdf5 && !inner.empty()) {
    const auto a = io::peek_array(path, inner);
    return {a.dtype, a.shape, format};
  }
  auto all = peek_all(path);
  std::vector<std::string> names;
  for (auto& [name, info] : all) {
    if (name == inner || (inner.empty() && all.size() == 1)) return info;
    names.push_back(name);
  }
  if (inner.empty()) only(path, Named(all.size()));
  no_such(path, inner, names);
}

Named read_all(const std::string& path) {
  switch (detect_format(path)) {
    case Format::hdf5: return io::read_top_level(path);
    case Format::csv: return read_csv(path);
    default: return {{"0", read_array(path)}};
  }
}

std::vector<std::pair<std::string, ArrayInfo>> peek_all(const std::string& path) {
  std::vector<std::pair<std::string, ArrayInfo>> out;
  switch (const Format f = detect_format(path)) {
    case Format::hdf5:
      for (const auto& a : io::peek_top_level(path)) out.push_back({a.name, {a.dtype, a.shape, f}});
      break;
    case Format::csv:
      for (const auto& [name, t] : read_csv(path)) out.push_back({name, {t.dtype(), t.shape(), f}});
      break;
    default: out.push_back({"0", peek_array(path)});
  }
  return out;
}

}  // namespace nnm::data
