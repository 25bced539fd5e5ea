// ZIP archives, after PKWARE's APPNOTE.
#include "nnm/io/zip.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nnm/base/error.h"

namespace nnm::io {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kCentralBytes = 46;
constexpr uint64_t kElsewhere = 0xffffffff;  // a number that stands among the ZIP64 ones
constexpr uint64_t kMostDirectory = uint64_t{1} << 30;

uint64_t little_endian(const uint8_t* p, int bytes) {
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; --i) v = v << 8 | p[i];
  return v;
}

[[noreturn]] void damaged(const std::string& path) {
  throw Error(ErrorKind::input_file,
              fmt::format("{} is truncated or corrupt: its ZIP directory is damaged", path));
}

std::FILE* open_archive(const std::string& path) {
  std::FILE* const f = std::fopen(path.c_str(), "rbe");
  NNM_CHECK(f, input_file, "cannot open {}: {}", path, std::strerror(errno));
  return f;
}

void read_at(const std::string& path, std::FILE* f, uint64_t at, void* into, size_t bytes) {
  NNM_CHECK(at < (uint64_t{1} << 62) && fseeko(f, static_cast<off_t>(at), SEEK_SET) == 0 &&
                std::fread(into, 1, bytes, f) == bytes,
            input_file, "{} is truncated or corrupt: its ZIP directory points beyond its end",
            path);
}

/// Where the directory lies.
struct Extent {
  uint64_t count, bytes, begin;
};

class DirectoryReader {
 public:
  DirectoryReader(const std::string& path, std::FILE* f) : path_(path), f_(f) {}

  std::vector<ZipMember> read() {
    struct stat about {};
    NNM_CHECK(fstat(fileno(f_), &about) == 0, input_file, "cannot read {}: {}", path_,
              std::strerror(errno));
    size_ = static_cast<uint64_t>(about.st_size);
    const Extent e = extent();
    if (e.bytes > size_ || e.begin > size_ - e.bytes || e.bytes > kMostDirectory) damaged(path_);
    std::vector<uint8_t> bytes(e.bytes);
    read_at(path_, f_, e.begin, bytes.data(), bytes.size());
    std::vector<ZipMember> out;
    size_t at = 0;
    for (uint64_t i = 0; i < e.count; ++i)
      at += member(bytes.data() + at, bytes.size() - at, out.emplace_back());
    return out;
  }

 private:
  // The end record is the last 22 bytes, or earlier where a comment follows it; the ZIP64 one's
  // place stands right before it.
  Extent extent() const {
    const auto span =
        static_cast<size_t>(std::min<uint64_t>(size_, kLocatorBytes + kEndBytes + 65535));
    std::vector<uint8_t> tail(span);
    read_at(path_, f_, size_ - span, tail.data(), span);
    size_t end = span < kEndBytes ? 0 : span - kEndBytes + 1;
    while (end > 0 && little_endian(tail.data() + end - 1, 4) != kEnd) --end;
    NNM_CHECK(end > 0, input_file, "{} is truncated: a ZIP archive without its directory", path_);
    const uint8_t* const record = tail.data() + end - 1;
    const Extent e{little_endian(record + 10, 2), little_endian(record + 12, 4),
                   little_endian(record + 16, 4)};
    const bool has_locator =
        end > kLocatorBytes && little_endian(record - kLocatorBytes, 4) == kLocator64;
    if (!has_locator) return e;
    uint8_t more[kEnd64Bytes];
    read_at(path_, f_, little_endian(record - kLocatorBytes + 8, 8), more, sizeof more);
    if (little_endian(more, 4) != kEnd64) damaged(path_);
    return {little_endian(more + 32, 8), little_endian(more + 40, 8), little_endian(more + 48, 8)};
  }

