// ZIP archives, for those that hold data: stored or deflated members, ZIP64 too.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace nnm::io {

/// What an archive's directory says of a member.
struct ZipMember {
  std::string name;
  bool deflated = false;
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0, header = 0;  ///< bytes in the file and unpacked; where it begins
};

/// The directory of an archive, in its order. Nothing in it is believed before it was read.
class ZipArchive {
 public:
  /// Throws Error(input_file) where the file is no archive, is truncated or damaged, or has members
  /// packed by another method.
  explicit ZipArchive(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<ZipMember>& members() const { return members_; }

 private:
  std::string path_;
  std::vector<ZipMember> members_;
};

/// A member's bytes, unpacked in order.
class ZipReader {
 public:
  /// Throws Error(input_file) where there is no such member at that place of the file.
  ZipReader(const std::string& path, const ZipMember& member);
  ~ZipReader();
  ZipReader(const ZipReader&) = delete;

  /// The next bytes. Throws Error(input_file) where there are not as many.
  void take(void* into, size_t bytes);
  /// After all has been taken: throws Error(input_file) where it is not what was written.
  void check_end() const;

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  void inflate_some(Bytef* p, size_t bytes);

  const std::string path_;
  const ZipMember member_;
  const std::unique_ptr<std::FILE, Close> file_;
  z_stream stream_{};
  Bytef buffer_[1 << 15];
  uint64_t fed_ = 0, done_ = 0;
  uLong crc_ = 0;
};

}  // namespace nnm::io
