// Files that are whole or absent: written beside their place, synced, renamed.
#include "nnm/io/atomic.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "nnm/base/error.h"

namespace nnm::io {
namespace {

[[noreturn]] void fail_with_errno(const std::string& path, const char* what) {
  const int code = errno;
  throw Error(ErrorKind::output, fmt::format("{}: {}: {}", path, what, std::strerror(code)));
}

std::string unused_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}.{}-{}{}", path, getpid(), counter++, kPart);
}

}  // namespace

std::string folder_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void sync_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_with_errno(path, "cannot be opened to sync it");
  const bool synced = fsync(fd) == 0;
  const int code = errno;
  close(fd);
  errno = code;
  if (!synced) fail_with_errno(path, "cannot be synced");
}

void write_atomically(const std::string& path,
                      const std::function<void(const std::string&)>& write) {
  const std::string part = unused_name(path);
  try {
    write(part);
    sync_file(part);
    if (std::rename(part.c_str(), path.c_str()) != 0) fail_with_errno(path, "cannot be replaced");
  } catch (...) {
    std::remove(part.c_str());
    throw;
  }
  sync_file(folder_of(path));
}

}  // namespace nnm::io
