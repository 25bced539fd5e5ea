// npz files: a ZIP archive of npy arrays, stored or deflated.
#include <sys/stat.h>
#include <zlib.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "nnm/data/file.h"
#include "nnm/data/npy.h"

namespace nnm::data {
namespace {

uint64_t little_endian(const uint8_t* p, int bytes) {
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; --i) v = v << 8 | p[i];
  return v;
}

struct Member {
  std::string name;
  int method = 0;  // 0 stored, 8 deflated
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0, offset = 0;
};

struct Close {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, Close>;

File open_file(const std::string& path) {
  File f(std::fopen(path.c_str(), "rbe"));
  NNM_CHECK(f, input_file, "cannot open {}: {}", path, std::strerror(errno));
  return f;
}

void read_at(const std::string& path, std::FILE* f, uint64_t at, void* into, size_t bytes) {
  NNM_CHECK(at < (uint64_t{1} << 62) && fseeko(f, static_cast<off_t>(at), SEEK_SET) == 0 &&
                std::fread(into, 1, bytes, f) == bytes,
            input_file, "{} is truncated or corrupt: its ZIP directory points beyond its end",
            path);
}

// A member of the archive, unpacked in order, its checksum kept.
class MemberReader {
 public:
  MemberReader(const std::string& path, const Member& m) : path_(path), m_(m), f_(open_file(path)) {
    uint8_t local[30];
    read_at(path, f_.get(), m.offset, local, sizeof local);
    NNM_CHECK(little_endian(local, 4) == 0x04034b50, input_file, "{} is corrupt at `{}`", path,
              m.name);
    const uint64_t skip = little_endian(local + 26, 2) + little_endian(local + 28, 2);
    NNM_CHECK(fseeko(f_.get(), static_cast<off_t>(skip), SEEK_CUR) == 0, input_file,
              "{} is corrupt at `{}`", path, m.name);
    if (m.method == 8) {
      NNM_CHECK(inflateInit2(&z_, -MAX_WBITS) == Z_OK, internal, "zlib cannot start");
    }
  }
  ~MemberReader() {
    if (m_.method == 8) inflateEnd(&z_);
  }
  MemberReader(const MemberReader&) = delete;

  void take(void* into, size_t bytes) {
    auto* p = static_cast<Bytef*>(into);
    if (m_.method == 0) {
      NNM_CHECK(done_ + bytes <= m_.size && std::fread(p, 1, bytes, f_.get()) == bytes, input_file,
                "{} is truncated: `{}` ends before its data", path_, m_.name);
    } else {
      inflate_some(p, bytes);
    }
    for (size_t at = 0; at < bytes;) {
      const auto part = static_cast<uInt>(std::min(bytes - at, size_t{1} << 30));
      crc_ = crc32(crc_, p + at, part);
      at += part;
    }
    done_ += bytes;
  }
  // After all has been taken.
  void check_end() const {
    NNM_CHECK(done_ == m_.size && crc_ == m_.crc, input_file,
              "{} is corrupt: the checksum of `{}` differs", path_, m_.name);
  }

 private:
  void inflate_some(Bytef* p, size_t bytes) {
    while (bytes > 0) {
      if (z_.avail_in == 0) {
        const auto part = static_cast<size_t>(std::min<uint64_t>(m_.packed - fed_, sizeof buffer_));
        z_.avail_in = static_cast<uInt>(std::fread(buffer_, 1, part, f_.get()));
        z_.next_in = buffer_;
        fed_ += z_.avail_in;
      }
      const auto want = static_cast<uInt>(std::min(bytes, size_t{1} << 30));
      z_.next_out = p;
      z_.avail_out = want;
      const int code = inflate(&z_, Z_NO_FLUSH);
      const uInt got = want - z_.avail_out;
      NNM_CHECK(code == Z_OK || (code == Z_STREAM_END && got == bytes), input_file,
                "{} is truncated or corrupt at `{}`", path_, m_.name);
      p += got;
      bytes -= got;
    }
  }
  std::string path_;
  Member m_;
  File f_;
  z_stream z_{};
  Bytef buffer_[1 << 15];
  uint64_t fed_ = 0, done_ = 0;
  uLong crc_ = 0;
};

class Npz final : public DataFile {
 public:
  explicit Npz(const std::string& path) : DataFile(path, Format::npz) {
    read_directory();
    for (const Member& m : members_) {
      MemberReader r(path, m);
      const NpyHeader h = header(m, r);
      arrays_.push_back({m.name, h.dtype, h.shape});
    }
  }
  Tensor read(const std::string& name) const override {
    const Member& m = members_[find(name)];
    MemberReader r(path_, m);
    const NpyHeader h = header(m, r);
    Tensor x = read_npy_body(path_, h, [&](void* into, size_t n) { r.take(into, n); });
    r.check_end();
    return x;
  }