  // Reads one, and tells how many bytes of the directory it takes.
  size_t member(const uint8_t* p, size_t left, ZipMember& m) const {
    if (left < kCentralBytes || little_endian(p, 4) != kCentral) damaged(path_);
    const size_t name = little_endian(p + 28, 2), extra = little_endian(p + 30, 2);
    const size_t used = kCentralBytes + name + extra + little_endian(p + 32, 2);
    if (used > left) damaged(path_);
    m.name.assign(reinterpret_cast<const char*>(p) + kCentralBytes, name);
    const uint64_t method = little_endian(p + 10, 2);
    NNM_CHECK(method == 0 || method == 8, input_file,
              "{}: `{}` is packed by a method that nnm cannot read", path_, m.name);
    m.deflated = method == 8;
    m.crc = static_cast<uint32_t>(little_endian(p + 16, 4));
    m.packed = little_endian(p + 20, 4);
    m.size = little_endian(p + 24, 4);
    m.header = little_endian(p + 42, 4);
    large_numbers(p + kCentralBytes + name, extra, m);
    if (m.packed > size_ || (!m.deflated && m.packed != m.size)) damaged(path_);
    return used;
  }

  // Those that do not fit into 32 bits, in the extra field of kind 1.
  void large_numbers(const uint8_t* p, size_t left, ZipMember& m) const {
    while (left >= 4) {
      const size_t bytes = little_endian(p + 2, 2);
      if (bytes > left - 4) damaged(path_);
      if (little_endian(p, 2) == 1) {
        size_t at = 0;
        for (uint64_t* const number : {&m.size, &m.packed, &m.header}) {
          if (*number != kElsewhere) continue;
          if (at + 8 > bytes) damaged(path_);
          *number = little_endian(p + 4 + at, 8);
          at += 8;
        }
        return;
      }
      p += 4 + bytes;
      left -= 4 + bytes;
    }
  }

  const std::string& path_;
  std::FILE* const f_;
  uint64_t size_ = 0;
};

}  // namespace

ZipArchive::ZipArchive(const std::string& path) : path_(path) {
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> f(open_archive(path), close);
  members_ = DirectoryReader(path, f.get()).read();
}

ZipReader::ZipReader(const std::string& path, const ZipMember& member)
    : path_(path), member_(member), file_(open_archive(path)) {
  uint8_t local[30];
  read_at(path, file_.get(), member.header, local, sizeof local);
  const uint64_t skip = little_endian(local + 26, 2) + little_endian(local + 28, 2);
  NNM_CHECK(little_endian(local, 4) == kLocal &&
                fseeko(file_.get(), static_cast<off_t>(skip), SEEK_CUR) == 0,
            input_file, "{} is corrupt at `{}`", path, member.name);
  if (member.deflated)
    NNM_CHECK(inflateInit2(&stream_, -MAX_WBITS) == Z_OK, internal, "zlib cannot start");
}

ZipReader::~ZipReader() {
  if (member_.deflated) inflateEnd(&stream_);
}

void ZipReader::take(void* into, size_t bytes) {
  auto* p = static_cast<Bytef*>(into);
  if (member_.deflated) {
    inflate_some(p, bytes);
  } else {
    NNM_CHECK(bytes <= member_.size - done_ && std::fread(p, 1, bytes, file_.get()) == bytes,
              input_file, "{} is truncated: `{}` ends before its data", path_, member_.name);
  }
  crc_ = crc32_z(crc_, p, bytes);
  done_ += bytes;
}

void ZipReader::inflate_some(Bytef* p, size_t bytes) {
  while (bytes > 0) {
    if (stream_.avail_in == 0) {
      const auto part =
          static_cast<size_t>(std::min<uint64_t>(member_.packed - fed_, sizeof buffer_));
      stream_.avail_in = static_cast<uInt>(std::fread(buffer_, 1, part, file_.get()));
      stream_.next_in = buffer_;
      fed_ += stream_.avail_in;
    }
    const auto want = static_cast<uInt>(std::min(bytes, size_t{1} << 30));
    stream_.next_out = p;
    stream_.avail_out = want;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    const uInt got = want - stream_.avail_out;
    NNM_CHECK(code == Z_OK || (code == Z_STREAM_END && got == bytes), input_file,
              "{} is truncated or corrupt at `{}`", path_, member_.name);
    p += got;
    bytes -= got;
  }
}

void ZipReader::check_end() const {
  NNM_CHECK(done_ == member_.size && crc_ == member_.crc, input_file,
            "{} is corrupt: the checksum of `{}` differs", path_, member_.name);
}

}  // namespace nnm::io
