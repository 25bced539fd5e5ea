// zlib reads plain files as they are, so one reader serves both.
#include "nnm/data/bytes.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nnm/base/error.h"
#include "nnm/base/file.h"

namespace nnm::data {
namespace {

// Deflate cannot pack more than 1032 bytes into one.
constexpr uint64_t kMostPacked = 1040;

gzFile handle(void* file) { return static_cast<gzFile>(file); }

}  // namespace

ByteReader::ByteReader(const std::string& path) : path_(path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) {
    const std::string why = std::strerror(errno);
    throw Error(ErrorKind::input_file, fmt::format("cannot open {}: {}", path, why),
                path_advice(path));
  }
  NNM_CHECK(S_ISREG(about.st_mode), input_file, "cannot read {}: it is {}", path,
            S_ISDIR(about.st_mode) ? "a folder" : "not a regular file");
  size_ = static_cast<uint64_t>(about.st_size);
  file_ = gzopen(path.c_str(), "rbe");
  NNM_CHECK(file_, input_file, "cannot open {}: {}", path, std::strerror(errno));
  gzbuffer(handle(file_), 1 << 17);
}

ByteReader::~ByteReader() { gzclose(handle(file_)); }

size_t ByteReader::read_some(void* into, size_t bytes) {
  auto* p = static_cast<char*>(into);
  size_t done = 0;
  while (done < bytes) {
    const auto part = static_cast<unsigned>(std::min(bytes - done, size_t{1} << 28));
    const int got = gzread(handle(file_), p + done, part);
    if (got > 0) {
      done += static_cast<size_t>(got);
      continue;
    }
    int code = Z_OK;
    const char* why = gzerror(handle(file_), &code);
    if (code == Z_ERRNO) why = std::strerror(errno);
    NNM_CHECK(code != Z_BUF_ERROR, input_file, "{} is truncated: its gzip stream has no end",
              path_);
    // zlib begins with the file's name.
    std::string_view reason(why);
    if (reason.starts_with(path_ + ": ")) reason.remove_prefix(path_.size() + 2);
    NNM_CHECK(got == 0 && (code == Z_OK || code == Z_STREAM_END), input_file, "{} is corrupt: {}",
              path_, reason);
    break;
  }
  return done;
}

void ByteReader::read(void* into, size_t bytes) {
  NNM_CHECK(read_some(into, bytes) == bytes, input_file,
            "{} is truncated: it ends before the data that its header announces", path_);
}

void ByteReader::expect_end() {
  char c;
  NNM_CHECK(read_some(&c, 1) == 0, input_file, "{} has more data than its header announces", path_);
}

std::string ByteReader::read_rest(size_t most) {
  std::string text;
  size_t filled = 0;
  while (true) {
    const size_t step = std::max(filled, std::min<size_t>(size_ + 1, size_t{1} << 20));
    text.resize(filled + step);
    const size_t got = read_some(text.data() + filled, step);
    filled += got;
    NNM_CHECK(filled <= most, input_file, "{} holds more than {} bytes", path_, most);
    if (got < step) break;
  }
  text.resize(filled);
  return text;
}

void ByteReader::expect_room(uint64_t bytes) const {
  const uint64_t most = gzdirect(handle(file_)) ? size_ : size_ * kMostPacked;
  NNM_CHECK(bytes <= most, input_file,
            "{} is truncated: its header announces {} bytes, the file cannot hold them", path_,
            bytes);
}

}  // namespace nnm::data
