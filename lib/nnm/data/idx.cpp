// idx files, MNIST's format, gzipped or not.
#include <algorithm>

#include "nnm/data/bytes.h"
#include "nnm/data/file.h"

namespace nnm::data {
namespace {

uint32_t big_endian(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

class Idx final : public DataFile {
 public:
  explicit Idx(const std::string& path) : DataFile(path, Format::idx) {
    ByteReader r(path);
    arrays_.push_back(header(r));
  }
  Tensor read(const std::string& name) const override {
    find(name);
    ByteReader r(path_);
    ArrayInfo a = header(r);
    Tensor x = empty(a.shape, {a.dtype});
    const size_t item = item_size(a.dtype);
    r.read(x.data(), static_cast<size_t>(x.numel()) * item);
    r.expect_end();
    char* p = x.data<char>();
    for (int64_t i = 0; item > 1 && i < x.numel(); ++i, p += item) std::reverse(p, p + item);
    return x;
  }

 private:
  ArrayInfo header(ByteReader& r) const {
    uint8_t magic[4];
    r.read(magic, 4);
    ArrayInfo a;
    switch (magic[2]) {
      case 0x08: a.dtype = DType::u8; break;
      case 0x09: a.dtype = DType::i8; break;
      case 0x0b: a.dtype = DType::i16; break;
      case 0x0c: a.dtype = DType::i32; break;
      case 0x0d: a.dtype = DType::f32; break;
      case 0x0e: a.dtype = DType::f64; break;
      default:
        fail(ErrorKind::input_file, "{}: idx element type 0x{:02x} is not supported", path_,
             magic[2]);
    }
    NNM_CHECK(magic[3] >= 1, input_file, "{} is an idx file without dimensions", path_);
    std::vector<int64_t> extents;
    for (int i = 0; i < magic[3]; ++i) {
      uint8_t extent[4];
      r.read(extent, 4);
      extents.push_back(big_endian(extent));
    }
    // A gray image gets its channel axis.
    if (a.dtype == DType::u8 && extents.size() == 3) extents.insert(extents.begin() + 1, 1);
    check_extents(path_, extents);
    a.shape = Shape(extents);
    r.expect_room(static_cast<uint64_t>(a.shape.numel()) * item_size(a.dtype));
    return a;
  }
};

}  // namespace

Ref<DataFile> open_idx(const std::string& path) { return make_ref<Idx>(path); }

}  // namespace nnm::data