 private:
  NpyHeader header(const Member& m, MemberReader& r) const {
    const std::string where = path_ + ":" + m.name;
    NpyHeader h = read_npy_header(where, [&](void* into, size_t n) { r.take(into, n); });
    NNM_CHECK(h.data_bytes() < m.size && m.size / 1040 <= m.packed, input_file,
              "{} is corrupt: the header announces more than the archive holds", where);
    return h;
  }
  void read_directory() {
    const File f = open_file(path_);
    struct stat about {};
    NNM_CHECK(fstat(fileno(f.get()), &about) == 0, input_file, "cannot read {}: {}", path_,
              std::strerror(errno));
    const auto size = static_cast<uint64_t>(about.st_size);
    // The end record is the last 22 bytes, or earlier where a comment follows it.
    const auto span = static_cast<size_t>(std::min<uint64_t>(size, 22 + 65535));
    std::vector<uint8_t> tail(span);
    read_at(path_, f.get(), size - span, tail.data(), span);
    size_t end = span < 22 ? 0 : span - 21;
    while (end > 0 && little_endian(tail.data() + end - 1, 4) != 0x06054b50) --end;
    NNM_CHECK(end > 0, input_file, "{} is truncated: a ZIP archive without its directory", path_);
    const uint8_t* record = tail.data() + end - 1;
    const uint64_t count = little_endian(record + 10, 2);
    const uint64_t bytes = little_endian(record + 12, 4), at = little_endian(record + 16, 4);
    NNM_CHECK(bytes <= size && at <= size - bytes, input_file,
              "{} is corrupt, or an archive beyond 4 GiB, which nnm cannot read", path_);
    std::vector<uint8_t> directory(bytes);
    read_at(path_, f.get(), at, directory.data(), directory.size());
    const uint8_t* p = directory.data();
    size_t left = directory.size();
    for (uint64_t i = 0; i < count; ++i) {
      const size_t used = read_member(p, left);
      p += used;
      left -= used;
    }
  }
  size_t read_member(const uint8_t* p, size_t left) {
    NNM_CHECK(left >= 46 && little_endian(p, 4) == 0x02014b50, input_file,
              "{} is corrupt: its ZIP directory is damaged", path_);
    const size_t name = little_endian(p + 28, 2);
    const size_t used = 46 + name + little_endian(p + 30, 2) + little_endian(p + 32, 2);
    NNM_CHECK(used <= left, input_file, "{} is corrupt: its ZIP directory is damaged", path_);
    Member m{std::string(reinterpret_cast<const char*>(p) + 46, name),
             static_cast<int>(little_endian(p + 10, 2)),
             static_cast<uint32_t>(little_endian(p + 16, 4)),
             little_endian(p + 20, 4),
             little_endian(p + 24, 4),
             little_endian(p + 42, 4)};
    NNM_CHECK(m.method == 0 || m.method == 8, input_file,
              "{}: `{}` is packed by a method that nnm cannot read", path_, m.name);
    if (m.name.size() > 4 && m.name.ends_with(".npy")) {
      m.name.resize(m.name.size() - 4);
      members_.push_back(std::move(m));
    }
    return used;
  }
  std::vector<Member> members_;
};

}  // namespace

Ref<DataFile> open_npz(const std::string& path) { return make_ref<Npz>(path); }

}  // namespace nnm::data
