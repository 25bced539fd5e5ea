// npy files: reading and writing.
#include "nnm/data/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "nnm/base/file.h"
#include "nnm/data/bytes.h"
#include "nnm/data/convert.h"
#include "nnm/data/file.h"
#include "nnm/io/bools.h"

namespace nnm::data {
namespace {

// The text after `'key':` of the header's dictionary.
std::string_view entry(const std::string& path, std::string_view header, std::string_view key) {
  const std::string quoted = fmt::format("'{}':", key);
  const size_t at = header.find(quoted);
  NNM_CHECK(at != std::string_view::npos, input_file, "{}: its npy header has no '{}'", path, key);
  NNM_CHECK(header.find(quoted, at + 1) == std::string_view::npos, input_file,
            "{}: its npy header has '{}' twice", path, key);
  std::string_view rest = header.substr(at + quoted.size());
  while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
  return rest;
}

bool read_fortran_order(const std::string& path, std::string_view text) {
  const bool yes = text.starts_with("True");
  NNM_CHECK(yes || text.starts_with("False"), input_file,
            "{}: the 'fortran_order' of its npy header is neither True nor False", path);
  return yes;
}

void read_descr(const std::string& path, std::string_view text, NpyHeader& h) {
  // '<f4'; a list stands for a record.
  const size_t end = text.size() > 1 && text[0] == '\'' ? text.find('\'', 1) : text.npos;
  const std::string descr(end == text.npos ? "" : text.substr(1, end - 1));
  h.swap = !descr.empty() && descr[0] == '>';
  const std::string type = descr.size() > 1 ? descr.substr(1) : "";
  struct Known {
    const char* name;
    DType dtype;
  };
  static constexpr Known kKnown[] = {{"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16},
                                     {"i8", DType::i64}, {"i4", DType::i32}, {"u1", DType::u8},
                                     {"b1", DType::b8},  {"i1", DType::i8},  {"i2", DType::i16},
                                     {"u2", DType::i32}, {"u4", DType::i64}, {"u8", DType::i64}};
  for (const Known& k : kKnown) {
    if (type != k.name) continue;
    h.dtype = k.dtype;
    h.kind = type[0];
    h.bytes = type[1] - '0';
    return;
  }
  throw Error(ErrorKind::input_file,
              fmt::format("{}: numpy type '{}' cannot be read", path,
                          descr.empty() ? std::string(text.substr(0, 40)) : descr),
              "save it as an array of floats, integers or bool");
}

void read_shape(const std::string& path, std::string_view text, NpyHeader& h) {
  const size_t close = text.find(')');
  NNM_CHECK(!text.empty() && text[0] == '(' && close != text.npos, input_file,
            "{}: a malformed npy shape", path);
  std::vector<int64_t> extents;
  for (size_t i = 1; i < close;) {
    if (text[i] == ',' || text[i] == ' ') {
      ++i;
      continue;
    }
    int64_t v = 0;
    auto [end, ec] = std::from_chars(text.data() + i, text.data() + close, v);
    NNM_CHECK(ec == std::errc(), input_file, "{}: a malformed npy shape", path);
    extents.push_back(v);
    i = static_cast<size_t>(end - text.data());
  }
  check_extents(path, extents);
  h.shape = Shape(extents);
}

// Numbers of nnm's own types are taken as they are; others are widened.
void widen(const NpyHeader& h, const char* x, char* y, int64_t n) {
  auto each = [&](auto from, auto to) {
    const auto* a = reinterpret_cast<const decltype(from)*>(x);
    auto* b = reinterpret_cast<decltype(to)*>(y);
    for (int64_t i = 0; i < n; ++i) b[i] = static_cast<decltype(to)>(a[i]);
  };
  if (h.kind == 'u' && h.bytes == 2) return each(uint16_t{}, int32_t{});
  if (h.kind == 'u' && h.bytes == 4) return each(uint32_t{}, int64_t{});
  std::memcpy(y, x, static_cast<size_t>(n) * static_cast<size_t>(h.bytes));
}

class Npy final : public DataFile {
 public:
  explicit Npy(const std::string& path) : DataFile(path, Format::npy) {
    ByteReader r(path);
    const NpyHeader h = header(r);
    arrays_.push_back({"", h.dtype, h.shape});
  }
  Tensor read(const std::string& name) const override {
    find(name);
    ByteReader r(path_);
    const NpyHeader h = header(r);
    Tensor x = read_npy_body(path_, h, [&](void* into, size_t n) { r.read(into, n); });
    r.expect_end();
    return x;
  }

 private:
  NpyHeader header(ByteReader& r) const {
    NpyHeader h = read_npy_header(path_, [&](void* into, size_t n) { r.read(into, n); });
    r.expect_room(h.data_bytes());
    return h;
  }
};

}  // namespace

NpyHeader read_npy_header(const std::string& path, const Take& take) {
  uint8_t start[8], size[4] = {};
  take(start, 8);
  NNM_CHECK(std::memcmp(start, "\x93NUMPY", 6) == 0, input_file, "{} holds no npy array", path);
  NNM_CHECK(start[6] >= 1 && start[6] <= 3, input_file, "{}: npy version {} is not known", path,
            start[6]);
  take(size, start[6] == 1 ? 2 : 4);
  const size_t length =
      size[0] | size_t{size[1]} << 8 | size_t{size[2]} << 16 | size_t{size[3]} << 24;
  NNM_CHECK(length <= 65536, input_file, "{}: a malformed npy header", path);
  std::string text(length, '\0');
  take(text.data(), length);
  NpyHeader h;
  read_descr(path, entry(path, text, "descr"), h);
  h.fortran = read_fortran_order(path, entry(path, text, "fortran_order"));
  read_shape(path, entry(path, text, "shape"), h);
  return h;
}

Tensor read_npy_body(const std::string& path, const NpyHeader& h, const Take& take) {
  Shape sizes = h.shape;
  if (h.fortran) std::reverse(sizes.begin(), sizes.end());
  Tensor x = empty(sizes, {h.dtype});
  const int64_t n = x.numel();
  const auto bytes = static_cast<size_t>(h.data_bytes());
  const bool same = static_cast<size_t>(h.bytes) == item_size(h.dtype);
  std::vector<char> packed(same ? 0 : bytes);
  char* raw = same ? x.data<char>() : packed.data();
  if (bytes > 0) take(raw, bytes);
  for (int64_t i = 0; h.swap && h.bytes > 1 && i < n; ++i) {
    std::reverse(raw + i * h.bytes, raw + (i + 1) * h.bytes);
  }
  if (!same) widen(h, raw, x.data<char>(), n);
  NNM_CHECK(h.kind != 'b' || io::are_bools(raw, n), input_file,
            "{} has a bool that is neither 0 nor 1", path);
  if (h.kind == 'u' && h.bytes == 8) {
    const auto* v = x.data<int64_t>();
    NNM_CHECK(std::all_of(v, v + n, [](int64_t i) { return i >= 0; }), input_file,
              "{} has integers beyond the range of i64", path);
  }
  if (!h.fortran) return x;
  Shape strides = x.strides();
  std::reverse(strides.begin(), strides.end());
  return x.as_strided(h.shape, strides, 0);
}

Ref<DataFile> open_npy(const std::string& path) { return make_ref<Npy>(path); }

void write_npy(const std::string& path, const Tensor& x) {
  static constexpr const char* kDescr[kDTypes] = {"<f4", "<f8", "<f4", "<f2", "<i8",
                                                  "<i4", "<i2", "|i1", "|u1", "|b1"};
  NNM_CHECK(x.is_contiguous(), internal, "write_npy needs a row-major array");
  std::string shape;
  for (int64_t d : x.shape()) shape += fmt::format("{}, ", d);
  if (x.dim() > 1) shape.resize(shape.size() - 2);
  if (x.dim() == 1) shape.pop_back();
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   kDescr[static_cast<int>(x.dtype())], shape);
  // The numbers start at a multiple of 64 bytes; the magic, version and length take ten.
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>((header.size() + 1) & 0xff);
  file += static_cast<char>((header.size() + 1) >> 8);
  file += header + '\n';
  const DType written = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  const size_t start = file.size();
  file.resize(start + static_cast<size_t>(x.numel()) * item_size(written));
  convert(x.dtype(), x.data(), written, file.data() + start, x.numel());
  write_file_atomic(path, file);
}

}  // namespace nnm::data
