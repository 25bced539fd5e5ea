// Folders of runs: numbering, links, locks.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "nnm/base/error.h"
#include "nnm/base/file.h"

namespace nnm {

void make_folders(const std::string& path) {
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0777) == 0) continue;
    const int code = errno;
    struct stat st;
    if (::stat(part.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) continue;
    errno = code == EEXIST ? ENOTDIR : code;
    fail_with_errno("make folder", part);
  }
}

std::string make_numbered_folder(const std::string& parent) {
  make_folders(parent);
  int highest = 0;
  std::error_code ec;
  for (std::filesystem::directory_iterator it(parent, ec), end; !ec && it != end;
       it.increment(ec)) {
    const std::string name = it->path().filename().string();
    int number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    if (read.ec == std::errc() && read.ptr == name.data() + name.size()) {
      highest = std::max(highest, number);
    }
  }
  NNM_CHECK(!ec, output, "cannot read folder {}: {}", parent, ec.message());
  for (int number = highest + 1;; ++number) {
    std::string path = fmt::format("{}/{:03}", parent, number);
    if (::mkdir(path.c_str(), 0777) == 0) return path;
    // Another process took the number in between: take the next.
    if (errno != EEXIST) fail_with_errno("make folder", path);
  }
}

void replace_symlink(const std::string& target, const std::string& link) {
  struct stat st;
  if (::lstat(link.c_str(), &st) == 0 && !S_ISLNK(st.st_mode)) {
    errno = EEXIST;
    fail_with_errno("make the link", link);
  }
  const std::string part = fmt::format("{}.{}.part", link, ::getpid());
  ::unlink(part.c_str());
  if (::symlink(target.c_str(), part.c_str()) != 0) fail_with_errno("make the link", link);
  if (::rename(part.c_str(), link.c_str()) != 0) {
    const int code = errno;
    ::unlink(part.c_str());
    errno = code;
    fail_with_errno("make the link", link);
  }
}

namespace {

/// Takes the lock of an open `.lock`, or closes it and throws as FolderLock does.
void take_lock(int fd, int kind, const std::string& folder) {
  if (::flock(fd, kind | LOCK_NB) == 0) return;
  const int code = errno;
  char holder[24] = {};
  const ssize_t n = ::pread(fd, holder, sizeof(holder) - 1, 0);
  ::close(fd);
  errno = code;
  if (code != EWOULDBLOCK) fail_with_errno("lock", folder);
  std::string pid(holder, n > 0 ? static_cast<size_t>(n) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  fail(ErrorKind::output, "{} is in use by {}", folder,
       pid.empty() ? "another process" : "process " + pid);
}

}  // namespace

FolderLock::FolderLock(const std::string& folder) : fd_(-1) {
  const std::string path = folder + "/.lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with_errno("lock", folder);
  take_lock(fd_, LOCK_EX, folder);
  const std::string pid = fmt::format("{}\n", ::getpid());
  // The number only serves the message of others; the lock holds without it.
  [[maybe_unused]] const bool written =
      ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, pid.data(), pid.size(), 0) > 0;
}

void FolderLock::check_free(const std::string& folder) {
  const int fd = ::open((folder + "/.lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  take_lock(fd, LOCK_SH, folder);
  ::close(fd);
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace nnm
