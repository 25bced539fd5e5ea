// POSIX files with every return value looked at.
#include "nnm/base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "nnm/base/error.h"
#include "nnm/base/output.h"
#include "nnm/base/signature.h"

namespace nnm {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }
  int close() {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd);
  }

 private:
  int fd_;
};

/// The name of a file that is being written, where a signal handler finds it without a lock. A file
/// that finds no place, or has too long a name, is not removed by signals.
class Unfinished {
 public:
  explicit Unfinished(const std::string& path) {
    for (Unfinished::Place& p : places) {
      Place::State free = Place::State::free;
      if (path.size() >= sizeof p.path ||
          !p.state.compare_exchange_strong(free, Place::State::taken))
        continue;
      path.copy(p.path, path.size());
      p.path[path.size()] = '\0';
      p.state = Place::State::named;
      place_ = &p;
      return;
    }
  }
  ~Unfinished() {
    if (place_) place_->state = Place::State::free;
  }
  Unfinished(const Unfinished&) = delete;

  static void remove_all() noexcept {
    for (const Place& p : places)
      if (p.state == Place::State::named) ::unlink(p.path);
  }

 private:
  struct Place {
    enum class State : uint8_t { free, taken, named };
    std::atomic<State> state{State::free};
    char path[PATH_MAX];
  };
  static Place places[4];
  Place* place_ = nullptr;
};
Unfinished::Place Unfinished::places[4];

constexpr int kPatience = 4000;  // milliseconds

/// What stands at a path, a link followed; no type where there is nothing.
mode_t file_type(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & S_IFMT : 0;
}

/// A device, a pipe or what this process has open: something that is written into, and never
/// replaced by a file of its name.
bool is_stream(const std::string& path) {
  if (own_descriptor(path) >= 0) return true;
  const mode_t type = file_type(path);
  return type && type != S_IFREG && type != S_IFDIR;
}

/// The file that a link stands for, which is replaced in the link's place. It need not exist.
std::string behind_links(std::string path) {
  constexpr int kMostLinks = 40;  // as the kernel follows
  char target[PATH_MAX];
  for (int i = 0; i < kMostLinks; ++i) {
    const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    if (n <= 0) break;
    const std::string to(target, static_cast<size_t>(n));
    path = to[0] == '/' ? to : folder_of(path) + "/" + to;
  }
  return path;
}

void write_all(Descriptor& fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_with_errno("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (fd.close() != 0) fail_with_errno("write", path);
}

// A pipe that nobody writes into must not hold the program for ever.
void wait_for_writer(int fd, const std::string& path) {
  pollfd ready{fd, POLLIN, 0};
  const int n = ::poll(&ready, 1, kPatience);
  NNM_CHECK(n != 0, input_file, "cannot read {}: a pipe that nobody writes into", path);
}

}  // namespace

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

void fail_with_errno(const char* what, const std::string& path) {
  const int code = errno;
  fail(ErrorKind::output, "cannot {} {}: {}", what, path, std::strerror(code));
}

void check_writable(const std::string& path) {
  const std::string where = is_stream(path) ? path : folder_of(behind_links(path));
  if (::access(where.c_str(), W_OK) != 0) fail_with_errno("write", path);
  NNM_CHECK(file_type(path) != S_IFDIR, output, "cannot write {}: a folder", path);
}

int own_descriptor(const std::string& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    int fd = -1;
    const char *begin = path.data() + folder.size(), *end = path.data() + path.size();
    const auto read = std::from_chars(begin, end, fd);
    return read.ec == std::errc() && read.ptr == end ? fd : -1;
  }
  return -1;
}

int open_to_write(const std::string& path, int flags) {
  constexpr int kStep = 20;  // milliseconds
  int fd = -1;
  for (int waited = 0; waited <= kPatience; waited += kStep) {
    fd = ::open(path.c_str(), flags | O_WRONLY | O_CLOEXEC | O_NONBLOCK, 0666);
    if (fd >= 0 || errno != ENXIO) break;
    ::poll(nullptr, 0, kStep);
    errno = ENXIO;
  }
  NNM_CHECK(fd >= 0 || errno != ENXIO, output, "cannot write {}: a pipe that nobody reads", path);
  if (fd < 0 || ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0)
    fail_with_errno("write", path);
  return fd;
}

