// Files and folders: whole reads and writes, numbering, links, locks, checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace nnm {

/// The bytes of a file. Throws Error(input_file) with the reason, also if it is larger than `most`.
std::string read_file(const std::string& path, size_t most);
/// "did you mean `x`?" for a path at which nothing is, where a slip in one of its names leads to
/// something that is there; else "".
std::string path_advice(const std::string& path);
/// Calls `write` with the name of a file beside `path` that does not exist, which it creates; then
/// syncs that file, renames it to `path` and syncs the folder: whole or absent. If anything throws,
/// the new file is removed and `path` is as it was. Throws Error(output) with path and reason.
void write_atomically(const std::string& path,
                      const std::function<void(const std::string&)>& write);
/// write_atomically of these bytes.
void write_file_atomic(const std::string& path, std::string_view bytes);
/// Removes the files that write_atomically has begun and not finished: for a signal handler that is
/// going to end the process, at any moment and from any thread.
void remove_unfinished() noexcept;
/// Syncs a file's data, or a folder's entries, to the disk. Throws Error(output).
void sync_file(const std::string& path);
/// What unfinished files end with.
inline constexpr const char* kPart = ".part";

/// Makes the folder and those above it that are missing. Throws Error(output).
void make_folders(const std::string& path);
/// Makes `parent/NNN` with the number after the highest one there (001 first) and returns its path.
/// Two processes never get the same one. Makes `parent` where it is missing. Throws Error(output).
std::string make_numbered_folder(const std::string& parent);
/// Makes `link` a symbolic link to `target`, whatever it linked to before: at no time is there
/// none. Throws Error(output), also where `link` is not a symbolic link.
void replace_symlink(const std::string& target, const std::string& link);
/// Throws Error(output), "cannot <what> <path>: " and what errno says.
[[noreturn]] void fail_with_errno(const char* what, const std::string& path);
/// Throws Error(output) where no file can be made at `path`: its folder is missing or may not be
/// written to, or the path is one. To be asked before work whose result goes there.
void check_writable(const std::string& path);
/// The folder a path stands in, "." for a bare name.
std::string folder_of(const std::string& path);

/// Holds a folder for this process alone, by a lock on `<folder>/.lock` that ends with the process.
class FolderLock {
 public:
  /// Throws Error(output) at once where another process holds it (naming it) or there is no access.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  /// Throws as the constructor does where another process holds the folder; writes nothing.
  static void check_free(const std::string& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

/// CRC-32C (Castagnoli), as iSCSI and HDF5 tools compute it; `crc` continues an earlier one.
uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0);

/// SHA-256 in hexadecimal digits.
std::string sha256(std::string_view bytes);
/// Of a file's bytes. Throws Error(input_file).
std::string sha256_file(const std::string& path);

}  // namespace nnm
