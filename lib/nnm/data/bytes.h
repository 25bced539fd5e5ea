// Bytes of data files, gzipped or not, read in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nnm::data {

/// A file open for reading, unpacked on the way if it is gzipped. Errors are Error(input_file) with
/// the file's name.
class ByteReader {
 public:
  /// Throws also for what is not a regular file.
  explicit ByteReader(const std::string& path);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  const std::string& path() const { return path_; }
  /// Exactly `bytes`; throws "truncated" at an early end.
  void read(void* into, size_t bytes);
  /// At most `bytes`; fewer only at the end.
  size_t read_some(void* into, size_t bytes);
  /// Throws unless the end is reached.
  void expect_end();
  /// All that follows. Throws if it is more than `most`.
  std::string read_rest(size_t most);
  /// Throws if the file cannot hold so many bytes, whatever its compression: before memory is
  /// allocated for what a header announces.
  void expect_room(uint64_t bytes) const;

 private:
  std::string path_;
  void* file_ = nullptr;
  uint64_t size_ = 0;  // on the disk
};

}  // namespace nnm::data