void refuse_inputs(const std::string& output, std::initializer_list<std::string> inputs) {
  if (file_type(output) != S_IFREG) return;
  std::error_code absent;
  for (const std::string& input : inputs)
    NNM_CHECK(!std::filesystem::equivalent(output, input, absent), config,
              "{} is read here: name another file to write", output);
}

std::string ending_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

void check_ending(const std::string& output, const std::vector<std::string>& endings) {
  const std::string ending = ending_of(output);
  if (ending.empty() || is_stream(output)) return;
  if (std::find(endings.begin(), endings.end(), ending) != endings.end()) return;
  throw Error(ErrorKind::config, fmt::format("{}: no {} file is written here", output, ending),
              fmt::format("write a name that ends in {}", fmt::join(endings, ", ")));
}

std::string replaceable(const std::string& path) {
  NNM_CHECK(!is_stream(path), output, "cannot write {}: not a regular file", path);
  return behind_links(path);
}

std::string path_advice(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr size_t kMost = 10'000;
  std::error_code ec;
  fs::path so_far;
  std::string slip;
  for (const fs::path& part : fs::path(path)) {
    if (fs::exists(so_far / part, ec) || part.empty()) {
      so_far /= part;
      continue;
    }
    if (!slip.empty()) return {};
    // An ending in common makes no two names alike.
    const std::string ending = part.extension().string();
    std::vector<std::string> stems, others;
    const fs::path here = so_far.empty() ? fs::path(".") : so_far;
    fs::directory_iterator it(here, ec);
    for (size_t i = 0; !ec && it != fs::directory_iterator() && i < kMost; ++i, it.increment(ec)) {
      const fs::path name = it->path().filename();
      if (name.extension() == ending) stems.push_back(name.stem().string());
      else others.push_back(name.string());
    }
    std::sort(stems.begin(), stems.end());
    std::sort(others.begin(), others.end());
    slip = nearest(part.stem().string(), stems);
    slip = slip.empty() ? nearest(part.string(), others) : slip + ending;
    if (slip.empty()) return {};
    so_far /= slip;
  }
  return slip.empty() ? "" : fmt::format("did you mean `{}`?", so_far.string());
}

std::string read_file(const std::string& path, size_t most) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const std::string why = std::strerror(errno);
    throw Error(ErrorKind::input_file, fmt::format("cannot open {}: {}", path, why),
                path_advice(path));
  }
  struct stat st;
  NNM_CHECK(::fstat(fd.get(), &st) == 0, input_file, "cannot read {}: {}", path,
            std::strerror(errno));
  NNM_CHECK(!S_ISDIR(st.st_mode), input_file, "cannot read {}: it is a folder", path);
  std::string text;
  if (S_ISREG(st.st_mode)) text.reserve(std::min(most, static_cast<size_t>(st.st_size)) + 1);
  char buffer[65536];
  while (true) {
    if (!S_ISREG(st.st_mode)) wait_for_writer(fd.get(), path);
    const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    NNM_CHECK(n >= 0, input_file, "cannot read {}: {}", path, std::strerror(errno));
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    NNM_CHECK(text.size() <= most, input_file,
              "{} is larger than the {} bytes that are read of such a file", path, most);
  }
}

void sync_file(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // EINVAL: a file system that cannot sync folders.
  if (fd.get() < 0 || (::fsync(fd.get()) != 0 && errno != EINVAL)) fail_with_errno("sync", path);
}

void write_atomically(const std::string& path,
                      const std::function<void(const std::string&)>& write) {
  static std::atomic<unsigned> counter{0};
  const std::string file = replaceable(path);
  const std::string part = fmt::format("{}.{}-{}{}", file, ::getpid(), counter++, kPart);
  const Unfinished unfinished(part);
  try {
    write(part);
    sync_file(part);
    if (::rename(part.c_str(), file.c_str()) != 0) fail_with_errno("replace", path);
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
  sync_file(folder_of(file));
}

void remove_unfinished() noexcept { Unfinished::remove_all(); }

void write_file_atomic(const std::string& path, std::string_view bytes) {
  if (is_stream(path)) {
    const int own = own_descriptor(path);
    std::fflush(nullptr);
    Descriptor fd(own >= 0 ? ::dup(own) : open_to_write(path, 0));
    if (fd.get() < 0) fail_with_errno("write", path);
    return write_all(fd, path, bytes);
  }
  write_atomically(path, [&](const std::string& part) {
    Descriptor fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd.get() < 0) fail_with_errno("create", path);
    write_all(fd, path, bytes);
  });
}

}  // namespace nnm
